"""What an adapter brings beside its weights: scores, the answers behind them, how it was trained. Nothing in it is trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from space.evidence.metrics import JUDGED, rouge_l, says_absent
from space.model import PromptTemplate

COLUMNS = ("base", "few_shot", "retrieved", "tuned")
FILES = ("metrics.json", "samples.jsonl", "history.jsonl")
OBJECT_BYTES = 4_000_000  # of a JSON file
LINES_BYTES = 32_000_000  # of a file of JSON lines
LINE_BYTES = 200_000
SAMPLES = 5_000
STEPS = 100_000
TEXT = 4_000  # characters
SAID = 1_000  # characters of an answer, in which it says that something is absent
COUNT = 10**15  # no number of an adapter's is as large


@dataclass(frozen=True)
class Change:
    """Tuned less base in one measure: its mean, the ends of its 95% interval, and the items won, tied and lost, where known."""

    mean: float
    low: float | None = None
    high: float | None = None
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None


@dataclass(frozen=True)
class Scores:
    """One set's scores: its items, {column: {metric: mean}}, and {metric: what tuning changed}."""

    name: str
    items: int
    means: Mapping[str, Mapping[str, float]]
    changes: Mapping[str, Change]


@dataclass(frozen=True)
class Sample:
    """One item that was scored, with both answers; `before` and `after` are what base and tuned got, 0 to 1."""

    number: int
    set: str
    question: str
    reference: str
    base: str
    tuned: str
    sources: tuple[str, ...]
    before: float
    after: float

    @property
    def change(self) -> float:
        """What tuning changed; 0 where that is less than a rounding."""
        return round(self.after - self.before, 9)


@dataclass(frozen=True)
class Evidence:
    """All of it; what an adapter did not bring is empty. `broken` names the files that are there and could not be read."""

    scores: tuple[Scores, ...] = ()
    samples: tuple[Sample, ...] = ()
    more: bool = False  # whether there are samples that were not read
    history: tuple[tuple[int, float], ...] = ()  # (step, loss)
    run: Mapping = field(default_factory=dict)  # run.json
    report: Mapping = field(default_factory=dict)  # the catalogue's report.json
    lora: Mapping = field(default_factory=dict)  # adapter_config.json
    card: str = ""  # README.md
    broken: tuple[str, ...] = ()


def read_evidence(
    folder: Path, catalogue: Path | None, prompt_template: PromptTemplate
) -> Evidence:
    """Returns what is beside the adapter in `folder`: in it, as on the Hub, or in its run's folder above it.

    Whatever the files hold, this does not raise: what is not as it should be is left out. `wording` is the adapter's.
    """
    beside = folder
    if folder.name == "adapter" and not any((folder / name).is_file() for name in FILES):
        beside = folder.parent
    absent = prompt_template.absent if isinstance(prompt_template.absent, Mapping) else {}
    absent = {language: text(said, 200) for language, said in absent.items()}
    broken: list[str] = []
    lines = list(_lines(beside / "samples.jsonl", SAMPLES + 1, broken))
    samples = [
        sample
        for place, line in enumerate(lines[:SAMPLES], 1)
        if (sample := _sample(place, line, absent))
    ]
    return Evidence(
        scores=tuple(_scores(_object(beside / "metrics.json", broken))),
        samples=tuple(samples),
        more=len(lines) > SAMPLES,
        history=tuple(_history(_lines(beside / "history.jsonl", STEPS, broken))),
        run=_object(folder / "run.json", broken),
        report=_object(catalogue / "report.json", broken) if catalogue else {},
        lora=_object(folder / "adapter_config.json", broken),
        card=_card(folder / "README.md"),
        broken=tuple(broken),
    )


# --- values that may be anything -------------------------------------------------------------------------------------


def inside(value, *keys: str):
    """Returns what stands at a path of keys; None where there is no such place."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def number(value) -> float | None:
    """Returns a number that can be shown; None for anything else, and for NaN and what no adapter has."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -COUNT < value < COUNT:
        return None
    return value if math.isfinite(value) else None


def whole(value) -> int | None:
    """Returns a count; None for anything else."""
    return int(value) if number(value) is not None and value >= 0 and value % 1 == 0 else None


def text(value, limit: int = TEXT) -> str:
    """Returns a text that can be sent, at most `limit` characters of it; nothing for anything else."""
    if not isinstance(value, str):
        return ""
    sound = value[:limit].encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent
    return sound + ("…" if len(value) > limit else "")


