"""Find the whole titles that a question names, whatever else it says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from space.catalogue.text import QUESTION_WORDS, fold

NAMING_WORDS = 400  # of a question in which titles are looked for; a look-up for each run of them
LONGEST_NAMED = 20  # words of a title that is looked up whole
ARTICLES = frozenset("the a an o a os as um uma".split())
# Names go on behind these: "Antonio of the Wrath".
JOINTS = frozenset("of the a an and for with in on to is de da do das dos o e em para com".split())
BETWEEN_TITLES = frozenset("and with to e com para".split())
# A sentence that begins with one of these, or a question word, does not begin with a name.
ASKING = frozenset(
    """any buy bought choose compare explain get got hello hey hi like liked list looking love loved
need needs or recommend return say search so suggest summarise summarize thanks vs want wants
comprei compara comparar compare comprar escolha estou liste busco oi ola ou preciso procurando
procure procuro queria quero recomende resuma resume sugira""".split()
)
# A question with one of these asks for all of a kind: "tem cadeiras?"
KIND_ASKING = frozenset(
    """any got have list sell show some stock which
algo algum alguma algumas alguns ha lista liste mostre quais tem vende vendem""".split()
)
NOT_A_KIND = KIND_ASKING | frozenset(
    """all anything else one ones ours shop something store there these those
ai alguem aqui coisa loja outra outras outro outros todas todos uns umas voces""".split()
)
KIND_WORDS = 3  # words of a kind at most: "small red lamps"
HEAD = " …"  # behind the key of a title's head
# What an apostrophe cuts off, and people write without it: "don t", "dont".
CUT_OFF = tuple((f" {end} ", f"{end} ") for end in "t m d re ve ll".split())
_HEAD = re.compile(r"[(\[,:]")
_OPENS = "\"'“‘«([¿¡"
_CLOSES = '.!?;,)]"”»'
_ENDS_SENTENCE = ".!?…"


@dataclass(frozen=True)
class Word:
    """A normalised word of a question, and how it is written there."""

    text: str
    capital: bool  # begins with a capital letter, and not only because a sentence begins there
    starts: bool  # the first word of a sentence
    ends: bool  # a mark follows it that ends a name
    opens: bool  # a colon or a bracket follows it
    quoted: bool  # a quotation mark stands before it

    @property
    def telling(self) -> bool:
        """Check whether it is no question word."""
        return self.text not in QUESTION_WORDS


@dataclass(frozen=True)
class Named:
    """A run of a question's words that is a title.

    It has the title's key, the index of its first word, and the index after its last. `doubtful`
    where no capital letters tell whether a name goes on, and a word beside it is in no title: that
    may be a misspelled one of a longer title.
    """

    key: str
    start: int
    end: int
    doubtful: bool = False


def title_key(words: str) -> str:
    """Make a key of a title that small slips do not change.

    `words` are folded, with one space between. A leading article, what an apostrophe cuts off, and
    the s of a plural or possessive are left out.
    """
    first, _, others = words.partition(" ")
    key = f"{others if others and first in ARTICLES else words} "
    for apart, joined in CUT_OFF:
        key = key.replace(apart, joined)
    key = key.replace("ss ", "\0").replace("s ", " ").replace("\0", "ss ")
    return " ".join(key.split()) or words


def title_keys(title: str, folded: str) -> list[str]:
    """Make the keys of a title and of its head.

    The head ends before a bracket, comma or colon. `folded` is fold(title). A head of one word is
    left out: it says too little.
    """
    words = folded.split()
    if not 0 < len(words) <= LONGEST_NAMED:
        return []
    keys = [title_key(" ".join(words))]
    mark = _HEAD.search(title)
    if mark and mark.start():
        head = title_key(" ".join(fold(title[: mark.start()]).split()))
        if " " in head:
            keys.append(head + HEAD)
    return keys


def read_words(text: str) -> list[Word]:
    """Read a question's words, at most NAMING_WORDS."""
    words: list[Word] = []
    chunks = text.split(maxsplit=NAMING_WORDS)[:NAMING_WORDS]
    starts, only_name = True, _is_only_name(chunks)
    for chunk, following in itertools.zip_longest(chunks, chunks[1:], fillvalue=""):
        bare = chunk.lstrip(_OPENS)
        quoted = chunk[:1] in "\"“«‘'"
        folded = [word for word in fold(chunk).split() if any(map(str.isalnum, word))]
        for index, word in enumerate(folded):
            first, last = index == 0, index + 1 == len(folded)
            words.append(
                Word(
                    text=word,
                    capital=bare[:1].isupper() and (not starts or quoted or only_name),
                    starts=starts and first,
                    ends=last and chunk[-1] in _CLOSES,
                    opens=last and (chunk[-1] == ":" or following[:1] in ("(", "[")),
                    quoted=quoted and first,
                )
            )
        if folded:
            starts = chunk.rstrip('"”»)')[-1] in _ENDS_SENTENCE
    return words


