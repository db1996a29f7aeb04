"""What a summary rests on: its sentences, each with those of the text that say the same, by the words that they share."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from space.catalogue import FUNCTION_WORDS

CITATION = re.compile(r"\[(\d{1,3})\]")  # what PromptTemplate.citation writes
ENOUGH = 0.5  # of a sentence's telling words; below it a sentence rests on nothing
MOST = 3  # sentences of a text that one of a summary may rest on
GAIN = 2  # telling words that each sentence but the first must add
SHORT_LINE = 50  # characters; a line that ends before is no line that was wrapped

Span = tuple[int, int]  # of a text: its first character and the one after its last
# Possessive, and begun where a run of them begins: a page of dots would be read from each of its dots otherwise.
END = re.compile(r"(?<![.!?…؟۔।])[.!?…؟۔।]++[\"'”’»)\]]*+(?=\s|$)|[。！？]+[」』”’)]*|\n")
NEXT = re.compile(r"\s*[\"'“‘«(\[¿¡]*(\S?)")
ITEM = re.compile(r"\s*(?:[-*•–—·]|\d{1,3}[.)])[ \t]")
LAST_WORD = re.compile(r"[\w.]+$")
TITLES = frozenset(
    "dr dra mr mrs ms sr sra srta prof profa st jr e.g i.e p.ex eng exmo vs cf".split()
)
BEFORE_NUMBERS = frozenset(
    "no nr n núm num p pp pg pág págs fig figs vol art cap ed approx aprox ca tel r ref".split()
)

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# A run of letters; where none is between words (Chinese, Japanese), each sign.
WORD = re.compile(
    rf"{NUMBER.pattern}|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+"
)
# What says nothing of what a sentence is about, but to hold it together.
PLAIN_WORDS = (
    FUNCTION_WORDS["en"]
    | FUNCTION_WORDS["pt"]
    | frozenset(
        """an as at be been but by can do does has have he her his
i if its not on or our she so than their them then there these they was we were when who will would your s t d ll re ve
à ao aos às até como da das dela dele desta deste dois duas e ela ele eles era essa esse esta este eu foi há isso isto já
lhe mais mas me mesmo muito nas nem nos num numa ou pela pelas pelo pelos são se sem ser seu seus sua suas são só também te
tem têm uma uns umas""".split()
    )
)


@dataclass(frozen=True)
class Sentence:
    """A sentence of a summary: where it stands there, and which sentences of the text it rests on."""

    start: int
    end: int
    rests_on: tuple[int, ...] = ()  # places among the text's sentences, in their order
    lacks: tuple[str, ...] = ()  # its numbers that none of these has
    says: bool = True  # whether it has a telling word, which could rest on one


def sentences(text: str) -> list[Span]:
    """Returns where each sentence of a text stands, in order, without the blanks around it.

    A sentence ends at its mark where no lower-case letter follows, but not after an abbreviation, an initial or a list's
    number; at an empty line; before a list's item; and where a short line ends and no lower-case letter follows.
    """
    spans, start = [], 0
    for end in (
        *(found.end() for found in END.finditer(text) if _ends(text, start, found)),
        len(text),
    ):
        part = text[start:end]
        if part.strip():
            spans.append((start + len(part) - len(part.lstrip()), start + len(part.rstrip())))
        start = end
    return spans


def support(summary: str, text: str) -> list[Sentence]:
    """Returns the sentences of a summary, each with up to MOST sentences of `text` that it rests on.

    The first is the one that has most of its telling words, a number counting twice; each further one adds at least GAIN of
    them. It rests on none where these together have less than ENOUGH of its telling words. The idea is coverage by the source
    (Grusky et al. 2018, section 4.1), sentence by sentence.
    """
    told = [set(telling(text[start:end])) for start, end in sentences(text)]
    return [_rests(summary, span, told) for span in sentences(summary)]


def telling(text: str) -> list[str]:
    """Returns the words of a sentence that say what it is about, accents kept, case and plural's s gone."""
    found = WORD.findall(unicodedata.normalize("NFC", text).casefold())
    return [_key(word) for word in found if word not in PLAIN_WORDS]


def plain_number(number: str) -> str:
    """1,000 and 1.000 are 1000; 1,5 is 1.5; 1.50 stays what it is."""
    return re.sub(r"[.,](?=\d{3}(?!\d))", "", number).replace(",", ".")


def _rests(summary: str, span: Span, told: list[set[str]]) -> Sentence:
    """Returns the sentence at `span` with the places of those in `told`, the telling words of a text's, that it rests on."""
    sentence = CITATION.sub(" ", summary[slice(*span)])
    said, places = set(telling(sentence)), []
    missing = set(said)
    while missing and len(places) < MOST:
        # Of equals the sentence that says least else, and of these the first.
        best = max(
            _near(missing, told),
            key=lambda near: (near[0], -len(told[near[1]]), -near[1]),
            default=(0, -1),
        )
        found = missing & told[best[1]] if best[0] else set()
        if len(found) < (GAIN if places else 1):
            break
        places.append(best[1])
        missing -= found
    if not places or len(said) - len(missing) < ENOUGH * len(said):
        return Sentence(*span, says=bool(said))
    lacks = tuple(number for number in NUMBER.findall(sentence) if plain_number(number) in missing)
    return Sentence(*span, tuple(sorted(places)), lacks)


def _near(words: set[str], told: list[set[str]]) -> Iterator[tuple[int, int]]:
    """Yields (how much of `words` it has, its place) of each sentence that has some."""
    for place, known in enumerate(told):
        common = words & known
        if common:
            yield len(common) + sum(word[0].isdigit() for word in common), place


def _key(word: str) -> str:
    if word[0].isdigit():
        return plain_number(word)
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _ends(text: str, start: int, found: re.Match) -> bool:
    """Whether a sentence that began at `start` ends with this mark or line break."""
    after = NEXT.match(text, found.end())[1]
    if found[0] == "\n":
        return _line_ends(text, found.start(), after)
    if after.islower():
        return False
    if found[0] != "." or not after:
        return True
    before = LAST_WORD.search(text, max(start, found.start() - 24), found.start())
    word = before[0] if before else ""
    if word.casefold() in TITLES or (word.casefold() in BEFORE_NUMBERS and after.isdigit()):
        return False
    if len(word) == 1 and word.isupper():  # an initial
        return False
    return not (
        word.isdigit()
        and len(word) <= 3
        and not text[text.rfind("\n", 0, before.start()) + 1 : before.start()].strip()
    )


def _line_ends(text: str, place: int, after: str) -> bool:
    """Whether the line break at `place` ends a sentence; `after` is the first letter behind it."""
    if re.match(r"[ \t\r]*\n", text[place + 1 : place + 80]) or ITEM.match(text, place + 1):
        return True
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return len(line) < SHORT_LINE and not after.islower()
