"""Find the whole titles that a question names, whatever else it says."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from space.catalogue.text import QUESTION_WORDS, fold

NAMING_WORDS = 400  # of a question in which titles are looked for; a look-up for each run of them
LONGEST_NAMED = 20  # words of a title that is looked up whole
ARTICLES = frozenset("the a an o a os as um uma".split())
# What an apostrophe leaves behind: "mog s", "don t". People leave the apostrophe out as well.
CONTRACTED = frozenset("s t m d re ve ll".split())
# Names go on behind these: "Antonio of the Wrath".
JOINTS = frozenset("of the a an and for with in on to is de da do das dos o e em para com".split())
BETWEEN_TITLES = frozenset("and with to e com para".split())
# A sentence that begins with one of these, or a question word, does not begin with a name.
ASKING = frozenset(
    """any buy choose compare explain hello hey hi list looking need recommend say search so suggest
summarise summarize thanks want
compara comparar compare comprar escolha liste busco oi ola preciso procure procuro queria quero
recomende resuma resume sugira""".split()
)
HEAD = " …"  # behind the key of a title's head
_HEAD = re.compile(r"\s*[(\[,:]")
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
    """A run of a question's words that is a title: its key, first word and the one after it."""

    key: str
    start: int
    end: int


def title_key(words: Sequence[str]) -> str:
    """Join a title's folded words so that small slips do not matter.

    A leading article, apostrophes, and the s of a plural or possessive are left out.
    """
    if len(words) > 1 and words[0] in ARTICLES:
        words = words[1:]
    joined: list[str] = []
    for word in words:
        if joined and word in CONTRACTED:
            joined[-1] += word
        else:
            joined.append(word)
    return " ".join(map(_singular, joined))


def title_keys(title: str, folded: str) -> list[str]:
    """Make the keys of a title: the whole one, and its head before a bracket, comma or colon.

    `folded` is fold(title). A head of one word is left out: it says too little.
    """
    words = folded.split()
    keys = [title_key(words)] if 0 < len(words) <= LONGEST_NAMED else []
    mark = _HEAD.search(title)
    if mark and mark.start():
        head = title_key(fold(title[: mark.start()]).split()[:LONGEST_NAMED])
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


def named_titles(text: str, is_title: Callable[[str], bool]) -> list[Named]:
    """Find the titles in a question, in its order; of those that overlap the longest.

    `is_title` checks a key. A title of one word counts where it is quoted or has a capital letter
    inside a sentence. A title inside a longer name does not count: "Zorvaxi Blue Kettle".
    """
    words = read_words(text)
    cased = _tells_names_by_case(words)
    taken = [False] * len(words)
    found = []
    for run in sorted(_runs(words, is_title), key=lambda run: (run.start - run.end, run.start)):
        if any(taken[run.start : run.end]):
            continue
        if _counts(words, run, cased):
            found.append(run)
        taken[run.start : run.end] = [True] * (run.end - run.start)
    return sorted(found, key=lambda run: run.start)


def names_by_case(text: str) -> set[str]:
    """Find the words with the capital letter of a name."""
    words = read_words(text)
    return {word.text for word in words if word.capital} if _tells_names_by_case(words) else set()


def _runs(words: Sequence[Word], is_title: Callable[[str], bool]) -> Iterator[Named]:
    texts = [word.text for word in words]
    for start in range(len(texts)):
        telling = 0
        for end in range(start + 1, min(start + LONGEST_NAMED, len(texts)) + 1):
            telling += words[end - 1].telling
            key = title_key(texts[start:end]) if telling else " ".join(texts[start:end])
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
    one_word = " " not in run.key.removesuffix(HEAD)
    only_asks = not any(word.telling for word in inside)
    if (one_word or only_asks) and not written_as_name:
        return False
    return quoted or not cased or not _goes_on(words, run, one_word)


def _goes_on(words: Sequence[Word], run: Named, one_word: bool) -> bool:
    """Check whether a name goes on before or behind a title inside it."""
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
    """Check whether a question is a name and nothing else: "Zorvaxi Blue Kettle"."""
    if not chunks or not fold(chunks[0]).strip() or " ".join(chunks).isupper():
        return False
    first = fold(chunks[0]).split()[0]
    asks = first in ASKING or (first in QUESTION_WORDS and first not in ARTICLES)
    for chunk in chunks:
        telling = not QUESTION_WORDS.issuperset(fold(chunk).split())
        asks = asks or (telling and not chunk.lstrip(_OPENS)[:1].isupper() and chunk[0].isalpha())
    return not asks


def _tells_names_by_case(words: Sequence[Word]) -> bool:
    """Check whether capital letters show names: some words have none, or all are one name."""
    only_name = any(word.capital and word.starts and not word.quoted for word in words)
    inside = [word.capital for word in words if not word.starts]
    return only_name or (any(inside) and not all(inside)) or any(word.quoted for word in words)


def _singular(word: str) -> str:
    plural = len(word) > 3 and word[-1] == "s" and word[-2] != "s"
    return word[:-1] if plural else word
