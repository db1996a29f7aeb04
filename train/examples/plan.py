"""How many examples of each kind are trained, and which questions about learned titles."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from train.config import FitConfig


@dataclass(frozen=True)
class TrainingPlan:
    """What the optimizer sees, decided before anything is built.

    All epochs are one: each asks once for each of `learned` records, in the next of `phrasings`.
    --max-steps takes the same share of each kind of example; each of `processes` takes a batch of
    its own in a step.
    """

    config: FitConfig
    learned: int
    phrasings: int
    processes: int = 1

    @cached_property
    def all_counts(self) -> dict[str, int]:
        """The number of examples of each kind without --max-steps."""
        config = self.config
        asked = self.learned * config.epochs
        answers = round(config.answers * asked)
        unanswerable = round(config.absent * answers)
        facts = round(config.asked * asked)
        unstated = round(config.unstated * facts)
        return {
            "describe": asked,
            "answer": answers - unanswerable,
            "unanswerable": unanswerable,
            "asked": facts - unstated,
            "unstated": unstated,
            "follow_up": round(config.follow_ups * asked),
            "summarize": round(config.summarize * asked),
            "general": round(config.rehearse * asked),
        }

    @cached_property
    def row_limit(self) -> int | None:
        """The number of examples that --max-steps leaves, None where it leaves all."""
        config = self.config
        if config.max_steps is None:
            return None
        rows = config.max_steps * config.batch_size * config.accumulate * self.processes
        return rows if rows < sum(self.all_counts.values()) else None

    @cached_property
    def counts(self) -> dict[str, int]:
        """The number of examples of each kind."""
        if self.row_limit is None:
            return self.all_counts
        total, before = sum(self.all_counts.values()), 0
        counts = {}
        for kind, count in self.all_counts.items():
            after = before + count
            counts[kind] = self.row_limit * after // total - self.row_limit * before // total
            before = after
        return counts

    @cached_property
    def questions(self) -> Sequence[int]:
        """The questions about learned records in the order that training takes them.

        They are numbered epoch by epoch (see locate()). The seed of a run does not change them, so
        that runs are scored on the same records.
        """
        questions = range(self.all_counts["describe"])
        if self.row_limit is None:
            return questions
        return random.Random(0).sample(questions, min(self.row_limit, len(questions)))

    def locate(self, question: int) -> tuple[int, int]:
        """Return a question's (index of its record, phrasing)."""
        epoch, index = divmod(question, self.learned)
        return index, epoch % self.phrasings

    def seen(self) -> Iterator[tuple[int, int]]:
        """Yield one trained (index, phrasing) for each record asked for."""
        if self.row_limit is None:
            for index in range(self.learned):
                yield index, index % self.phrasings
            return
        # Training asks these for certain, and more where there is less of another kind.
        certain = self.questions[: self.counts["describe"]]
        asked: dict[int, list[int]] = {}
        for question in certain:
            index, phrasing = self.locate(question)
            asked.setdefault(index, []).append(phrasing)
        for index in sorted(asked):
            phrasings = sorted(set(asked[index]))
            yield index, phrasings[index % len(phrasings)]