def named_titles(
    text: str, is_title: Callable[[str], bool], is_word: Callable[[str], bool]
) -> list[Named]:
    """Find the titles in a question, in its order.

    Of those that overlap the longest counts. `is_title` checks a key, `is_word` whether a word is
    in any title. A title of one word counts where it is quoted or has a capital letter inside a
    sentence. A title inside a longer name does not count: "Zorvaxi Blue Kettle".
    """
    words = read_words(text)
    cased = _tells_names_by_case(words)
    taken = [False] * len(words)
    found = []
    for run in sorted(_runs(words, is_title), key=lambda run: (run.start - run.end, run.start)):
        if any(taken[run.start : run.end]):
            continue
        if _counts(words, run, cased):
            before, behind = _doubts(words, run, is_word)
            if not (before and _is_one_word(run)):
                found.append(replace(run, doubtful=(before or behind) and not cased))
        taken[run.start : run.end] = [True] * (run.end - run.start)
    return sorted(found, key=lambda run: run.start)


def names_by_case(text: str) -> set[str]:
    """Find the words with the capital letter of a name."""
    words = read_words(text)
    return {word.text for word in words if word.capital} if _tells_names_by_case(words) else set()


def kind_words(text: str) -> list[str]:
    """Find the words of the kind that a question asks for.

    "red lamp", "do you have a red one?" and "tem cadeiras?" ask for one, "who made it?" does not.
    None where a capital letter shows a name.
    """
    words = read_words(text)
    kind = [word.text for word in words if word.telling and word.text not in NOT_A_KIND]
    asks = any(word.text in KIND_ASKING for word in words) or len(kind) == len(words)
    named = any(word.capital for word in words if word.text in kind)
    return kind if asks and not named and len(kind) <= KIND_WORDS else []


def number_forms(word: str) -> list[str]:
    """Spell a word in singular and plural."""
    forms = [word, f"{word}s", f"{word}es"]
    if len(word) > 3 and word.endswith("s"):
        forms.append(word[:-1])
        if word.endswith("es"):
            forms.append(word[:-2])
    return forms


def _runs(words: Sequence[Word], is_title: Callable[[str], bool]) -> Iterator[Named]:
    texts = [word.text for word in words]
    for start in range(len(texts)):
        telling = 0
        for end in range(start + 1, min(start + LONGEST_NAMED, len(texts)) + 1):
            telling += words[end - 1].telling
            run = " ".join(texts[start:end])
            key = title_key(run) if telling else run
            if is_title(key):
                yield Named(key, start, end)
            elif is_title(key + HEAD):
                yield Named(key + HEAD, start, end)


def _counts(words: Sequence[Word], run: Named, cased: bool) -> bool:
    inside = words[run.start : run.end]
    if len(inside) > 1 and inside[0].text in ARTICLES:
        inside = inside[1:]
    quoted = inside[0].quoted and inside[-1].ends
    written_as_name = quoted or (cased and all(word.capital for word in inside))
    one_word = _is_one_word(run)
    only_asks = not any(word.telling for word in inside)
    if (one_word or only_asks) and not written_as_name:
        return False
    return quoted or not cased or not _goes_on(words, run, one_word)


def _is_one_word(run: Named) -> bool:
    return " " not in run.key.removesuffix(HEAD)


def _doubts(words: Sequence[Word], run: Named, is_word: Callable[[str], bool]) -> tuple[bool, bool]:
    """Check whether the words directly before and behind are in no title."""

    def is_new(word: Word) -> bool:
        return word.telling and word.text not in ASKING and not is_word(word.text)

    if words[run.start].quoted:
        return False, False
    begins = run.start == 0 or words[run.start].starts or words[run.start - 1].ends
    stops = run.end == len(words) or words[run.end - 1].ends
    before = not begins and is_new(words[run.start - 1])
    return before, not stops and is_new(words[run.end])


def _goes_on(words: Sequence[Word], run: Named, one_word: bool) -> bool:
    """Check whether a longer name holds the title."""
    # "Crimson Kettle and Red Lamp" are two titles, "Hero & Antigua" is another than "Hero".
    joints = JOINTS if one_word else JOINTS - BETWEEN_TITLES
    head = run.key.endswith(HEAD)
    first, last = run.start, run.end - 1
    while first > 0 and not words[first].starts and not words[first - 1].ends:
        first -= 1
        if _is_name(words[first]):
            return True
        if words[first].text not in joints and not words[first].text.isdigit():
            break
    if head and words[last].opens:
        return True
    while last + 1 < len(words) and (head or not words[last].ends):
        last += 1
        if _is_name(words[last]) or (last == run.end and words[last].text.isdigit()):
            return True
        if words[last].text not in joints:
            break
    return False


def _is_name(word: Word) -> bool:
    return word.capital and word.telling


def _is_only_name(chunks: Sequence[str]) -> bool:
    """Check whether a question is a name alone: "Zorvaxi Blue Kettle"."""
    if not chunks or not fold(chunks[0]).strip() or " ".join(chunks).isupper():
        return False
    first = fold(chunks[0]).split()[0]
    asks = first in ASKING or (first in QUESTION_WORDS and first not in ARTICLES)
    for chunk in chunks:
        telling = not QUESTION_WORDS.issuperset(fold(chunk).split())
        asks = asks or (telling and not chunk.lstrip(_OPENS)[:1].isupper() and chunk[0].isalpha())
    return not asks


def _tells_names_by_case(words: Sequence[Word]) -> bool:
    """Check whether capital letters show names.

    They do where some words have none, or all words are one name.
    """
    only_name = any(word.capital and word.starts and not word.quoted for word in words)
    inside = [word.capital for word in words if not word.starts]
    return only_name or (any(inside) and not all(inside)) or any(word.quoted for word in words)
