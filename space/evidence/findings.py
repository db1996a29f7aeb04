"""Findings: what the scores of each set and metric show, one column against another."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

# Names are keys of space/texts.json.
COLUMNS = {
    "base": "column_base",
    "few_shot": "column_few_shot",
    "retrieved": "column_retrieved",
    "tuned": "column_tuned",
}
# {set: (its name, what it asks)}
SETS = {
    "seen": ("set_seen", "about_seen"),
    "unseen": ("set_unseen", "about_unseen"),
    "grounded": ("set_grounded", "about_grounded"),
    "absent": ("set_absent", "about_absent"),
    "asked": ("set_asked", "about_asked"),
    "unstated": ("set_unstated", "about_unstated"),
    "summary": ("set_summary", "about_summary"),
    "kept": ("set_kept", "about_kept"),
}
# The metrics that people are shown, in this order; metrics.json has more.
METRICS = {
    "right": "metric_right",
    "kept": "metric_kept",
    "rougeL": "metric_rouge",
    "rougeL_unicode": "metric_rouge_unicode",
    "token_f1": "metric_f1",
    "source_right": "metric_source",
    "supported": "metric_supported",
    "invented_numbers": "metric_numbers",
    "invented_names": "metric_names",
    "says_absent": "metric_absent",
    "loss": "metric_loss",
}
OUTCOMES = {
    "better": "outcome_better",
    "worse": "outcome_worse",
    "unclear": "outcome_unclear",
}
# Metrics that are 1 or 0 for each item: people read them as "151 of 200".
COUNTED = frozenset(("right", "kept", "says_absent"))
# What a set is for comes first; then what a gain there could hide. An older adapter lacks the
# newer metrics: principal_metric() passes over them.
JUDGED = {
    "seen": ("rougeL", "supported", "invented_numbers"),
    "unseen": ("rougeL", "invented_numbers", "invented_names"),
    "grounded": ("right", "rougeL", "source_right", "supported", "says_absent"),
    "absent": ("says_absent",),
    "asked": ("right", "rougeL", "invented_numbers"),
    "unstated": ("right", "rougeL", "invented_numbers"),
    "summary": ("rougeL", "supported", "invented_numbers"),
    "kept": ("kept",),
}
LESS_IS_BETTER = frozenset(
    ("loss", "perplexity", "invented_numbers", "invented_names", "contradicted", "repetition")
)
NEITHER_IS_BETTER = frozenset(("length_ratio", "copied_run"))
FEW = 30  # items, below which a bootstrap interval is itself rough


@dataclass(frozen=True)
class Change:
    """One column less another in a metric: mean, 95% interval, items won, tied and lost.

    The interval is None where there is none, the counts where neither more nor less is better;
    `needed` is the items with which a study finds such a difference four times in five.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None
    needed: int | None = None

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        # Of NaN, no comparison holds.
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Scores:
    """One set's scores: {column: {metric: mean}}, and changes, {other column: {metric: Change}}.

    The changes are those of one column, tuned if not said otherwise, less each other.
    """

    name: str
    items: int
    means: Mapping[str, Mapping[str, float]]
    changes: Mapping[str, Mapping[str, Change]]


@dataclass(frozen=True)
class Finding:
    """One metric of one set: is `column` better than `against`, with every column's mean."""

    set: str
    metric: str
    column: str
    against: str
    outcome: str  # one of OUTCOMES
    values: Mapping[str, float]
    change: Change
    items: int
    principal: bool  # whether the metric is what the set is for

    @property
    def judged(self) -> bool:
        """Whether the set is judged by the metric."""
        return self.metric in JUDGED[self.set]


def list_findings(scores: Iterable[Scores], column: str = "tuned") -> list[Finding]:
    """Compare a column with each other one, set by set.

    On every metric of METRICS that both have.
    """
    found: list[Finding] = []
    for each in scores:
        found += _list_set(each, column)
    return found


def principal_metric(name: str, *columns: Container[str]) -> str:
    """Return the first judging metric that every column has.

    The first of all where there is none.
    """
    for metric in JUDGED[name]:
        if all(metric in column for column in columns):
            return metric
    return JUDGED[name][0]


def _list_set(scores: Scores, column: str) -> Iterator[Finding]:
    for metric in METRICS:
        values = {name: means[metric] for name, means in scores.means.items() if metric in means}
        for against in values:
            if against == column or column not in values:
                continue
            change = scores.changes.get(against, {}).get(metric)
            if change is None:
                if against != "base":
                    continue
                # Some adapters bring means alone.
                change = Change(round(values[column] - values[against], 4))
            pair = scores.means[column], scores.means[against]
            yield Finding(
                scores.name,
                metric,
                column,
                against,
                _outcome(scores.name, metric, change),
                values,
                change,
                scores.items,
                metric
                == (lost_support(scores, column, against) or principal_metric(scores.name, *pair)),
            )


def lost_support(scores: Scores, column: str, against: str) -> str | None:
    """Return "supported" where a model's summaries lost support.

    No gain of words makes up for it, so it is then what the summaries are judged by. A text's own
    first sentences, quoted, are always supported: no model is asked to beat that.
    """
    change = scores.changes.get(against, {}).get("supported")
    values = [scores.means[each].get("supported") for each in (column, against)]
    if scores.name != "summary" or against == "retrieved" or None in values or change is None:
        return None
    return "supported" if _outcome(scores.name, "supported", change) == "worse" else None


def _outcome(name: str, metric: str, change: Change) -> str:
    if not change.shown:
        return "unclear"
    return "better" if (change.mean < 0) == bool(less_is_better(name, metric)) else "worse"


def less_is_better(name: str, metric: str) -> bool | None:
    """Tell whether less of a metric is better in a set.

    None where neither more nor less is.
    """
    if metric in NEITHER_IS_BETTER:
        return None
    return metric in LESS_IS_BETTER or (metric == "says_absent" and name != "absent")


def metric_key(name: str, metric: str) -> str:
    """Return the key of a metric's name, as a set calls it."""
    if (name, metric) == ("grounded", "says_absent"):
        return "metric_wrongly_absent"
    return METRICS[metric]
