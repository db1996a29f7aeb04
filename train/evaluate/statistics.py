"""From answers to numbers: every measure of every item, the means, and what the difference between two columns is worth."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

from space.catalogue import detect_language
from space.evidence import interval_shows, less_is_better
from space.model import PromptTemplate
from train.evaluate.faithfulness import Fidelity, Form
from train.evaluate.metrics import Bleu, ChrF, Rouge, SaysAbsent, SourceRight, TokenF1, UnicodeRouge

RESAMPLES = 10_000  # of the paired bootstrap
LARGEST = 700.0  # nats; JSON has no number for what lies beyond
Z = 1.96 + 0.84  # standard errors: 5% two-sided, and 80% of the studies of that size find it


def metrics(
    lines: Sequence[dict], columns: Sequence[str], prompt_template: PromptTemplate | None = None
) -> dict:
    """Returns metrics.json from samples.jsonl: {set: {"n", column: {metric: mean}, "difference": {metric: ...}, "against"}}.

    `wording` is the adapter's, for what says that something is absent. "difference" is tuned less base, "against" has the
    same of tuned less each other column; see difference().
    """
    result = {}
    for name, items in by_set(lines).items():
        scores = {
            column: item_scores(items, column, prompt_template or PromptTemplate())
            for column in columns
        }
        result[name] = {"n": len(items)}
        for column in columns:
            result[name][column] = {
                metric: mean(metric, values) for metric, values in scores[column].items()
            }
            result[name][column] |= speed(items, column)
        result[name]["difference"] = compared(name, scores["base"], scores["tuned"])
        result[name]["against"] = {
            column: compared(name, scores[column], scores["tuned"])
            for column in columns
            if column not in ("base", "tuned")
        }
    return result


def by_set(lines: Sequence[dict]) -> dict[str, list[dict]]:
    """Returns the lines of samples.jsonl by their sets, in their order."""
    return {
        name: [line for line in lines if line["set"] == name]
        for name in dict.fromkeys(line["set"] for line in lines)
    }


def item_scores(
    items: Sequence[dict], column: str, prompt_template: PromptTemplate
) -> dict[str, np.ndarray]:
    """Returns {metric: one value an item} of one set's lines; NaN where a metric does not speak of an item.

    rougeL_unicode speaks of Portuguese items alone. A column that is no model, or one that failed on an item, has no loss.
    """
    said, references = [item[column] for item in items], [item["reference"] for item in items]
    scores: dict[str, Sequence[float]] = {}
    for measure in (Rouge(), Bleu(), ChrF(), TokenF1(), Form()):
        scores |= measure.compute(predictions=said, references=references)
    portuguese = [
        place for place, item in enumerate(items) if detect_language(item["reference"]) == "pt"
    ]
    if portuguese:
        found = UnicodeRouge().compute(
            predictions=[said[place] for place in portuguese],
            references=[references[place] for place in portuguese],
        )["rougeL_unicode"]
        values = np.full(len(items), np.nan)
        values[portuguese] = found
        scores["rougeL_unicode"] = values
    if all(item.get("evidence") for item in items):
        scores |= Fidelity().compute(
            predictions=said,
            references=[item["evidence"] for item in items],
            questions=[item["question"] for item in items],
        )
    scores |= grounding(items, column, prompt_template)
    if all(f"{column}_ended" in item for item in items):
        scores["ended"] = [float(item[f"{column}_ended"]) for item in items]
    if all(math.isfinite(item.get(f"{column}_loss", math.nan)) for item in items):
        scores["loss"] = scores["perplexity"] = [item[f"{column}_loss"] for item in items]
    return {metric: np.array(values, dtype=float) for metric, values in scores.items()}


def grounding(
    items: Sequence[dict], column: str, prompt_template: PromptTemplate
) -> dict[str, list[float]]:
    """Returns what only questions with records are measured by, one value an item; nothing for another set."""
    name, said, scores = items[0]["set"], [item[column] for item in items], {}
    if name == "grounded":
        right = [item["sources"].index(item["uid"]) + 1 for item in items]
        scores |= SourceRight().compute(predictions=said, references=right)
    if name in ("grounded", "absent"):
        titles = [item["title"] for item in items]
        scores |= SaysAbsent().compute(
            predictions=said, references=titles, absent=prompt_template.absent
        )
    return scores


def speed(items: Sequence[dict], column: str) -> dict[str, float]:
    """Returns the tokens a second of all answers together, as they were scored, in batches; nothing for no model."""
    seconds = sum(item.get(f"{column}_seconds", 0.0) for item in items)
    return (
        {"tokens_per_second": round(sum(item[f"{column}_tokens"] for item in items) / seconds, 1)}
        if seconds
        else {}
    )


def mean(metric: str, values: np.ndarray) -> float | None:
    """Returns the mean of the items that a metric speaks of; None where there are none.

    A perplexity is that of all items together, the exponential of their mean loss.
    """
    spoken = values[~np.isnan(values)]
    return round(float(linked(metric, spoken.mean())), 4) if len(spoken) else None


def linked(metric: str, means: np.ndarray) -> np.ndarray:
    """Returns a metric's value from the mean over its items; a perplexity is at most e^LARGEST."""
    return np.exp(np.minimum(means, LARGEST)) if metric == "perplexity" else means


