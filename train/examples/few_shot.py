"""Few-shot prompts for the base model."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from space.catalogue import detect_language
from space.model import Message, build_messages
from train.examples.examples import Example, Examples, take_first


def add_few_shot(examples: Examples, example: Example, shots: int) -> Example:
    """Put up to `shots` solved examples before an example, as they fit.

    They are of its task and language.
    """
    shown = take_first(shots, _similar_examples(examples, example))
    if example.form:
        shown = take_first(shots, _asked_examples(examples, example))
    elif example.task == "answer" and len(shown) > 1:
        # Some questions have no answer in the catalogue: the base is shown what to say then.
        first, language = shown[0], detect_language(example.answer)
        unanswerable = examples.unanswerable(first.title, language, first.uid, 0, random.Random(0))
        shown[0] = unanswerable or first
    history: list[Message] = []
    for shot in shown:
        # One record is enough to show what is wanted, and leaves room for the question.
        context = [record for record in shot.context if record["uid"] == shot.uid]
        if shot.form:
            context = list(shot.context)
        history += build_messages(examples.prompt_template, shot.task, shot.text, context)
        answer = shot.answer
        if context and not shot.form:
            citation = examples.prompt_template.citation.format(position=1)
            answer = examples.quote(context[0]) + citation
        history.append({"role": "assistant", "content": answer})
    while history and not examples.fits(replace(example, history=tuple(history))):
        history = history[2:]
    return replace(example, history=tuple(history))


def _asked_examples(examples: Examples, example: Example) -> Iterator[Example | None]:
    """Yield questions for facts in the example's language.

    Every third is for one that is not stated.
    """
    language, rng = detect_language(example.answer), random.Random(0)
    for record in examples.reading:
        if record["uid"] != example.uid:
            made = examples.asked(record, rng, unstated=rng.random() < 1 / 3, others=0)
            if made is not None and detect_language(made.answer) == language:
                yield made


def _similar_examples(examples: Examples, example: Example) -> Iterator[Example | None]:
    language = detect_language(example.answer)
    known = examples.summary_texts if example.task == "summarize" else examples.reading
    for record in known:
        if record["uid"] == example.uid or detect_language(record["content"]) != language:
            continue
        if example.task == "describe":
            yield examples.describe(record, 0)
        elif example.task == "answer":
            yield examples.answer(record, 0)
        else:
            yield examples.summarize(record)
