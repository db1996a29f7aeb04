"""Read what an adapter brings beside its weights, and trust none of it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from space.evidence.findings import COLUMNS, JUDGED, METRICS, Change, Scores, principal_metric

FILES = ("metrics.json", "samples.jsonl", "history.jsonl")
OBJECT_BYTES = 4_000_000  # of a JSON file
LINES_BYTES = 32_000_000  # of a file of JSON lines
LINE_BYTES = 200_000
SAMPLES = 5_000
STEPS = 100_000
TEXT = 4_000  # characters
COUNT = 10**15  # no number of an adapter's is as large
ROUNDING = 1e-3  # a mean may lie so far outside its interval: each was rounded by itself


@dataclass(frozen=True)
class Sample:
    """One scored item with both answers.

    `before` and `after` are the scores of base and tuned, from 0 to 1; None where an older adapter
    does not say them.
    """

    number: int
    set: str
    question: str
    reference: str
    base: str
    tuned: str
    sources: tuple[str, ...]
    before: float | None = None
    after: float | None = None

    @property
    def change(self) -> float | None:
        """What tuning changed, rounded to 9 digits."""
        if self.before is None or self.after is None:
            return None
        return round(self.after - self.before, 9)


@dataclass(frozen=True)
class Evidence:
    """All that an adapter brought.

    What it did not bring is empty. `broken` names unreadable files.
    """

    scores: tuple[Scores, ...] = ()
    samples: tuple[Sample, ...] = ()
    more: bool = False  # whether there are samples that were not read
    history: tuple[tuple[int, float], ...] = ()  # (step, loss)
    run: Mapping = field(default_factory=dict)  # run.json
    report: Mapping = field(default_factory=dict)  # the catalogue's report.json
    lora: Mapping = field(default_factory=dict)  # adapter_config.json
    card: str = ""  # README.md
    broken: tuple[str, ...] = ()


def read_evidence(folder: Path, catalogue: Path | None) -> Evidence:
    """Read what an adapter brought beside its weights.

    It is in the adapter's folder, as on the Hub, or in its run's folder above. Nothing in the files
    makes it raise: what is not as it should be is left out.
    """
    beside = folder
    if folder.name == "adapter" and not any((folder / name).is_file() for name in FILES):
        beside = folder.parent
    broken: list[str] = []
    lines = list(_lines(beside / "samples.jsonl", SAMPLES + 1, broken))
    samples = [_sample(number, line) for number, line in enumerate(lines[:SAMPLES], 1)]
    return Evidence(
        scores=read_scores(_object(beside / "metrics.json", broken)),
        samples=tuple(sample for sample in samples if sample),
        more=len(lines) > SAMPLES,
        history=tuple(_history(_lines(beside / "history.jsonl", STEPS, broken))),
        run=_object(folder / "run.json", broken),
        report=_object(catalogue / "report.json", broken) if catalogue else {},
        lora=_object(folder / "adapter_config.json", broken),
        card=_card(folder / "README.md"),
        broken=tuple(broken),
    )


# --- values that may be anything ---


def nested(value: Any, *keys: str) -> Any:
    """Look up a path of keys, None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def as_number(value: Any) -> float | None:
    """Return a finite number of a sane size, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -COUNT < value < COUNT:
        return None
    return value if math.isfinite(value) else None


def as_count(value: Any) -> int | None:
    """Return a count, None for anything else."""
    number = as_number(value)
    return int(number) if number is not None and number >= 0 and number % 1 == 0 else None


def as_text(value: Any, limit: int = TEXT) -> str:
    """Return a text of at most `limit` characters, "" for anything else."""
    if not isinstance(value, str):
        return ""
    sound = value[:limit].encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent
    return sound + ("…" if len(value) > limit else "")


# --- files that may be anything ---


def _object(path: Path, broken: list[str]) -> dict[str, Any]:
    """Read a JSON object.

    {} where there is no file or a `broken` one.
    """
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


def _lines(path: Path, limit: int, broken: list[str]) -> Iterator[dict[str, Any]]:
    """Yield a file's first JSON objects, a line each.

    A file without any is `broken`.
    """
    if not path.is_file():
        return
    found = 0
    try:
        with path.open("rb") as file:
            while found < limit and file.tell() < LINES_BYTES:
                line = file.readline(LINE_BYTES)
                if not line:
                    break
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
        if path.is_file() and path.stat().st_size <= OBJECT_BYTES:
            return path.read_text("utf-8", "replace")
    except OSError:
        pass
    return ""


# --- what the files say ---


def read_scores(metrics: Mapping) -> tuple[Scores, ...]:
    """Read the sets of metrics.json that can be judged.

    They have their principal mean of base and of tuned.
    """
    found = []
    for name in JUDGED:
        items = as_count(nested(metrics, name, "n"))
        means = {column: _means(nested(metrics, name, column)) for column in COLUMNS}
        principal = principal_metric(name, means["base"], means["tuned"])
        if not items or principal not in means["base"] or principal not in means["tuned"]:
            continue
        changes = {"base": _changes(nested(metrics, name, "difference"))}
        for column in COLUMNS:
            if column not in ("base", "tuned"):
                changes[column] = _changes(nested(metrics, name, "against", column))
        known = {column: values for column, values in means.items() if values}
        found.append(Scores(name, items, known, changes))
    return tuple(found)


def _means(values: Any) -> dict[str, float]:
    """Read the means of METRICS.

    They are shares from 0 to 1, and the loss.
    """
    found = {}
    for metric in METRICS:
        value = as_number(nested(values, metric))
        if value is not None and value >= 0 and (value <= 1 or metric == "loss"):
            found[metric] = float(value)
    return found


def _changes(values: Any) -> dict[str, Change]:
    changes = {metric: _change(nested(values, metric)) for metric in METRICS}
    return {metric: change for metric, change in changes.items() if change}


def _change(value: Any) -> Change | None:
    mean, low, high = (as_number(nested(value, part)) for part in ("mean", "low", "high"))
    if mean is None:
        return None
    if low is None or high is None or not low - ROUNDING <= mean <= high + ROUNDING:
        low = high = None
    counts = [as_count(nested(value, part)) for part in ("wins", "ties", "losses")]
    if None in counts:
        counts = [None, None, None]
    return Change(mean, low, high, *counts, needed=as_count(nested(value, "needed")))


def _sample(number: int, line: Mapping) -> Sample | None:
    """Read a line of samples.jsonl.

    None without a known set and a question.
    """
    parts = ("question", "reference", "base", "tuned")
    texts = {part: as_text(nested(line, part)) for part in parts}
    name = nested(line, "set")
    if not isinstance(name, str) or name not in JUDGED or not texts["question"]:
        return None
    base, tuned = (_means(nested(line, "scores", column)) for column in ("base", "tuned"))
    principal = principal_metric(name, base, tuned)
    before, after = base.get(principal), tuned.get(principal)
    sources = nested(line, "sources")
    named = [as_text(uid, 80) for uid in sources[:10]] if isinstance(sources, list) else []
    return Sample(
        number, name, **texts, sources=tuple(filter(None, named)), before=before, after=after
    )


def _history(lines: Iterator[dict[str, Any]]) -> Iterator[tuple[int, float]]:
    """Yield (step, loss), the steps rising."""
    last = -1
    for line in lines:
        step, loss = as_count(nested(line, "step")), as_number(nested(line, "loss"))
        if step is not None and loss is not None and loss >= 0 and step > last:
            last = step
            yield step, float(loss)
