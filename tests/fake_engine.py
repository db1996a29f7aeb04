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

from space.errors import InputError
from space.evidence.files import Evidence, read_evidence
from space.inside import NearRecord, Neighbours, StepAnswer, StrengthAnswer, Transfer
from space.model import (
    AdapterChange,
    Attention,
    Guess,
    Guesses,
    LayerChange,
    NamedHead,
    Neighbour,
    Place,
    PrecisionCost,
    Snapshots,
    TokenReading,
    Word,
    WordNeighbours,
)
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
        self.inside = FakeInside(self)

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
        for step in self.write_summaries(text, max_new_tokens, temperature, notify):
            yield step.base, step.tuned

    def write_summaries(
        self,
        text: str,
        max_new_tokens: int,
        temperature: float,
        notify: Callable[..., None] = print,
    ) -> Iterator[Step]:
        self.calls.append(("summarize", text, max_new_tokens, temperature))
        check_text(text, self.limit, "text")
        if self.notice:
            notify(self.notice, cut=3)
        start = time.perf_counter()
        for base, tuned in self._words("In short:", max_new_tokens):
            passed = round(time.perf_counter() - start, 3)
            figures: Figures = {
                "temperature": temperature,
                "seed": None,
                "left_out": 0,
                "kept": False,
                "base": {"tokens": len(base.split()), "seconds": passed},
                "tuned": {"tokens": len(tuned.split()), "seconds": passed},
            }
            yield Step(base, tuned, [], figures)

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

    at_once = 1

    def load(self) -> tuple[int, int]:
        return 0, 0

    def count_tokens(self, text: str) -> int:
        return len(text.split())

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


class FakeInside:
    """Numbers of a model that takes each word for a token."""

    shape = (3, 2)

    def __init__(self, engine: FakeEngine) -> None:
        self.engine = engine
        self.refused: dict[str, str] = {}  # method -> the key of why this base cannot show it

    def tokens(self, text: str) -> TokenReading:
        pieces = self._pieces("tokens", text)
        words = [Word(piece.strip(), (0,), (piece,)) for piece in pieces]
        words.append(Word("churrasqueira", (1, 2, 3), (" chur", "rasq", "\ufffd")))
        pieces += [" chur", "rasq", "\ufffd"]
        ids = tuple(range(len(pieces)))
        return TokenReading(ids, tuple(pieces), tuple(words), len(ids), len(text), 512, 600)

    def guesses(self, text: str) -> Guesses:
        return self._guesses(self._pieces("guesses", text))

    def guesses_after(self, ids: Sequence[int]) -> Guesses:
        self.engine.calls.append(("guesses_after", list(ids)))
        return self._guesses([f" word{token}" for token in ids])

    def neighbours(self, text: str) -> Neighbours:
        near = tuple(Neighbour(word, 0.7) for word in (" lamp", " <b>lantern</b>"))
        words = [
            WordNeighbours(piece.strip(), (piece,), near) for piece in self._pieces("near", text)
        ]
        records = [NearRecord(record["title"], record["score"]) for record in self.engine.records]
        return Neighbours(tuple(words[:9]), tuple(records), tuple(records[1:]), 3, 420)

    def attention(self, text: str, layer: int | None = None, head: int | None = None) -> Attention:
        pieces = self._pieces("attention", text)
        self.engine.calls.append(("attention", layer, head))
        rows = [tuple(1 / (row + 1) for _ in range(row + 1)) for row in range(len(pieces))]
        favourites = [((0, 4), (row, 2)) for row in range(len(pieces))]
        named = (NamedHead("previous", 1, 1, 0.93), NamedHead("first", 0, 1, 0.71))
        return Attention(
            tuple(pieces), tuple(rows), tuple(favourites), named, layer or 0, head or 0, 3, 2, 0
        )

    def adapter(self) -> AdapterChange:
        layers = []
        for block, part in itertools.product("123", ("self_attn.q_proj", "mlp.up_proj")):
            layers.append(LayerChange(block, part, 0.01 * (len(layers) + 1), 100))
        return AdapterChange(tuple(layers), 600, 12_345)

    def strengths(self, question: str) -> list[StrengthAnswer]:
        check_text(question, self.engine.limit)
        return [
            StrengthAnswer(strength, f"{question} At {strength}.")
            for strength in (0.0, 0.25, 0.5, 1.0, 1.5)
        ]

    def snapshots(self) -> Snapshots:
        if "snapshots" in self.refused:
            raise InputError(self.refused["snapshots"])
        return Snapshots(386, {39: Path("step-39"), 193: Path("step-193")}, 1)

    def transfer(self, question: str) -> Transfer:
        check_text(question, self.engine.limit)
        answers = []
        for count, step in enumerate((0, 39, 193, 386)):
            text = f"{question} After {min(step, 193)}."
            answers.append(StepAnswer(step, text, count + 1, count))
        return Transfer(tuple(answers), 386, self.engine.records[0]["title"])

    def precision_cost(self, text: str) -> PrecisionCost:
        self._pieces("precision_cost", text)
        return PrecisionCost("nf4", "bf16", 9, 0.3, 3.0, 8, (3.2, 3.1))

    def record(self, number: int) -> str:
        return self.engine.records[number % len(self.engine.records)]["content"]

    def _pieces(self, picture: str, text: str) -> list[str]:
        text = check_text(text, self.engine.limit, "text")
        if self.engine.error:
            raise self.engine.error
        if picture in self.refused:
            raise InputError(self.refused[picture])
        return re.findall(r"\s*\S+", text)[:60]

    def _guesses(self, pieces: list[str]) -> Guesses:
        likely = tuple(Guess(number, f" guess{number}", 0.5 / (number + 1)) for number in range(5))
        places = [Place(None, "", None, likely)]
        for index, piece in reversed(list(enumerate(pieces))):
            guesses, loss = (likely, 0.5 * index) if index else ((), None)
            places.insert(0, Place(index, piece, loss, guesses))
        return Guesses(tuple(places), 0)
