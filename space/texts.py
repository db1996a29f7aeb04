"""The texts that a visitor reads, in English and Portuguese."""

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


def _refuse(self: Html, *_) -> NoReturn:
    raise TypeError("change the text before it becomes Html")


for _method in "capitalize casefold lower replace swapcase title translate upper".split():
    setattr(Html, _method, _refuse)


def words(key: str, language: str = "en", **values) -> str:
    """Fill in a text in one language.

    Integers are written as the language does: 20,001 or 20.001.
    """
    written = {name: _write_integer(value, language) for name, value in values.items()}
    return TEXTS[key][language].format(**written)


def html(key: str, **values) -> Html:
    """Fill in a text as HTML in both languages.

    page.css shows one of them. Values are escaped unless they are Html. A dict has a value for each
    language.
    """
    texts = {}
    for language in LANGUAGES:
        safe = {}
        for name, value in values.items():
            if isinstance(value, dict):
                value = value[language]
            safe[name] = value if isinstance(value, Html | int) else escape(str(value))
        texts[language] = words(key, language, **safe)
    if texts["en"] == texts["pt"]:
        return Html(texts["en"])
    spans = [f'<span class="{name}" lang="{name}">{text}</span>' for name, text in texts.items()]
    return Html("".join(spans))


def decimal(text: str) -> dict[str, str]:
    """Write a decimal number in each language, for html()."""
    return {"en": text, "pt": text.replace(".", ",")}


def _write_integer(value, language: str):
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return f"{value:,}".replace(",", "." if language == "pt" else ",")


def remove_controls(text: str) -> str:
    """Remove control characters (but line breaks and tabs), noncharacters and outer spaces."""
    return _CONTROLS.sub("", text).strip()
