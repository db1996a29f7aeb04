"""samples.jsonl: every scored item with each column's answer and its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from space.evidence import COLUMNS
from train.run import Run, read_jsonl

MEASURED = ("loss", "tokens", "ended", "seconds")  # of an answer, as it was generated


class EvaluationError(Exception):
    """Two columns cannot be compared; one line that says why."""


@dataclass(frozen=True)
class Answer:
    """One column's answer to an item; one that no model gave has only its text and citations.

    `cited` has the uids cited, None for a position without a record; `loss` is that of the
    reference, nats a token; `seconds` its share of the batch's time; `prompt` the digest of what
    the model read.
    """

    text: str
    cited: Sequence[str | None] = ()
    loss: float | None = None
    tokens: int | None = None
    ended: bool | None = None
    seconds: float | None = None
    prompt: str = ""


@dataclass(frozen=True)
class ScoredItem:
    """One item with each column's answer and {column: {metric: value}}.

    `evidence` is what an answer may rest on, and `expected` the values that a right answer to a
    question for a fact has. A metric that does not apply to an item is left out.
    """

    task: str
    set: str
    question: str
    reference: str
    answers: Mapping[str, Answer]
    sources: Sequence[str] = ()
    uid: str = ""
    title: str = ""
    evidence: str = ""
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    expected: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the item as a line of samples.jsonl."""
        answers = self.answers.items()
        line: dict[str, Any] = {
            "task": self.task,
            "set": self.set,
            "question": self.question,
            "reference": self.reference,
        }
        line |= {column: answer.text for column, answer in answers}
        line |= {
            "sources": list(self.sources),
            "uid": self.uid,
            "title": self.title,
            "evidence": self.evidence,
        }
        if self.expected:
            line["expected"] = list(self.expected)
        line |= {f"{column}_cited": list(answer.cited) for column, answer in answers}
        for column, answer in answers:
            for name in MEASURED:
                value = getattr(answer, name)
                if value is not None:
                    line[f"{column}_{name}"] = value
        return line | {"scores": self.scores}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> ScoredItem:
        """Read a line of samples.jsonl, whose scores an older version lacks."""
        answers = {}
        for column in COLUMNS:
            if column in line:
                answers[column] = Answer(
                    text=line[column],
                    cited=line.get(f"{column}_cited", ()),
                    loss=line.get(f"{column}_loss"),
                    tokens=line.get(f"{column}_tokens"),
                    ended=line.get(f"{column}_ended"),
                    seconds=line.get(f"{column}_seconds"),
                )
        return cls(
            task=line.get("task", ""),
            set=line["set"],
            question=line.get("question", ""),
            reference=line["reference"],
            answers=answers,
            sources=line.get("sources", []),
            uid=line.get("uid", ""),
            title=line.get("title", ""),
            evidence=line.get("evidence", ""),
            scores=line.get("scores", {}),
            expected=line.get("expected", []),
        )


def read_samples(run: Run) -> list[ScoredItem]:
    """Read a run's samples.jsonl."""
    return [ScoredItem.from_json(line) for line in read_jsonl(run.samples)]


def by_set(items: Sequence[ScoredItem]) -> dict[str, list[ScoredItem]]:
    """Group items by their sets, in their order."""
    sets: dict[str, list[ScoredItem]] = {}
    for item in items:
        sets.setdefault(item.set, []).append(item)
    return sets
