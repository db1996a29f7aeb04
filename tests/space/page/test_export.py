"""space/page/export.py: a conversation as a file to keep."""

import json
import re
from types import SimpleNamespace

import gradio as gr
import pytest

from space.page.export import export_json, export_markdown, file_language
from space.page.tabs.ask import Asked, AskTab
from space.settings import Settings
from tests.fake_engine import INFO, RECORDS, FakeEngine
from tests.space.model.test_conversation import said

EVIL = "# no heading\n<script>alert(1)</script> [1] *x*"


def test_a_conversation_can_be_kept_as_json():
    talk = [said("What?", "a", "b", RECORDS)]
    kept = json.loads(export_json(talk, INFO))
    assert kept["turns"] == talk and kept["models"] == INFO


def test_the_json_export_holds_no_internal_field_of_the_page():
    with gr.Blocks():
        tab = AskTab(FakeEngine(delay=0), INFO, Settings())
    request = SimpleNamespace(headers={})
    steps = list(tab.write(Asked("What?", 0, again=False), [], True, 8, 0.0, None, request))
    kept = json.loads(export_json(steps[-1][1], INFO))
    assert set(kept["turns"][0]) == {
        "question",
        "base",
        "tuned",
        "sources",
        "figures",
        "use_sources",
        "max_new_tokens",
    }


def test_a_conversation_can_be_kept_as_markdown_in_either_language():
    record = {**RECORDS[0], "title": EVIL, "content": EVIL}
    talk = [said(EVIL, EVIL, "b", [record], seed=5, temperature=0.7), said("And?", "c", "d")]
    text = export_markdown(talk, INFO, "en")
    assert "<script" not in text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == 1 + 2 * 3 + 1 and "# no heading" not in text.splitlines()
    assert "0 tokens in 0.0 s, temperature 0.7, seed 5" in text and INFO["adapter"] in text
    assert "semente 5" in export_markdown(talk, INFO, "pt")


@pytest.mark.parametrize(
    "words", ["# Big", "---", "![x](http://elsewhere)", "> deeper", "- item", "===", "`code`"]
)
def test_what_was_said_does_nothing_in_markdown(words):
    quoted = [
        line.removeprefix("> ")
        for line in export_markdown([said("What?", f"so\n{words}", "b")], INFO, "en").splitlines()
        if line.startswith("> ")
    ]
    assert quoted[2].startswith("\\") and re.sub(r"\\(.)", r"\1", quoted[2]) == words


def test_a_page_in_a_language_that_is_not_ours_keeps_its_conversation_in_english():
    assert [file_language(language) for language in ("de-DE", "en", "pt-BR", "pt", "")] == [
        "en",
        "en",
        "pt",
        "pt",
        "en",
    ]
