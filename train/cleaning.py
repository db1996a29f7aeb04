"""What a title or a content loses before it is learned, and why a record is dropped."""

from __future__ import annotations

import html
import re
import unicodedata

SHORTEST = 3  # words of content
LONGEST_PHRASE, REPEATS = 8, 3  # content that is one phrase of up to 8 words, three times or more, is junk

# Only HTML's own names are tags: "5 < 6 > 4" and "<3" stay. The first kind parts words, the second does not.
PARTING = "address|article|blockquote|br|d[dlt]|div|h[1-6r]|li|[ou]l|p|pre|section|table|tbody|t[dhr]|thead"
OTHER = ("a|abbr|b|big|body|center|cite|code|em|font|head|html|i|iframe|img|input|ins|link|meta|object|param|s|small"
         "|span|strike|strong|su[bp]|tt|u")
END = r"(?:\s[^<>=]*=[^<>]*|\s*/?)>"
# What is looked for, and what takes its place, in this order; entities are undone before.
RULES = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), instead) for pattern, instead in (
    (r"<!--.{,2000}?-->|<(script|style)\b[^<>]*>.{,2000}?</\1\s*>", " "),
    (rf"</?(?:{PARTING}){END}", " "),
    (rf"</?(?:{OTHER}){END}", ""),
    (r"&(\w+);", r"&\1"),  # "R&B;" was "R&B" before a parser closed the entity
    ("[\u00c2\u00c3][\u00a1-\u00ba\u00bc-\u00bf]", lambda pair: pair[0].encode("latin-1").decode()),  # "Ã©" was "é"
    (r"-{0,2}\s{0,2}This text refers to [^.]{1,80}?edition(?: of this title)?\.", " "),  # the shop's own note
    ("[\u00ad\u200b\u2060\ufeff\ufdd0-\ufdef\ud800-\udfff]", ""),
    (r"[\s\x00-\x1f\x7f-\x9f]+", " "),
)]


def clean(text: str) -> str:
    """Returns `text` as one line of plain NFC text, without entities (up to three times escaped) and tags."""
    for _ in range(3):
        text = html.unescape(text)
    for pattern, instead in RULES:
        text = pattern.sub(instead, text)
    return unicodedata.normalize("NFC", text).strip()


def field(item: dict, name: str) -> str:
    """Returns the clean text of a field, a list of strings joined; empty where there is no text."""
    value = item.get(name)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    return clean(value) if isinstance(value, str) else ""


def fault(title: str, content: str) -> str | None:
    """Returns the reason to drop a record for what it says, or None."""
    words = re.findall(r"\w+", content.casefold())
    if not title:
        return "no_title"
    if not content:
        return "no_content"
    if (not any(map(str.isalpha, content)) or content.casefold() == title.casefold() or any(
            len(words) >= REPEATS * size and words[size:] == words[:-size] for size in range(1, LONGEST_PHRASE + 1))):
        return "junk"
    return "too_short" if len(words) < SHORTEST else None
