"""metrics.json from the items' scores: means, differences and their intervals."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from space.evidence import Change, less_is_better
from train.evaluate.samples import ScoredItem, by_set

RESAMPLES = 10_000  # of the paired bootstrap
LARGEST = 700.0  # nats; JSON has no number for e to the power of more
Z = 1.96 + 0.84  # standard errors: 5% two-sided, and 80% of the studies of that size find it

Arrays = Mapping[str, np.ndarray]  # {metric: a value for each item, NaN where there is none}


def compute_metrics(items: Sequence[ScoredItem], columns: Sequence[str]) -> dict[str, Any]:
    """Compute metrics.json from scored items, as score_items() returns them.

    {set: {"n", column: {metric: mean}, "difference": {metric: Change}, "against"}}, where
    "difference" is tuned less base, and "against" has the same of tuned less each other column.
    """
    result: dict[str, Any] = {}
    for name, members in by_set(items).items():
        answered = [column for column in columns if column in members[0].answers]
        scores = {column: score_arrays(members, column) for column in answered}
        result[name] = {"n": len(members)}
        for column in answered:
            result[name][column] = means(scores[column]) | _speed(members, column)
        result[name]["difference"] = _as_json(name, scores["base"], scores["tuned"])
        result[name]["against"] = {
            column: _as_json(name, scores[column], scores["tuned"])
            for column in answered
            if column not in ("base", "tuned")
        }
    return result


def _as_json(name: str, theirs: Arrays, ours: Arrays) -> dict[str, dict[str, Any]]:
    return {metric: asdict(change) for metric, change in changes(name, theirs, ours).items()}


def score_arrays(items: Sequence[ScoredItem], column: str) -> dict[str, np.ndarray]:
    """Gather one column's scores of a set's items by metric."""
    scores = [item.scores.get(column, {}) for item in items]
    found: dict[str, np.ndarray] = {}
    for own in scores:
        for metric in own:
            if metric not in found:
                found[metric] = np.array([each.get(metric, math.nan) for each in scores])
    if "loss" in found:
        found["perplexity"] = found["loss"]
    return found


def means(scores: Arrays) -> dict[str, float | None]:
    """Average each metric over a set's items."""
    return {metric: mean(metric, values) for metric, values in scores.items()}


def mean(metric: str, values: np.ndarray) -> float | None:
    """Average a metric over the items that have it.

    None where none has. A perplexity is that of all items together, the exponential of their mean
    loss.
    """
    present = values[~np.isnan(values)]
    return round(float(_linked(metric, present.mean())), 4) if len(present) else None


def _linked(metric: str, averages):
    """Map the mean over items to a metric's value."""
    return np.exp(np.minimum(averages, LARGEST)) if metric == "perplexity" else averages


def _speed(items: Sequence[ScoredItem], column: str) -> dict[str, float]:
    """Compute the tokens a second of all answers, {} for no model."""
    answers = [item.answers[column] for item in items]
    seconds = sum(answer.seconds or 0.0 for answer in answers)
    if not seconds:
        return {}
    return {"tokens_per_second": round(sum(answer.tokens or 0 for answer in answers) / seconds, 1)}


# --- what a difference is worth ---


def changes(name: str, theirs: Arrays, ours: Arrays) -> dict[str, Change]:
    """Compare the metrics that two columns of the set `name` share."""
    return {
        metric: difference(metric, theirs[metric], values, less_is_better(name, metric))
        for metric, values in ours.items()
        if metric in theirs and not np.isnan(values - theirs[metric]).all()
    }


def difference(
    metric: str, theirs: np.ndarray, ours: np.ndarray, less: bool | None = False
) -> Change:
    """Compare two columns item by item, NaN where there is no value.

    The 95% interval is by a paired bootstrap over the items (Efron 1979), None for a single item.
    Wins and losses are those of `ours`, None where neither more nor less is better.
    """
    both = ~np.isnan(ours - theirs)
    ours, theirs = ours[both], theirs[both]
    low = high = None
    if len(ours) > 1:
        draws = _resamples(len(ours))
        spread = _linked(metric, draws @ ours) - _linked(metric, draws @ theirs)
        low, high = (round(float(bound), 4) for bound in np.percentile(spread, (2.5, 97.5)))
    each = np.round(ours - theirs, 9)
    ties = int((each == 0).sum())
    wins = losses = None
    if less is not None:
        wins = int((each < 0 if less else each > 0).sum())
        losses = len(each) - ties - wins
    return Change(
        mean=round(float(_linked(metric, ours.mean()) - _linked(metric, theirs.mean())), 4),
        low=low,
        high=high,
        wins=wins,
        ties=ties,
        losses=losses,
        needed=needed(each),
    )


@functools.lru_cache(4)
def _resamples(count: int) -> np.ndarray:
    """Draw RESAMPLES samples of `count` items, always the same, as weights."""
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return drawn.astype(np.float64) / count


def needed(differences: np.ndarray) -> int | None:
    """Estimate the items that a paired study needs to find this difference.

    Cohen 1988, section 2.4; None where there is no difference.
    """
    average = round(float(differences.mean()), 9)  # no difference but the order of a sum's terms
    if len(differences) < 2 or not average:
        return None
    return max(2, math.ceil((Z * differences.std(ddof=1) / average) ** 2))
