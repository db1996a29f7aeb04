"""space/page/missing.py: what is missing, how to mend it, and endpoints that refuse."""

import pytest

from space.errors import InputError, ModelError
from space.page.missing import Missing, build_missing, one_line, render_missing
from space.settings import Settings, SettingsError
from tests.languages import visible_text

SETTINGS = Settings(base_model="meta/large", adapter="ana/shop")


def shown(message: str) -> str:
    return visible_text(render_missing(ModelError(message), SETTINGS))


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ("base meta/large: access a gated repo", "handed out only to those who accepted"),
        (
            "base meta/large is not a valid model identifier",
            "which is not on the Hub, or is private",
        ),
        ("base meta/large: `tiktoken` is required", "What BASE_MODEL names cannot be served."),
        ("base meta/large cannot be loaded", "What BASE_MODEL names cannot be served."),
        ("no space left", "What the variables names cannot be served."),
    ],
)
def test_each_kind_of_problem_has_its_words(message, problem):
    text = shown(message)
    assert problem in text and message in text and "ana/shop" in text


def test_a_wrong_variable_shows_no_values():
    text = visible_text(render_missing(SettingsError("PORT is wrong", SETTINGS), SETTINGS))
    assert "Correct them under" in text and "PORT is wrong" in text and "meta/large" not in text


def test_no_token_is_shown():
    token = "hf_" + "a" * 20
    assert one_line(ValueError(f"bad\n{token}")) == "bad hf_…"
    assert token not in render_missing(ModelError(token), Settings(base_model=token))


def test_every_endpoint_refuses_in_the_problems_words():
    missing = Missing("no base")
    for call in (missing.answer, missing.summarize, missing.explain, missing.search, missing.info):
        with pytest.raises(InputError, match="no base"):
            call("question", 1)
    endpoints = build_missing(ModelError("no base"), SETTINGS).get_api_info()["named_endpoints"]
    assert set(endpoints) == {"/answer", "/summarize", "/explain", "/search", "/info"}
