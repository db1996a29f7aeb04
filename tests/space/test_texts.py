"""space/texts.py: every text in both languages, with the same values, and escaped as HTML."""

import json
import re
from pathlib import Path
from string import Formatter

import pytest

from space import texts
from space.texts import TEXTS, Html, decimal, html, words
from tests.languages import visible_text

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("key", TEXTS)
def test_a_text_is_there_in_both_languages_with_the_same_values(key):
    assert tuple(TEXTS[key]) == texts.LANGUAGES
    english, portuguese = (
        {name for _, name, _, _ in Formatter().parse(text) if name} for text in TEXTS[key].values()
    )
    assert english == portuguese
    assert all(text.strip() == text and text for text in TEXTS[key].values())


def test_no_key_is_there_twice_or_for_nothing():
    pairs = json.loads(
        (ROOT / "space" / "texts.json").read_text(encoding="utf-8"), object_pairs_hook=list
    )
    assert len(pairs) == len(TEXTS)
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "space").rglob("*.py")
    ).replace("'", '"')
    built = ("empty_", "long_", "not_text_", "window_")  # whose second half says what is meant
    stems = {key: re.sub(r"^(base|tuned)", "", key) for key in TEXTS}
    unused = [
        key
        for key, stem in stems.items()
        if f'"{key}"' not in code
        and not key.startswith(built)
        and not (stem != key and f'"{stem}"' in code)
        and f"}}{stem}" not in code
    ]
    assert not unused


def test_words_write_numbers_as_the_language_does():
    assert words("long_question", length=20_001, limit=20_000).startswith(
        "This question has 20,001 characters; the limit"
    )
    assert "20.001 caracteres" in words("long_question", "pt", length=20_001, limit=20_000)


def test_html_has_both_languages_and_escapes_values():
    shown = html("cannot_answer", problem="<script>alert(1)</script>")
    assert "<script>" not in shown and shown.count('lang="') == 2
    assert visible_text(shown) == "This Space cannot answer yet: <script>alert(1)</script>"
    assert (
        visible_text(shown, "pt")
        == "Este Space ainda não pode responder: <script>alert(1)</script>"
    )
    assert html("cannot_answer", problem=Html("<b>x</b>")).count("<b>x</b>") == 2
    half = html("number", number=decimal("0.5%"))
    assert visible_text(half) == "0.5%" and visible_text(half, "pt") == "0,5%"
    assert html("number", number="12%") == "12%", "what is the same in both is said once"


@pytest.mark.parametrize("change", ["upper", "lower", "title", "capitalize", "casefold", "replace"])
def test_html_is_not_changed_like_a_text(change):
    with pytest.raises(TypeError, match="before it becomes Html"):
        getattr(Html("<b>a &amp; b</b>"), change)()
    with pytest.raises(TypeError):
        Html("a").replace("a", "b")