# --- files that may be anything --------------------------------------------------------------------------------------


def _object(path: Path, broken: list[str]) -> dict:
    """Returns a file's JSON object; {} where there is none, and where it is none it is `broken`."""
    if not path.is_file():
        return {}
    try:
        if path.stat().st_size <= OBJECT_BYTES:
            value = json.loads(path.read_bytes())
            if isinstance(value, dict):
                return value
    except (OSError, ValueError, RecursionError):
        pass
    broken.append(path.name)
    return {}


def _lines(path: Path, limit: int, broken: list[str]) -> Iterator[dict]:
    """Yields the first objects of a file of JSON lines; what is none is passed over, and a file without any is `broken`."""
    if not path.is_file():
        return
    found = 0
    try:
        with path.open("rb") as file:
            while (
                found < limit and file.tell() < LINES_BYTES and (line := file.readline(LINE_BYTES))
            ):
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(value, dict):
                    found += 1
                    yield value
    except OSError:
        found = 0
    if not found:
        broken.append(path.name)


def _card(path: Path) -> str:
    try:
        return (
            path.read_text("utf-8", "replace")
            if path.is_file() and path.stat().st_size <= OBJECT_BYTES
            else ""
        )
    except OSError:
        return ""


# --- what they say ---------------------------------------------------------------------------------------------------


def _scores(metrics: Mapping) -> Iterator[Scores]:
    """Yields the sets of metrics.json that can be judged: with their items, and what the set is for in both columns."""
    for name, judged in JUDGED.items():
        items = whole(inside(metrics, name, "n"))
        means = {column: _means(inside(metrics, name, column)) for column in COLUMNS}
        if items and all(judged[0] in means[column] for column in ("base", "tuned")):
            changes = {
                metric: change
                for metric in means["tuned"]
                if (change := _change(inside(metrics, name, "difference", metric)))
                and metric in means["base"]
            }
            yield Scores(
                name, items, {column: values for column, values in means.items() if values}, changes
            )


def _means(values) -> dict[str, float]:
    """Returns the measures that the page shows; all but the loss are shares, and one that is none is left out."""
    known = {
        metric: number(inside(values, metric))
        for metric in dict.fromkeys(
            [*(metric for metrics in JUDGED.values() for metric in metrics), "token_f1", "loss"]
        )
    }
    return {
        metric: float(value)
        for metric, value in known.items()
        if value is not None and value >= 0 and (value <= 1 or metric == "loss")
    }


def _change(value) -> Change | None:
    mean, low, high = (number(inside(value, part)) for part in ("mean", "low", "high"))
    if mean is None:
        return None
    tally = [whole(inside(value, part)) for part in ("wins", "ties", "losses")]
    ordered = low is not None and high is not None and low <= mean <= high
    return Change(
        mean,
        *((low, high) if ordered else (None, None)),
        *(tally if None not in tally else (None,) * 3),
    )


def _sample(place: int, line: Mapping, absent: Mapping[str, str]) -> Sample | None:
    """Returns a line of samples.jsonl with what its answers get by the measure of its set; None without what is needed."""
    texts = {part: text(inside(line, part)) for part in ("question", "reference", "base", "tuned")}
    name = inside(line, "set")
    if not isinstance(name, str) or name not in JUDGED or not texts["question"]:
        return None
    before, after = (
        _score(name, texts, texts[column], text(inside(line, "title"), 200), absent)
        for column in ("base", "tuned")
    )
    sources = inside(line, "sources")
    named = [text(uid, 80) for uid in sources[:10]] if isinstance(sources, list) else []
    return Sample(
        place, name, **texts, sources=tuple(filter(None, named)), before=before, after=after
    )


def _score(
    name: str, texts: Mapping[str, str], said: str, title: str, absent: Mapping[str, str]
) -> float:
    if JUDGED[name][0] == "says_absent":
        return float(says_absent(said[:SAID], title, absent))
    return rouge_l(said, texts["reference"])


def _history(lines: Iterator[dict]) -> Iterator[tuple[int, float]]:
    """Yields (step, loss), the steps rising."""
    last = -1
    for line in lines:
        step, loss = whole(inside(line, "step")), number(inside(line, "loss"))
        if step is not None and loss is not None and loss >= 0 and step > last:
            last = step
            yield step, float(loss)
