"""A blind pair, whose order the server alone knows until its one vote, and what votes say: the win rate with its interval."""

from __future__ import annotations

import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from space.errors import InputError

SIDES = ("base", "tuned")
CHOICES = ("a", "b", "tie", "both_bad")
VERDICTS = (*SIDES, "tie", "both_bad")  # what a vote says once the names are known
LIFETIME = 3600  # seconds from the question in which a pair takes its vote
Z95 = 1.959964  # 95% of a normal distribution lie so many standard deviations around its middle


@dataclass
class Ballot:
    """Two answers to one question in an order drawn by lot; the first one of `order` stands under A."""

    question: str
    options: dict = field(default_factory=dict)  # how the answers were asked for
    order: tuple[str, str] = field(default_factory=lambda: SIDES[:: secrets.choice((1, -1))])
    answers: dict[str, str] = field(default_factory=lambda: dict.fromkeys(SIDES, ""))
    sources: int = 0  # how many records can be cited
    ended: bool = False
    choice: str = ""  # one of CHOICES, once there is a vote
    made: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def columns(self) -> tuple[str, str]:
        """Returns the answers as they stand under A and B."""
        return self.answers[self.order[0]], self.answers[self.order[1]]

    def verdict(self, choice: str) -> str:
        """Returns which of VERDICTS a choice is."""
        return self.order[CHOICES.index(choice)] if choice in ("a", "b") else choice

    def cast(self, choice: str, keep: Callable[[str], None] | None = None) -> str:
        """Takes the pair's one vote and returns its verdict, after `keep` did what it does with it.

        Raises InputError for answers that have not ended, are too old, or have their vote; of two at once, one is taken.
        """
        with self.lock:
            if not self.ended:
                raise InputError("vote_early")
            if self.choice:
                raise InputError("vote_twice")
            if time.monotonic() - self.made > LIFETIME:
                raise InputError("vote_late")
            verdict = self.verdict(choice)
            if keep:
                keep(verdict)
            self.choice = choice
        return verdict


@dataclass(frozen=True)
class Tally:
    """How many votes came to each verdict."""

    base: int = 0
    tuned: int = 0
    tie: int = 0
    both_bad: int = 0

    @property
    def decided(self) -> int:
        """How many votes chose a side."""
        return self.base + self.tuned

    def plus(self, verdict: str) -> Tally:
        """Returns the tally with one vote more."""
        return replace(self, **{verdict: getattr(self, verdict) + 1})


def wilson(wins: int, count: int, z: float = Z95) -> tuple[float, float]:
    """Returns the interval, within 0 to 1, in which the true share lies where `wins` of `count` (above 0) were won.

    Wilson's score interval (Probable inference, the law of succession, and statistical inference, 1927): unlike the usual
    one it holds for few votes and for shares near 0 and 1.
    """
    share, spread = wins / count, z * z / count
    middle = share + spread / 2
    half = z * math.sqrt((share * (1 - share) + spread / 4) / count)
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))
