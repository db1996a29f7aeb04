"""space/model/conversation.py: the turns of a conversation, and prompts that agree."""

from space.model.conversation import Step, figures, fit_both, history, turn
from space.model.prompt import PromptTemplate, fit_prompt


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
