"""An engine without a model: it records calls and can be made to fail."""

from __future__ import annotations

import functools
import itertools
import math
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from space.evidence.files import Evidence, read_evidence
from space.model.conversation import Figures, Step, Turn
from space.model.prompt import check_text
from tests.toy import TOY

RECORDS = [
    {
        "uid": "B0042",
        "title": "Brass Ship's Lantern, 12 inch",
        "score": 0.94,
        "content": (
            "A hand-finished brass lantern with a clear glass chimney and a wick that trims from "
            "outside. Burns lamp oil for nine hours on one filling. The handle folds flat, so that "
            "it hangs or stands. Made for a porch, a boat or a long table; the brass darkens with "
            "the years unless it is polished."
        ),
    },
    {
        "uid": "B0107",
        "title": "Lamp Oil, Smokeless, 1 litre",
        "score": 0.61,
        "content": (
            "Clear paraffin oil for wick lamps and lanterns. It burns without smell or soot."
        ),
    },
    {
        "uid": "B0311",
        "title": "Spare Glass Chimney <12 inch> & gasket",
        "score": 0.38,
        "content": (
            "Borosilicate chimney that fits the 12 inch lanterns of this shop, "
            "with a rubber gasket."
        ),
    },
]
BASE = (
    "A lantern is a kind of light. It is often made of metal and glass and can be carried by "
    "hand. Many people use lanterns when they go camping, and they are also a nice decoration for "
    "the home."
)
TUNED = (
    "The Brass Ship's Lantern is a hand-finished brass lantern with a clear glass chimney [1]. "
    "It burns lamp oil for nine hours on one filling, and its handle folds flat, so that it hangs "
    "or stands [1]."
)
INFO = {
    "base": "shelftalk/tiny-llama-sample",
    "base_revision": "5f2c9e71d04bb6a8",
    "adapter": "shelftalk/shop-adapter",
    "adapter_revision": "c41d07aa3b9e55f0",
    "precision": "nf4",
    "device": "cpu",
    "version": "1.0.0",
}


# What the base and the tuned model give the words of an answer, in turns.
CHANCES = [(0.001, 0.98), (0.4, 0.97), (0.9, 0.91), (0.75, 0.2), (0.00002, 0.6), (0.3, 0.003)]
CHOICES = [(" wood", 0.41), (" <b>metal</b>", 0.2), ("", 0.1), ("\n", 0.05), ("\ufffd", 0.004)]


@functools.lru_cache(4)
def evidence_of(folder: Path) -> Evidence:
    return read_evidence(folder, TOY / "catalogue")


