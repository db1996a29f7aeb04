"""What the numbers show and what they do not, in plain sentences made of the differences and their intervals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from space.evidence import JUDGED, less_is_better
from train.evaluate.statistics import shown

FEW = 30  # items, below which a bootstrap's interval is itself rough
OUTCOMES = ("better", "worse", "not shown")
SETS = {
    "seen": "Titles that it was trained on, asked from memory: whether it learned the catalogue by heart.",
    "unseen": "Titles that it never saw, asked from memory. No memory can help, so every fact is a guess: this shows whether "
    "it learned the manner, and how much it invents.",
    "grounded": "Titles that it never saw, with the catalogue's records in the prompt: whether it reads them and names the "
    "right one.",
    "absent": "Titles that the catalogue does not have: whether it says so.",
    "summary": "Texts that it never saw: whether it says in short what they say.",
}
METRICS = {
    "rougeL": "ROUGE-L",
    "rougeL_unicode": "ROUGE-L of the Portuguese",
    "token_f1": "token F1",
    "loss": "loss",
    "supported": "the share of words that the record supports",
    "invented_numbers": "the share of numbers that are invented",
    "invented_names": "the share of names that are invented",
    "source_right": "naming the right record",
    "says_absent": "saying that the catalogue does not have it",
}
OTHERS = {
    "base": "the base",
    "few_shot": "the base with {shots} worked examples",
    "retrieved": "the first record found",
}


@dataclass(frozen=True)
class Finding:
    """One metric of one set, `subject` against another: what the difference is worth, and in words."""

    subject: str
    set: str
    metric: str
    against: str
    outcome: str
    words: str


def findings(metrics: Mapping, shots: int) -> list[Finding]:
    """Returns what a run's metrics.json shows and does not, against the base, the few-shot base and the first record.

    What a set is for is told against each of them, the rest against the base, and against another only where it is not better.
    """
    made = []
    for name, scores in metrics.items():
        others = {"base": scores["difference"], **scores["against"]}
        for metric in JUDGED[name]:
            for other in (other for other, changes in others.items() if metric in changes):
                values = scores["tuned"][metric], scores[other][metric]
                each = finding(
                    name,
                    metric,
                    OTHERS[other].format(shots=shots),
                    others[other][metric],
                    values,
                    scores["n"],
                )
                # A record that is quoted invents nothing: only what the set is for is asked of it.
                if (
                    metric == JUDGED[name][0]
                    or other == "base"
                    or (other != "retrieved" and each.outcome != "better")
                ):
                    made.append(each)
    return made


def finding(
    name: str,
    metric: str,
    other: str,
    change: Mapping,
    values: Sequence[float],
    items: int,
    subject: str = "the tuned model",
) -> Finding:
    """Returns one finding; `values` are the means of the subject and of the other, `items` those of the set."""
    said = metric_words(name, metric)
    figures = f"{values[0]:.3f} against {values[1]:.3f}"
    if change["low"] is None:
        return Finding(
            subject,
            name,
            metric,
            other,
            "not shown",
            f"One item shows nothing about {said} ({figures}, {other}).",
        )
    interval = f"{change['mean']:+.3f}\u00a0[{change['low']:+.3f},\u00a0{change['high']:+.3f}]"
    if not shown(change):
        return Finding(
            subject,
            name,
            metric,
            other,
            "not shown",
            f"No difference to {other} is shown in {said}: {figures}, {interval}{_would_need(change, items)}.",
        )
    better = (change["mean"] < 0) == bool(less_is_better(name, metric))
    outcome = "better" if better else "worse"
    tally = f"{change['wins']} won, {change['ties']} tied, {change['losses']} lost"
    return Finding(
        subject,
        name,
        metric,
        other,
        outcome,
        f"{outcome.capitalize()} than {other} in {said}: {figures}, {interval}; {tally}.",
    )


def metric_words(name: str, metric: str) -> str:
    """Returns what a metric of a set is, for a person."""
    return (
        f"wrongly {METRICS[metric]}"
        if (name, metric) == ("grounded", "says_absent")
        else METRICS[metric]
    )


def _would_need(change: Mapping, items: int) -> str:
    if change["needed"] is None or change["needed"] <= items:
        return ""
    return (
        f"; one of that size would need about {change['needed']:,} items, and there were {items:,}"
    )


def lead(found: Sequence[Finding]) -> list[str]:
    """Returns the verdict in a few sentences: by what each set is for against each other column, then all that got worse."""
    sentences = []
    for subject, other in dict.fromkeys((each.subject, each.against) for each in found):
        judged = [
            each
            for each in found
            if (each.subject, each.against) == (subject, other)
            and each.metric == JUDGED[each.set][0]
        ]
        parts = [
            f"{words} on {_listed([each.set for each in judged if each.outcome == outcome])}"
            for outcome, words in (
                ("better", "better"),
                ("worse", "worse"),
                ("not shown", "not shown to differ"),
            )
            if any(each.outcome == outcome for each in judged)
        ]
        sentences.append(f"Against {other}, {subject} is {'; '.join(parts)}.")
        sets: dict[str, list[str]] = {}
        for each in found:
            if (each.subject, each.against, each.outcome) == (
                subject,
                other,
                "worse",
            ) and each not in judged:
                sets.setdefault(metric_words(each.set, each.metric), []).append(each.set)
        if sets:
            sentences[-1] += (
                f" Beside that it is worse in {'; in '.join(f'{w} on {_listed(on)}' for w, on in sets.items())}."
            )
    return sentences


def cautions(metrics: Mapping) -> Iterator[str]:
    """Yields what the numbers cannot say, whatever they are."""
    few = [name for name, scores in metrics.items() if scores["n"] < FEW]
    if few:
        yield (
            f"Of {_listed(few)} there are fewer than {FEW} items: the intervals are rough, and only large differences mean "
            "anything."
        )
    compared = sum(
        change["low"] is not None
        for scores in metrics.values()
        for metric, change in scores["difference"].items()
        if metric in METRICS
    )
    yield (
        f"Each interval is a 95% one by itself. Of the {compared} differences between base and tuned in the table, about "
        f"{max(1, round(compared / 20))} would leave out zero by chance if tuning did nothing."
    )
    yield (
        "The intervals are about the items. How much another seed of training would change is not in them: train with "
        "several seeds and compare the runs."
    )
    if any("retrieved" in scores for scores in metrics.values()):
        yield (
            "The references are in the catalogue's own words. The first record found is quoted from it, and so it scores "
            "highest wherever the search finds the right one; without the catalogue at hand there is no such answer."
        )
    if "seen" in metrics:
        yield "A gain on seen is learning by heart, which is what that set is for; it promises nothing for other titles."


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""
