"""Every text that a visitor reads, in English and in Portuguese: as words, as HTML in both, and for gradio's labels."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NoReturn

LANGUAGES = ("en", "pt")
# {key: {language: format string}}
TEXTS: dict[str, dict[str, str]] = json.loads(
    Path(__file__).with_name("texts.json").read_text(encoding="utf-8")
)
Say = Callable[..., str]  # words() or html()
# Control characters but line breaks and tabs, lone surrogates, and the noncharacters that prompts
# use as markers.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef]")


class Html(str):
    """HTML, which html() inserts without escaping it.

    Change a text before it becomes Html: these methods would also change tags and entities, and
    their result is a plain str, which html() would escape once more.
    """

    def upper(self, *_) -> NoReturn:
        raise TypeError("change the text before it becomes Html")

    capitalize = casefold = lower = replace = swapcase = title = translate = upper


def words(key: str, language: str = "en", **values) -> str:
    """Returns a text in one language; whole numbers among `values` are written as they are there: 20,001 or 20.001."""
    return TEXTS[key][language].format(
        **{name: number(value, language) for name, value in values.items()}
    )


def html(key: str, **values) -> Html:
    """Returns a text as HTML in both languages; page.css shows the one that the page is in.

    Values are escaped, but Html; a dict of {language: value} has another one in each.
    """
    said = []
    for language in LANGUAGES:
        own = {
            name: value[language] if isinstance(value, dict) else value
            for name, value in values.items()
        }
        safe = {
            name: value if isinstance(value, Html | int) else escape(str(value))
            for name, value in own.items()
        }
        said.append(words(key, language, **safe))
    if said[0] == said[1]:
        return Html(said[0])
    return Html(
        "".join(
            f'<span class="{language}" lang="{language}">{text}</span>'
            for language, text in zip(LANGUAGES, said, strict=True)
        )
    )


def decimal(text: str) -> dict[str, str]:
    """Returns a decimal number, as Python writes it, for html(): with a comma in Portuguese."""
    return {"en": text, "pt": text.replace(".", ",")}


def number(value, language: str):
    """Returns a whole number with the language's mark between thousands; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return f"{value:,}".replace(",", "." if language == "pt" else ",")


def clean_text(text: str) -> str:
    """Remove control characters (but line breaks and tabs), noncharacters and outer spaces."""
    return _CONTROLS.sub("", text).strip()
