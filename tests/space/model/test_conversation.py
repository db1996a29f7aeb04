"""space/model/conversation.py: the turns of a conversation, prompts that agree, and what one can keep of it."""

import json
import re

import pytest

from space.model.conversation import Step, as_json, as_markdown, figures, fit_both, history, turn
from space.model.prompt import PromptTemplate, fit_prompt
from space.page.tabs import chat
from tests.fake_engine import INFO, RECORDS

EVIL = "# no heading\n<script>alert(1)</script> [1] *x*"


def said(question: str, base: str, tuned: str, sources=(), **about) -> dict:
    return turn(
        question, Step(base, tuned, list(sources), figures(0.0, None, 0, False) | about), True, 8
    )


def test_each_column_has_its_own_history_and_a_stopped_turn_is_none():
    talk = [said("a", "base a", "tuned a"), said("b", "", ""), said("c", "", "tuned c")]
    assert history(talk, "base") == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "base a"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": ""},
    ]
    assert [message["content"] for message in history(talk, "tuned")] == [
        "a",
        "tuned a",
        "c",
        "tuned c",
    ]


def test_prompts_agree_whatever_has_to_go(tokenizer):
    records = [
        {"title": title, "content": content * 12}
        for title, content in (("Kettle", "It is of oak and steel. "), ("Lamp", "It burns oil. "))
    ]
    for long in (0, 10, 40, 90):
        histories = [
            history(
                [
                    said(
                        f"q{place}",
                        "word " * (long if column == "base" else 4),
                        "word " * (long // 2),
                    )
                    for place in range(3)
                ],
                column,
            )
            for column in ("base", "tuned")
        ]
        for room in range(90, 420, 30):
            for context in (records, ()):
                both = fit_both(
                    lambda task, context, past, room=room: fit_prompt(
                        tokenizer, PromptTemplate(), task, "And this?", context, past, room=room
                    ),
                    "answer",
                    context,
                    histories,
                )
                assert both[0].context == both[1].context and len(both[0].talk) == len(both[1].talk)
                assert both[0].talk[-1] == both[1].talk[-1], (
                    "nothing differs but what was said before"
                )
                assert all(len(prompt.ids) <= room for prompt in both)


def test_a_conversation_can_be_kept_as_json():
    talk = [said("What?", "a", "b", RECORDS)]
    kept = json.loads(as_json(talk, INFO))
    assert kept["turns"] == talk and kept["models"] == INFO


def test_a_conversation_can_be_kept_as_markdown_in_either_language():
    record = {**RECORDS[0], "title": EVIL, "content": EVIL}
    talk = [said(EVIL, EVIL, "b", [record], seed=5, temperature=0.7), said("And?", "c", "d")]
    text = as_markdown(talk, INFO, "en")
    assert "<script" not in text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert len(headings) == 1 + 2 * 3 + 1 and "# no heading" not in text.splitlines()
    assert "0 tokens in 0.0 s, temperature 0.7, seed 5" in text and INFO["adapter"] in text
    assert "semente 5" in as_markdown(talk, INFO, "pt")


@pytest.mark.parametrize(
    "words", ["# Big", "---", "![x](http://elsewhere)", "> deeper", "- item", "===", "`code`"]
)
def test_what_was_said_does_nothing_in_markdown(words):
    quoted = [
        line.removeprefix("> ")
        for line in as_markdown([said("What?", f"so\n{words}", "b")], INFO, "en").splitlines()
        if line.startswith("> ")
    ]
    assert quoted[2].startswith("\\") and re.sub(r"\\(.)", r"\1", quoted[2]) == words


def test_a_page_in_a_language_that_is_not_ours_keeps_its_conversation_in_english():
    assert [chat._written(language) for language in ("de-DE", "en", "pt-BR", "pt", "")] == [
        "en",
        "en",
        "pt",
        "pt",
        "en",
    ]
