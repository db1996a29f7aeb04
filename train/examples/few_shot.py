"""Worked examples before a question: the base's best fair chance."""

from __future__ import annotations

import random
from dataclasses import replace

from space.catalogue import detect_language
from space.model import build_messages
from train.examples.examples import Example, Examples, first


def worked(examples: Examples, example: Example, shots: int) -> Example:
    """Returns the example with up to `shots` worked examples of its task and language before it, as they fit."""
    tongue, makers = (
        detect_language(example.answer),
        {
            "describe": lambda record: examples.describe(record, 0),
            "answer": lambda record: examples.answer(record, 0),
            "summarize": examples.summarize,
        },
    )
    known = examples.summed_up if example.task == "summarize" else examples.read
    alike = (
        record
        for record in known
        if record["uid"] != example.uid and detect_language(record["content"]) == tongue
    )
    shown = first(shots, (makers[example.task](record) for record in alike))
    if example.task == "answer" and len(shown) > 1:
        # What is absent is asked about too: the base is shown what is said then.
        shown[0] = (
            examples.absent(shown[0].title, tongue, shown[0].uid, 0, random.Random(0)) or shown[0]
        )
    history: list[dict] = []
    for shot in shown:
        # One record is enough to show what is wanted, and leaves room for the question.
        context = [record for record in shot.context if record["uid"] == shot.uid]
        asked = build_messages(examples.prompt_template, shot.task, shot.text, context)
        answer = (
            shot.answer
            if not context
            else examples.told(context[0]) + examples.prompt_template.citation.format(position=1)
        )
        history += [*asked, {"role": "assistant", "content": answer}]
    while history and not examples.fits(replace(example, history=tuple(history))):
        history = history[2:]
    return replace(example, history=tuple(history))