# --- what a difference is worth --------------------------------------------------------------------------------------


def compared(
    name: str, theirs: dict[str, np.ndarray], ours: dict[str, np.ndarray]
) -> dict[str, dict]:
    """Returns {metric: difference()} of the metrics that two columns of the set `name` share."""
    return {
        metric: difference(metric, theirs[metric], values, less_is_better(name, metric))
        for metric, values in ours.items()
        if metric in theirs and not np.isnan(values - theirs[metric]).all()
    }


def difference(
    metric: str, theirs: np.ndarray, ours: np.ndarray, less: bool | None = False
) -> dict:
    """Returns what `ours` less `theirs`, one value an item and NaN where there is none, is worth.

    "mean", and "low" and "high" of its 95% interval by a paired bootstrap over the items (Efron 1979), None for a single
    item; "wins", "ties" and "losses" of ours, None where neither more nor less is better; and "needed", the items with
    which a difference of this size is found in four of five studies, None where there is no difference at all.
    """
    both = ~np.isnan(ours - theirs)
    ours, theirs = ours[both], theirs[both]
    low = high = None
    if len(ours) > 1:
        draws = resamples(len(ours))
        spread = linked(metric, draws @ ours) - linked(metric, draws @ theirs)
        low, high = (round(float(bound), 4) for bound in np.percentile(spread, (2.5, 97.5)))
    each = np.round(ours - theirs, 9)
    better = None if less is None else int((each < 0 if less else each > 0).sum())
    ties = int((each == 0).sum())
    return {
        "mean": round(float(linked(metric, ours.mean()) - linked(metric, theirs.mean())), 4),
        "low": low,
        "high": high,
        "wins": better,
        "ties": ties,
        "losses": None if less is None else len(each) - ties - better,
        "needed": needed(each),
    }


@functools.lru_cache(4)
def resamples(count: int) -> np.ndarray:
    """Returns the same RESAMPLES random draws of `count` items always, as the weight of each item: (RESAMPLES, count)."""
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return drawn.astype(np.float64) / count


def needed(differences: np.ndarray) -> int | None:
    """Returns the items that a paired study needs to find a mean difference like this one (Cohen 1988, section 2.4)."""
    mean = round(float(differences.mean()), 9)  # what the order of sums leaves is none
    if len(differences) < 2 or not mean:
        return None
    return max(2, math.ceil((Z * differences.std(ddof=1) / mean) ** 2))


def shown(change: dict) -> bool:
    """Whether a difference is more than chance may have made: its interval does not hold zero."""
    return interval_shows(change["low"], change["high"])
