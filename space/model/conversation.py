"""A conversation: its turns, the messages of each column, and prompts that agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NotRequired, TypedDict

from space.catalogue import Hit, Record
from space.model.prompt import Message, Prompt

Column = Literal["base", "tuned"]
COLUMNS: tuple[Column, Column] = ("base", "tuned")


class AnswerFigures(TypedDict):
    """An answer's length and the time it took so far."""

    tokens: int
    seconds: float


class Figures(TypedDict):
    """How the two answers of a turn were made."""

    temperature: float
    seed: int | None  # None at temperature 0
    left_out: int  # earlier turns that did not fit
    kept: bool  # the records are those of the question before
    base: AnswerFigures
    tuned: AnswerFigures
    suggested: NotRequired[str]  # a title that may be meant where no record was found
    again: NotRequired[bool]  # the page raised the temperature to get another answer
    limit: NotRequired[int]  # of tokens for either answer
    stopped: NotRequired[bool]  # before at least one answer had ended


class Turn(TypedDict):
    """One question with both answers, as plain JSON values."""

    question: str
    base: str
    tuned: str
    sources: list[Hit]  # the records in both prompts; [1] cites the first
    figures: Figures
    use_sources: bool
    max_new_tokens: int
    versions: NotRequired[list[Turn]]  # of a question that was asked again, with this one
    version: NotRequired[int]  # this one's position among them


@dataclass(frozen=True)
class Step:
    """The two answers so far, with the records in both prompts."""

    base: str
    tuned: str
    sources: list[Hit]
    figures: Figures

    def as_turn(self, question: str, use_sources: bool, max_new_tokens: int) -> Turn:
        return {
            "question": question,
            "base": self.base,
            "tuned": self.tuned,
            "sources": self.sources,
            "figures": self.figures,
            "use_sources": use_sources,
            "max_new_tokens": max_new_tokens,
        }


def column_messages(turns: Sequence[Turn], column: Column) -> list[Message]:
    """List the messages of one column, without turns that have no answer."""
    messages: list[Message] = []
    for turn in turns:
        if turn["base"] or turn["tuned"]:
            messages.append({"role": "user", "content": turn["question"]})
            messages.append({"role": "assistant", "content": turn[column]})
    return messages


def fit_prompts(
    fit: Callable[..., Prompt],
    task: str,
    context: Sequence[Record],
    histories: Sequence[Sequence[Message]],
) -> tuple[Prompt, Prompt]:
    """Fit the prompts of both columns with the same records and turns.

    `fit(task, context, history)` is fit_prompt() with its other arguments. Each column gets what
    the other could keep, until both keep all of it.
    """
    kept = len(histories[0])
    while True:
        fitted = []
        for history in histories:
            prompt = fit(task, context, history[len(history) - kept :])
            # As in fit_prompt(): without its records an `answer` would say that none was found.
            if context and not prompt.context:
                task = "describe"
            context, kept = prompt.context, len(prompt.messages) - 1
            fitted.append(prompt)
        base, tuned = fitted
        if base.context == context and len(base.messages) == len(tuned.messages):
            return base, tuned
