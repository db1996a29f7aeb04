"""Find the sentences of a text that its summary rests on, by shared words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from space.catalogue import FUNCTION_WORDS, Span, sentence_spans

CITATION = re.compile(r"\[(\d{1,3})\]")  # what PromptTemplate.citation writes
MIN_COVERAGE = 0.5  # of a sentence's content words; below it a sentence has no source
MAX_SOURCES = 3  # sentences of a text that one of a summary may rest on
MIN_GAIN = 2  # content words that each source but the first must add

NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
# A run of letters; in scripts without spaces between words (Chinese, Japanese) each sign.
WORD = re.compile(
    rf"{NUMBER.pattern}|[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+"
)
STOP_WORDS = (
    FUNCTION_WORDS["en"]
    | FUNCTION_WORDS["pt"]
    | frozenset(
        """an as at be been but by can do does has have he her his
i if its not on or our she so than their them then there these they was we were when who will would
your s t d ll re ve
à ao aos às até como da das dela dele desta deste dois duas e ela ele eles era essa esse esta este
eu foi há isso isto já lhe mais mas me mesmo muito nas nem nos num numa ou pela pelas pelo pelos são
se sem ser seu seus sua suas só também te tem têm uma uns umas""".split()
    )
)


@dataclass(frozen=True)
class SummarySentence:
    """A sentence of a summary, and the sentences of the text that it rests on."""

    start: int
    end: int
    sources: tuple[Span, ...] = ()  # where these stand in the text, in their order
    missing_numbers: tuple[str, ...] = ()  # its numbers that no source has
    has_content: bool = True  # whether it has a content word, which could rest on a source


def attribute_summary(summary: str, text: str) -> list[SummarySentence]:
    """Find the sentences of a text that a summary's sentences rest on.

    There are up to MAX_SOURCES. The first source has most of its content words, a number counting
    twice; each further one adds at least MIN_GAIN of them. There is none where they together have
    less than MIN_COVERAGE of its content words. The idea is coverage by the source (Grusky et al.
    2018, section 4.1), sentence by sentence.
    """
    text_words = {}
    for start, end in sentence_spans(text):
        text_words[start, end] = set(content_words(text[start:end]))
    return [_attribute(summary, span, text_words) for span in sentence_spans(summary)]


def content_words(text: str) -> list[str]:
    """Return the words without stop words, case and the plural's s."""
    found = WORD.findall(unicodedata.normalize("NFC", text).casefold())
    return [_word_key(word) for word in found if word not in STOP_WORDS]


def normalise_number(number: str) -> str:
    """Write 1,000 and 1.000 as 1000, and 1,5 as 1.5."""
    return re.sub(r"[.,](?=\d{3}(?!\d))", "", number).replace(",", ".")


def _attribute(summary: str, span: Span, text_words: Mapping[Span, set[str]]) -> SummarySentence:
    sentence = CITATION.sub(" ", summary[slice(*span)])
    words = set(content_words(sentence))
    missing, sources = set(words), []
    while missing and len(sources) < MAX_SOURCES:
        best = _best_source(missing, text_words)
        found = missing & text_words[best] if best is not None else set()
        if best is None or len(found) < (MIN_GAIN if sources else 1):
            break
        sources.append(best)
        missing -= found
    if not sources or len(words) - len(missing) < MIN_COVERAGE * len(words):
        return SummarySentence(*span, has_content=bool(words))
    numbers = NUMBER.findall(sentence)
    lacking = tuple(number for number in numbers if normalise_number(number) in missing)
    return SummarySentence(*span, tuple(sorted(sources)), lacking)


def _best_source(words: set[str], text_words: Mapping[Span, set[str]]) -> Span | None:
    """Find the sentence with most of `words`.

    Of equals it is the one with fewest others, and then the first.
    """
    best, best_rank = None, (0, 0)
    for span, known in text_words.items():
        common = words & known
        if not common:
            continue
        rank = (len(common) + sum(word[0].isdigit() for word in common), -len(known))
        if best is None or rank > best_rank:
            best, best_rank = span, rank
    return best


def _word_key(word: str) -> str:
    if word[0].isdigit():
        return normalise_number(word)
    plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word
