"""Watch an engine's answers: limit each visitor, and count without their words."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from gradio.context import LocalContext

from space.engine import Engine
from space.errors import InputError
from space.evidence import check_facts
from space.model import COLUMNS, ExplainedToken
from space.page.limits import Limits


@dataclass
class Served:
    """What is counted of one call; times in seconds."""

    kind: str  # answer, summary, explanation or vote
    outcome: str = "stopped"  # or answered, refused, failed; a vote's verdict
    error: str = ""  # a key of space/texts.json, or the type of another error
    first_token: float | None = None
    seconds: float = 0.0
    tokens: dict[str, int] = field(default_factory=dict)  # by column
    found: bool | None = None  # whether records were found; None where none were looked for
    facts: str = ""  # contradicted, unmentioned or supported, the worst of the tuned answer


class Watched:
    """An engine whose callers are limited and whose calls are recorded.

    All else is the engine's own.
    """

    def __init__(
        self, engine: Engine, limits: Limits, record: Callable[[Served], None] | None = None
    ) -> None:
        self._engine, self._limits, self._record = engine, limits, record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def answer(self, question, use_sources, max_new_tokens, *rest, **options) -> Generator:
        """Watch Engine.answer()."""
        with self._watch("answer", max_new_tokens) as served:
            steps = self._engine.answer(question, use_sources, max_new_tokens, *rest, **options)
            last = yield from self._follow(served, steps, lambda step: step[:2])
            if last:
                self._judge(served, use_sources, last[1], last[2])

    def converse(self, question, turns, use_sources, max_new_tokens, *rest, **options) -> Generator:
        """Watch Engine.converse()."""
        with self._watch("answer", max_new_tokens) as served:
            asked = question, turns, use_sources, max_new_tokens, *rest
            steps = self._engine.converse(*asked, **options)
            last = yield from self._follow(served, steps, lambda step: (step.base, step.tuned))
            if last:
                self._judge(served, use_sources, last.tuned, last.sources)

    def summarize(self, text, max_new_tokens, *rest, **options) -> Generator:
        """Watch Engine.summarize()."""
        with self._watch("summary", max_new_tokens) as served:
            steps = self._engine.summarize(text, max_new_tokens, *rest, **options)
            yield from self._follow(served, steps, lambda step: step)

    def write_summaries(self, text, max_new_tokens, *rest, **options) -> Generator:
        """Watch Engine.write_summaries()."""
        with self._watch("summary", max_new_tokens) as served:
            steps = self._engine.write_summaries(text, max_new_tokens, *rest, **options)
            yield from self._follow(served, steps, lambda step: (step.base, step.tuned))

    def explain(self, *values, **options) -> list[ExplainedToken]:
        """Watch Engine.explain()."""
        with self._watch("explanation", 0):
            return self._engine.explain(*values, **options)

    def explain_summary(self, *values, **options) -> list[ExplainedToken]:
        """Watch Engine.explain_summary()."""
        with self._watch("explanation", 0):
            return self._engine.explain_summary(*values, **options)

    def record_vote(self, verdict: str) -> None:
        """Record a vote of the blind test, kept or not."""
        if self._record:
            self._record(Served("vote", verdict))

    @contextmanager
    def _watch(self, kind: str, tokens: int) -> Iterator[Served]:
        """Admit one call, and record how it ended."""
        served, begun = Served(kind), time.monotonic()
        settle: Callable[[int], None] | None = None
        try:
            settle = self._limits.take(LocalContext.request.get(None), tokens)
            yield served
            served.outcome = "answered"
        except InputError as error:
            served.outcome, served.error = "refused", error.key
            raise
        except Exception as error:
            served.outcome, served.error = "failed", type(error).__name__
            raise
        finally:
            served.seconds = time.monotonic() - begun
            if settle:
                settle(max(served.tokens.values(), default=0))
            if self._record:
                self._record(served)

    def _follow(self, served: Served, steps: Generator, texts: Callable) -> Generator:
        """Yield an engine's steps, and return the last one."""
        begun, last, both = time.monotonic(), None, ("", "")
        try:
            with closing(steps):
                for last in steps:
                    both = texts(last)
                    if served.first_token is None and any(both):
                        served.first_token = time.monotonic() - begun
                    yield last
        finally:
            for column, text in zip(COLUMNS, both, strict=True):
                served.tokens[column] = self._engine.count_tokens(text)
        return last

    def _judge(self, served: Served, use_sources: bool, tuned: str, sources: list) -> None:
        """Note whether records were found and whether they support the tuned answer."""
        if self._record is None or not use_sources:
            return
        served.found = bool(sources)
        verdicts = {fact.verdict for fact in check_facts(tuned, sources).facts}
        for verdict in ("contradicted", "unmentioned", "supported"):
            if verdict in verdicts:
                served.facts = verdict
                return
