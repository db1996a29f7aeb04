"""The rules of cleaning, in one table and in order: what a text loses before it is learned, and why a record goes."""

from __future__ import annotations

import functools
import html
import re
import string
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import polars as pl

SHORTEST = 3  # words of content
LONGEST = 10_000  # characters of content; a longer one is cut at a sentence
LONGEST_PHRASE, REPEATS = (
    8,
    3,
)  # content that is one phrase of up to 8 words, three times or more, is junk
BOILERPLATE = (
    5  # titles that share one content; as many or more, and it says nothing about any of them
)

# Only HTML's own names are tags: "5 < 6 > 4" and "<3" stay. The first kind parts words, the second does not.
PARTING = "address|article|blockquote|br|d[dlt]|div|h[1-6r]|li|[ou]l|p|pre|section|table|tbody|t[dhr]|thead"
OTHER = (
    "a|abbr|b|big|body|center|cite|code|em|font|head|html|i|iframe|img|input|ins|link|meta|object|param|s|small"
    "|span|strike|strong|su[bp]|tt|u"
)
END = r"(?:\s[^<>=]*=[^<>]*|\s*/?)>"
ENTITY = re.compile(
    r"&(?:#|[^\t\n\f <&#;])[^\t\n\f <&#;]{0,31};?"
)  # what html.unescape() looks at, or more
SENTENCE_END = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]]*(?=\s)")

PUNCTUATION = string.punctuation.encode()
TYPOGRAPHIC = re.compile("[\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\u00ab\u00bb\u00b4]")


class Rule(NamedTuple):
    """A repair: its name in the report, what it does, and the function from texts to texts."""

    name: str
    words: str
    apply: Callable[[pl.Series], pl.Series]


def swap(pattern: str, instead: str) -> Callable[[pl.Series], pl.Series]:
    """Returns the function that puts `instead` in the place of every match; patterns are Rust's, linear in time."""
    return lambda texts: texts.str.replace_all(pattern, instead)


def where(
    needs: Callable[[pl.Series], pl.Series], repair: Callable[[list[str]], list[str]]
) -> Callable[[pl.Series], pl.Series]:
    """Returns the function that repairs only the texts for which `needs` is true: most need nothing, and are left in peace."""

    def apply(texts: pl.Series) -> pl.Series:
        places = needs(texts).arg_true()
        if not len(places):
            return texts
        given = texts[places].to_list()
        after = repair(given)
        changed = [at for at, (old, new) in enumerate(zip(given, after, strict=True)) if old != new]
        # scatter() changes the series that it is called on.
        return (
            texts.clone().scatter(places[changed], [after[at] for at in changed])
            if changed
            else texts
        )

    return apply


def has(pattern: str, literal: bool = False) -> Callable[[pl.Series], pl.Series]:
    """Returns the test for a pattern."""
    return lambda texts: texts.str.contains(pattern, literal=literal)


@functools.lru_cache(4096)
def _entity(written: str) -> str:
    return html.unescape(written)


def _unescape(text: str) -> str:
    for _ in range(3):
        if "&" not in text:
            break
        text = ENTITY.sub(lambda found: _entity(found[0]), text)
    return text


def _misread() -> dict[str, str]:
    """UTF-8 that was read as Latin-1 or Windows-1252, and what it was: "\u00c3\u00a9" was "\u00e9"."""
    found = {}
    for right in [
        *map(chr, range(0xA1, 0x100)),
        *"\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u2022\u2122\u20ac",
    ]:
        for encoding in ("latin-1", "cp1252"):
            wrong = right.encode().decode(encoding, "ignore")
            # A closing guillemet after a capital is French or Portuguese, and two characters are the least.
            if len(wrong) == len(right.encode()) and not wrong.endswith("\u00bb"):
                found[wrong] = right
    return found


MISREAD = _misread()
MISREADING = re.compile("|".join(sorted(map(re.escape, MISREAD), key=len, reverse=True)))
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\ufdd0-\ufdef]")
BEYOND_ASCII = r"[^\x00-\x7f]"