class FakeEngine:
    """Answers begin with the question, so that two callers can be distinguished."""

    def __init__(self, delay: float = 0.01, limit: int = 20_000, records: list[dict] = RECORDS):
        self.delay, self.limit, self.records = delay, limit, records
        self.calls: list[tuple] = []
        self.closed = threading.Event()  # a generator was closed before its end
        self.error: Exception | None = None
        self.folder = TOY / "adapter"  # whose evidence is shown
        self.notice = ""  # told to the visitor with every answer: a key of space/texts.py
        self.base, self.tuned = BASE, TUNED
        self.suggested = ""  # a title that may be meant

    def answer(
        self,
        question: str,
        use_sources: bool,
        max_new_tokens: int,
        temperature: float,
        notify: Callable[..., None] = print,
        language: str = "",
    ) -> Iterator[tuple[str, str, list[dict]]]:
        asked = (question, use_sources, max_new_tokens, temperature)
        self.calls.append(("answer", *asked, *([language] if language == "pt" else [])))
        for step in self._converse(
            question, (), use_sources, max_new_tokens, temperature, None, notify
        ):
            yield step.base, step.tuned, step.sources

    def converse(
        self,
        question: str,
        turns: Sequence[Turn],
        use_sources: bool,
        max_new_tokens: int,
        temperature: float,
        seed: int | None = None,
        notify: Callable[..., None] = print,
        language: str = "",
    ) -> Iterator[Step]:
        self.calls.append(
            (
                "converse",
                question,
                [turn["question"] for turn in turns],
                use_sources,
                max_new_tokens,
                temperature,
                seed,
                *([language] if language == "pt" else []),
            )
        )
        yield from self._converse(
            question, turns, use_sources, max_new_tokens, temperature, seed, notify
        )

    def summarize(
        self,
        text: str,
        max_new_tokens: int,
        temperature: float,
        notify: Callable[..., None] = print,
    ) -> Iterator[tuple[str, str]]:
        self.calls.append(("summarize", text, max_new_tokens, temperature))
        check_text(text, self.limit, "text")
        if self.notice:
            notify(self.notice, cut=3)
        yield from self._words("In short:", max_new_tokens)

    def explain(
        self,
        question: str,
        answer: str,
        use_sources: bool,
        max_new_tokens: int,
        turns: Sequence[Turn] = (),
        language: str = "",
    ) -> list[dict]:
        before = ([turn["question"] for turn in turns],) if turns else ()
        asked = (question, answer, use_sources, max_new_tokens)
        self.calls.append(("explain", *asked, *before, *([language] if language == "pt" else [])))
        check_text(question, self.limit)
        return self._explained(check_text(answer, self.limit, "answer"))

    def explain_summary(self, text: str, summary: str, max_new_tokens: int) -> list[dict]:
        self.calls.append(("explain_summary", text, summary, max_new_tokens))
        return self._explained(check_text(summary, self.limit, "summary"))

    def search(self, query: str, k: int) -> list[dict]:
        self.calls.append(("search", query, k))
        check_text(query, self.limit, "query")
        return self.records[:k]

    def info(self) -> dict:
        return dict(INFO)

    def evidence(self) -> Evidence:
        return evidence_of(self.folder)

    def examples(self, count: int = 4) -> list[str]:
        return [
            "What is the Brass Ship's Lantern?",
            "Which oil does the lantern burn?",
            "Descreva o lampião de latão.",
        ][:count]

    def mixed_examples(self) -> list[str]:
        return self.examples()

    def _converse(
        self, question, turns, use_sources, max_new_tokens, temperature, seed, notify
    ) -> Iterator[Step]:
        question = check_text(question, self.limit)
        sources = self.records if use_sources else []
        if self.notice:
            notify(self.notice, cut=3)
        figures: Figures = {
            "temperature": temperature,
            "seed": (7 if seed is None else seed) if temperature else None,
            "left_out": max(len(turns) - 2, 0),
            "kept": bool(turns),
            "base": {"tokens": 0, "seconds": 0.0},
            "tuned": {"tokens": 0, "seconds": 0.0},
        }
        if self.suggested:
            figures["suggested"] = self.suggested
        yield Step("", "", sources, figures)
        start = time.perf_counter()
        for base, tuned in self._words(question, max_new_tokens):
            passed = time.perf_counter() - start
            counts = {
                column: {"tokens": len(text.split()), "seconds": round(passed, 3)}
                for column, text in (("base", base), ("tuned", tuned))
            }
            yield Step(base, tuned, sources, {**figures, **counts})

    def _explained(self, answer: str) -> list[dict]:
        if self.error:
            raise self.error
        time.sleep(10 * self.delay)
        return [
            {
                "token": word,
                "base_logprob": math.log(base),
                "tuned_logprob": math.log(tuned),
                "alternatives": [
                    {"token": other, "logprob": math.log(chance)} for other, chance in CHOICES
                ],
            }
            for word, (base, tuned) in zip(
                re.findall(r"\s*\S+\s*$|\s*\S+", answer), itertools.cycle(CHANCES)
            )
        ]

    def _words(self, start: str, limit: int) -> Iterator[tuple[str, str]]:
        if self.error:
            raise self.error
        base, tuned = f"{start} {self.base}".split(" "), f"{start} {self.tuned}".split(" ")
        try:
            for count in range(1, min(limit, max(len(base), len(tuned))) + 1):
                time.sleep(self.delay)
                yield " ".join(base[:count]), " ".join(tuned[:count])
        except GeneratorExit:
            self.closed.set()
            raise
