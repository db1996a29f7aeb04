"""Findings in English words and tables, for a terminal, for pages and for the card."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from space.evidence import (
    COLUMNS,
    COUNTED,
    FEW,
    JUDGED,
    Change,
    Finding,
    Scores,
    list_findings,
    metric_key,
    read_scores,
)
from space.texts import words

OUTCOMES = {"better": "better", "worse": "worse", "unclear": "not shown to differ"}

Names = Mapping[str, str]  # {column: what a person reads}


def column_names(scores: Iterable[Scores], shots: int) -> dict[str, str]:
    """Name the columns that there are, for a table's head."""
    names = {column: words(key) for column, key in COLUMNS.items()}
    # "Base with 3 examples"; the Space does not know how many they were.
    names["few_shot"] = names["few_shot"].replace("with", f"with {shots}")
    present: set[str] = set()
    for each in scores:
        present |= set(each.means)
    return {
        column: name[:1].lower() + name[1:] for column, name in names.items() if column in present
    }


def in_sentences(names: Names) -> dict[str, str]:
    """Name the columns as a sentence has them: "the base"."""
    return {
        column: f"the {name} model" if column == "tuned" else f"the {name}"
        for column, name in names.items()
    }


# --- sentences ---


def reported(found: Iterable[Finding]) -> list[Finding]:
    """Choose the findings to report of a run.

    What a set is for against every column; what else it is judged by against the base, and against
    another only where tuned is not better.
    """
    chosen = []
    for each in found:
        # A quoted record invents nothing: only what the set is for is asked of it.
        lost = each.against != "retrieved" and each.outcome != "better"
        if each.principal or (each.judged and (each.against == "base" or lost)):
            chosen.append(each)
    order = list(dict.fromkeys(each.set for each in chosen))

    def rank(each: Finding) -> tuple[int, bool]:
        # What a set is for comes first: of summaries that lost support, the loss.
        return order.index(each.set), not (each.principal and each.against == "base")

    return sorted(chosen, key=rank)


def sentence(finding: Finding, names: Names) -> str:
    """Say what a finding shows, with its figures."""
    metric, other = metric_name(finding), names[finding.against]
    change = finding.change
    figures = f"{figure(finding, finding.column)} against {figure(finding, finding.against)}"
    if change.low is None or change.high is None:
        return f"One item shows nothing about {metric} ({figures}, {other})."
    # The figures of an interval stay on one line.
    interval = f"{change.mean:+.3f}\u00a0[{change.low:+.3f},\u00a0{change.high:+.3f}]"
    if finding.outcome == "unclear":
        more = ""
        if change.needed is not None and change.needed > finding.items:
            more = (
                f"; one of that size would need about {change.needed:,} items, "
                f"and there were {finding.items:,}"
            )
        return f"No difference to {other} is shown in {metric}: {figures}, {interval}{more}."
    counts = f"{change.wins} won, {change.ties} tied, {change.losses} lost"
    outcome = finding.outcome.capitalize()
    return f"{outcome} than {other} in {metric}: {figures}, {interval}; {counts}."


def headline(scores: Iterable[Scores], names: Names) -> Iterator[str]:
    """Yield the counts of right answers, a line for each set."""
    for each in scores:
        metric, counts = JUDGED[each.name][0], []
        for column, name in names.items():
            share = each.means.get(column, {}).get(metric)
            if share is not None:
                counts.append(f"{name} {count_of(share, each.items)}")
        if metric in COUNTED and counts:
            kind = metric.replace("_", " ").capitalize()
            yield f"{kind} on {each.name}: {', '.join(counts)}."


def figure(finding: Finding, column: str) -> str:
    """Format a column's mean, "" where the column has none."""
    value = finding.values.get(column)
    if value is not None and finding.metric in COUNTED:
        return count_of(value, finding.items)
    return format_mean(value)


def count_of(share: float, items: int) -> str:
    """Format a share of items as their count: "151 of 200"."""
    return f"{round(share * items):,} of {items:,}"


def metric_name(finding: Finding) -> str:
    """Name a finding's metric for a person."""
    return words(metric_key(finding.set, finding.metric))


def lead(found: Sequence[Finding], names: Names) -> list[str]:
    """Sum up findings for each pair of columns.

    A sentence or two for each. All that got worse is named.
    """
    pairs: dict[tuple[str, str], list[Finding]] = {}
    for each in found:
        pairs.setdefault((each.column, each.against), []).append(each)
    return [
        f"Against {names[against]}, {names[column]} is {_outcomes(members)}.{_also_worse(members)}"
        for (column, against), members in pairs.items()
    ]