RULES = (
    Rule(
        "entities",
        "HTML entities are undone, up to three times escaped",
        where(has("&", literal=True), lambda texts: list(map(_unescape, texts))),
    ),
    Rule(
        "comments",
        "comments, scripts and styles go with all that is in them",
        swap(r"(?is)<!--.*?-->|<script\b[^<>]*>.*?</script\s*>|<style\b[^<>]*>.*?</style\s*>", " "),
    ),
    Rule(
        "parting_tags",
        "tags that part words (paragraphs, breaks, lists) become a blank",
        swap(rf"(?i)</?(?:{PARTING}){END}", " "),
    ),
    Rule(
        "other_tags",
        "other tags of HTML go, and their text stays",
        swap(rf"(?i)</?(?:{OTHER}){END}", ""),
    ),
    Rule(
        "closed_entities",
        '"R&B;" was "R&B" before a parser closed the entity',
        swap(r"&(\w+);", "&${1}"),
    ),
    Rule(
        "mojibake",
        "UTF-8 that was read as Latin-1 or Windows-1252 is read again",
        where(
            has("[\u00c2\u00c3\u00e2]"),
            lambda texts: [MISREADING.sub(lambda wrong: MISREAD[wrong[0]], text) for text in texts],
        ),
    ),
    Rule(
        "shop_notes",
        "the shop's note on another edition goes",
        swap(r"-{0,2}\s{0,2}This text refers to [^.]{1,80}?edition(?: of this title)?\.", " "),
    ),
    Rule(
        "invisible",
        "soft hyphens, zero-width characters and noncharacters go",
        where(has(INVISIBLE.pattern), lambda texts: [INVISIBLE.sub("", text) for text in texts]),
    ),
    # A single blank, which is nearly every match of a simpler pattern, is left in peace.
    Rule(
        "white_space",
        "white space and control characters become one blank",
        lambda texts: (
            texts.str.replace_all(r"[[\s\x00-\x1f\x7f-\u009f]&&[^ ]]", " ")
            .str.replace_all(" {2,}", " ")
            .str.strip_chars()
        ),
    ),
    Rule(
        "nfc",
        "accents are composed (Unicode NFC)",
        where(
            has(BEYOND_ASCII), lambda texts: [unicodedata.normalize("NFC", text) for text in texts]
        ),
    ),
    Rule(
        "cut",
        f"a text of over {LONGEST:,} characters is cut at a sentence",
        where(lambda texts: texts.str.len_bytes() > LONGEST, lambda texts: list(map(cut, texts))),
    ),
)

DROPS = {
    "blank": "an empty line",
    "broken": "not a JSON object, or a torn row",
    "oversized": "a line of over 16 MiB",
    "no_title": "no title is left",
    "no_content": "no content is left",
    "junk": f"no letter, the title again, or one phrase {REPEATS} times or more",
    "too_short": f"under {SHORTEST} words",
    "duplicate_title": "a title seen before, whatever its case, accents and punctuation",
    "boilerplate": f"a content that {BOILERPLATE} titles or more share",
    "duplicate_content": "a content seen before, whatever its case and punctuation",
    "not_sampled": "not among the records that --limit chose",
}


def clean(text: str) -> str:
    """Returns `text` as one line of plain NFC text, as all rules leave it."""
    texts = pl.Series([text.encode("utf-8", "ignore").decode()])
    for rule in RULES:
        texts = rule.apply(texts)
    return texts[0]


def cut(text: str) -> str:
    """Returns a text of up to LONGEST characters as it is, a longer one up to a sentence's or else a word's end."""
    if len(text) <= LONGEST:
        return text
    ends = [match.end() for match in SENTENCE_END.finditer(text[: LONGEST + 1])]
    return text[: ends[-1]] if ends else text[:LONGEST].rpartition(" ")[0] or text[:LONGEST]


def text_of(value) -> str:
    """Returns the text of a field as it came, a list of strings joined; empty where there is no text."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    return value if isinstance(value, str) else ""


def bare(content: str) -> bytes:
    """Returns a content without case and punctuation, as UTF-8: two with the same are one; one of symbols alone is itself."""
    if content.isascii():
        return content.encode().lower().translate(None, PUNCTUATION) or content.encode()
    return (
        TYPOGRAPHIC.sub("", content.casefold()).encode().translate(None, PUNCTUATION)
        or content.encode()
    )


def fault(title: str, content: str, body: bytes) -> str | None:
    """Returns the reason to drop a record for what it says, once it is clean, or None; `body` is its bare() content."""
    if not title:
        return "no_title"
    if not content:
        return "no_content"
    if not any(map(str.isalpha, content)) or (
        len(content) <= 2 * len(title) and content.casefold() == title.casefold()
    ):
        return "junk"
    # A phrase said again begins again within its own length; few honest contents do, and only they are looked at.
    if len(content) > 100 and body.find(body[:8], 1, 400) < 0:
        return None
    words = re.findall(r"\w+", content.casefold())
    if any(
        len(words) >= REPEATS * size and words[size:] == words[:-size]
        for size in range(1, LONGEST_PHRASE + 1)
    ):
        return "junk"
    return "too_short" if len(words) < SHORTEST else None
