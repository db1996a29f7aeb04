"""A conversation: its turns, the messages of each column, and prompts that agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from space.model.prompt import Prompt

COLUMNS = ("base", "tuned")


@dataclass(frozen=True)
class Step:
    """A question's two answers so far, the records in both prompts ([1] is the first), and figures() about them."""

    base: str
    tuned: str
    sources: list[dict]
    figures: dict


def figures(temperature: float, seed: int | None, left_out: int, kept: bool) -> dict:
    """Returns what there is to know about two answers, before they are written: `tokens` and `seconds` of each grow.

    `seed` is None at temperature 0; `left_out` counts earlier turns that did not fit; `kept`: the records are those of the
    question before.
    """
    return {
        "temperature": temperature,
        "seed": seed,
        "left_out": left_out,
        "kept": kept,
        **{column: {"tokens": 0, "seconds": 0.0} for column in COLUMNS},
    }


def turn(question: str, step: Step, use_sources: bool, max_new_tokens: int) -> dict:
    """Returns a turn of a conversation: plain values, as JSON has them."""
    return {
        "question": question,
        "base": step.base,
        "tuned": step.tuned,
        "sources": step.sources,
        "figures": step.figures,
        "use_sources": use_sources,
        "max_new_tokens": max_new_tokens,
    }


def history(talk: Sequence[Mapping], column: str) -> list[dict[str, str]]:
    """Returns the messages that one column heard and said; a turn that was stopped before its first word is none."""
    said = [turn for turn in talk if turn["base"] or turn["tuned"]]
    return [
        message
        for turn in said
        for message in (
            {"role": "user", "content": turn["question"]},
            {"role": "assistant", "content": turn[column]},
        )
    ]


def fit_both(
    fit: Callable[..., Prompt],
    task: str,
    context: Sequence[Mapping],
    histories: Sequence[Sequence[Mapping]],
) -> tuple[Prompt, Prompt]:
    """Returns the prompts of two columns that differ in nothing but what each said: the same records, as many turns.

    `fit(task, context, history)` is fit_prompt() with its other values. Each column is given what the other could keep,
    until both keep all of it.
    """
    kept = len(histories[0])
    while True:
        fitted = []
        for past in histories:
            prompt = fit(task, context, past[len(past) - kept :])
            # As in fit_prompt(): where all records were dropped, it would be wrong to say that none was found.
            task = "describe" if context and not prompt.context else task
            context, kept = prompt.context, len(prompt.talk) - 1
            fitted.append(prompt)
        if fitted[0].context == context and len(fitted[0].talk) == len(fitted[1].talk):
            return fitted[0], fitted[1]