def _outcomes(found: Sequence[Finding]) -> str:
    parts = []
    for outcome, word in OUTCOMES.items():
        sets = [each.set for each in found if each.principal and each.outcome == outcome]
        if sets:
            parts.append(f"{word} on {listed(sets)}")
    return "; ".join(parts)


def _also_worse(found: Sequence[Finding]) -> str:
    sets: dict[str, list[str]] = {}
    for each in found:
        if each.outcome == "worse" and not each.principal:
            sets.setdefault(metric_name(each), []).append(each.set)
    if not sets:
        return ""
    parts = [f"{metric} on {listed(names)}" for metric, names in sets.items()]
    return f" Beside that it is worse in {'; in '.join(parts)}."


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def cautions(scores: Sequence[Scores]) -> Iterator[str]:
    """Yield what the numbers cannot say, whatever they are."""
    few = [each.name for each in scores if each.items < FEW]
    if few:
        yield (
            f"Of {listed(few)} there are fewer than {FEW} items: the intervals are rough, and only "
            "large differences mean anything."
        )
    against_base = [each for each in list_findings(scores) if each.against == "base"]
    compared = sum(each.change.low is not None for each in against_base)
    yield (
        f"Each interval is a 95% one by itself. Of the {compared} differences between base and "
        f"tuned in the table, about {max(1, round(compared / 20))} would leave out zero by chance "
        "if tuning did nothing."
    )
    yield (
        "The intervals are about the items. How much another seed of training would change is not "
        "in them: train with several seeds and compare the runs."
    )
    if any("retrieved" in each.means for each in scores):
        yield (
            "The references are in the catalogue's own words. The first record found is quoted "
            "from it, and so it scores highest wherever the search finds the right one; without "
            "the catalogue at hand there is no such answer."
        )
    if any(each.name == "seen" for each in scores):
        yield (
            "A gain on seen is learning by heart, which is what that set is for; it promises "
            "nothing for other titles."
        )


# --- tables ---


def score_rows(metrics: Mapping[str, Any], shots: int) -> list[list[str]]:
    """Lay out a run's metrics.json as a table, the heading first."""
    scores = read_scores(metrics)
    return finding_rows(list_findings(scores), column_names(scores, shots))


def finding_rows(found: Iterable[Finding], names: Names, against: str = "base") -> list[list[str]]:
    """Lay out the findings against one column, the heading first."""
    rows = [["set", "n", "metric", *names.values(), "difference [95%]", "won-tied-lost"]]
    last = ""
    for each in found:
        if each.against == against:
            first = ["", ""] if each.set == last else [each.set, str(each.items)]
            last = each.set
            rows.append([*first, *finding_cells(each, names)])
    return rows


def finding_cells(finding: Finding, names: Names) -> list[str]:
    """Lay out a finding's metric, means, difference and won-tied-lost."""
    means = [figure(finding, column) for column in names]
    return [finding.metric, *means, difference_words(finding.change), tally(finding.change)]


def format_mean(value: float | None) -> str:
    """Format a mean as a table has it."""
    return "" if value is None else f"{value:.3f}"


def difference_words(change: Change) -> str:
    """Format a difference with its interval, and whether it is one."""
    if change.low is None or change.high is None:
        return f"{change.mean:+.3f} (one item: no interval)"
    interval = f"{change.mean:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"
    return interval if change.shown else f"{interval} no difference shown"


def tally(change: Change) -> str:
    """Format the items won, tied and lost.

    "" where no value is better.
    """
    return "" if change.wins is None else f"{change.wins}-{change.ties}-{change.losses}"


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Format a table for a terminal, the numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        if row[0] and lines:
            lines.append("")
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        for index in range(3, len(row) - 2):
            cells[index] = row[index].rjust(widths[index])
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Format a table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def describe_scores(metrics: Mapping[str, Any], shots: int) -> str:
    """Format a run's metrics.json for a terminal."""
    scores = read_scores(metrics)
    counts = "\n".join(headline(scores, column_names(scores, shots)))
    text = as_text(score_rows(metrics, shots))
    if counts:
        text = f"{counts}\n\n{text}"
    references = metrics.get("summary", {}).get("references")
    return f"{text}\n\nsummary: {references}" if references else text


def rare_options(config: Mapping[str, Any]) -> str:
    """Say what is unusual of a run's LoRA, after its rank."""
    stabilized = ", rank-stabilized" if config.get("rank_stabilized") else ""
    return stabilized + (", begun by EVA" if config.get("init") == "eva" else "")
