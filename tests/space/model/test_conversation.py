"""space/model/conversation.py: the turns of a conversation, and prompts that agree."""

from space.model.conversation import Step, column_messages, fit_prompts
from space.model.prompt import fit_prompt
from space.model.prompt_template import PromptTemplate


def said(question: str, base: str, tuned: str, sources=(), **about) -> dict:
    none = {"tokens": 0, "seconds": 0.0}
    figures = {"temperature": 0.0, "seed": None, "left_out": 0, "kept": False}
    step = Step(base, tuned, list(sources), {**figures, "base": none, "tuned": none, **about})
    return step.as_turn(question, True, 8)


def test_each_column_has_its_own_history_and_a_stopped_turn_is_none():
    talk = [said("a", "base a", "tuned a"), said("b", "", ""), said("c", "", "tuned c")]
    assert column_messages(talk, "base") == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "base a"},
        {"role": "user", "content": "c"},
        {"role": "assistant", "content": ""},
    ]
    assert [message["content"] for message in column_messages(talk, "tuned")] == [
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
            column_messages(
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
                both = fit_prompts(
                    lambda task, context, past, room=room: fit_prompt(
                        tokenizer, PromptTemplate(), task, "And this?", context, past, room=room
                    ),
                    "answer",
                    context,
                    histories,
                )
                assert both[0].context == both[1].context and len(both[0].messages) == len(
                    both[1].messages
                )
                assert both[0].messages[-1] == both[1].messages[-1], (
                    "nothing differs but what was said before"
                )
                assert all(len(prompt.ids) <= room for prompt in both)
