"""Counts of a preparation, and report.md, the page that a person reads of them."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence

import numpy as np

from space.catalogue import detect_language
from train.prepare.clean import DROPS, RULES
from train.run import CatalogueReport, PreparationReport, SummariesReport

PERCENTS = (0, 5, 25, 50, 75, 95, 100)
EDGES = (0, 50, 100, 200, 400, 800, 1600, 3200, 6400)  # characters; the last bar has no end
BAR = 40  # characters of the longest bar
EXAMPLE = 100  # characters of an example in a table


def describe_lengths(characters: np.ndarray) -> dict:
    """Compute percentiles and a histogram of lengths.

    A percentile is a value that occurs. The histogram is {lower edge: texts}.
    """
    ordered = np.sort(characters)
    counts = np.histogram(ordered, bins=[*EDGES, np.inf])[0]
    found: dict = {}
    for percent in PERCENTS:
        found[f"p{percent}"] = int(ordered[(len(ordered) - 1) * percent // 100])
    found["histogram"] = dict(zip(map(str, EDGES), counts.tolist(), strict=True))
    return found


def count_languages(texts: Sequence[str]) -> dict[str, int]:
    """Count the texts in each language."""
    found = list(map(detect_language, texts))
    return {name: found.count(name) for name in sorted(set(found))}


def catalogue_page(report: CatalogueReport) -> str:
    """Write a catalogue's report.md."""
    splits = report["splits"]
    lines = [
        f"# The catalogue from {report['source']['name']}",
        "",
        f"{report['read']:,} lines came in, {report['kept']:,} records were kept: "
        f"{splits['train']:,} to train on and {splits['unseen']:,} unseen. "
        f"{report['uids_made']:,} uids were made. Languages, of "
        f"{sum(report['languages'].values()):,} contents: {_language_shares(report)}.",
        "",
        "No title and no content is twice among the records, whatever its case and punctuation, "
        f"and near duplicates ({report['near_duplicates']:,} records: a title that differs in its "
        "brackets alone, or a content that begins with the same words or differs in a few) are on "
        "one side of the split together.",
        "",
    ]
    return _page(lines, report, DROPS)


def summaries_page(report: SummariesReport, reasons: Mapping[str, str]) -> str:
    """Write the report.md of texts with summaries.

    `reasons` describes each reason to drop one.
    """
    splits = report["splits"]
    made_by = report.get("teacher") or report.get("source") or {}
    lines = [
        f"# Summaries from {made_by['name']}",
        "",
        f"{report['read']:,} came in, {report['kept']:,} pairs of a text and its summary were "
        f"kept: {splits['train']:,} to learn from and {splits['unseen']:,} held out. Languages of "
        f"the texts: {_language_shares(report)}. Licence: {report['licence']}.",
        "",
    ]
    return _page(lines, report, reasons)


def _language_shares(report: PreparationReport) -> str:
    total = sum(report["languages"].values())
    return ", ".join(f"{name} {count / total:.0%}" for name, count in report["languages"].items())


def _page(lines: list[str], report: PreparationReport, reasons: Mapping[str, str]) -> str:
    lines += _dropped(report, reasons)
    if report["repaired"]:
        lines += _repaired(report)
    lines += _lengths(report)
    return "\n".join([*lines, ""])


def _dropped(report: PreparationReport, reasons: Mapping[str, str]) -> list[str]:
    lines = [
        "## What went, and why",
        "",
        "| dropped as | lines | what that is | such as |",
        "|---|---:|---|---|",
    ]
    for reason, count in report["dropped"].items():
        example = report["examples"][reason][0]
        lines.append(
            f"| {reason} | {count:,} | {reasons[reason]} | {example['file']}, "
            f"line {example['line']}: {_code(example['text'][:EXAMPLE])} |"
        )
    return [*lines, ""]


def _repaired(report: PreparationReport) -> list[str]:
    lines = [
        "## What was repaired, in this order",
        "",
        "The first change of an example stands in ⟦ ⟧. A character that cannot be seen is written "
        "by its number, such as \\u00a0.",
        "",
        "| rule | texts | what it does | before | after |",
        "|---|---:|---|---|---|",
    ]
    for rule in RULES:
        entry = report["repaired"][rule.name]
        example = entry["examples"][0] if entry["examples"] else {"before": "", "after": ""}
        before, after = mark_change(example["before"], example["after"])
        lines.append(
            f"| {rule.name} | {entry['texts']:,} | {rule.description} | "
            f"{_code(before)} | {_code(after)} |"
        )
    return [*lines, ""]


def _lengths(report: PreparationReport) -> list[str]:
    lines = [
        "## Lengths in characters",
        "",
        "Half of the records are at p50 or below.",
        "",
        "| | " + " | ".join(f"p{percent}" for percent in PERCENTS) + " |",
        "|---|" + "---:|" * len(PERCENTS),
    ]
    for name, lengths in report["characters"].items():
        values = (f"{lengths[f'p{percent}']:,}" for percent in PERCENTS)
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    # The last field, contents or texts, is the one that is drawn.
    name, lengths = list(report["characters"].items())[-1]
    histogram = lengths["histogram"]
    longest = max(histogram.values()) or 1
    lines += ["", f"{name.capitalize()}s by length:", "", "```"]
    ends = [*(f"to {edge:,}" for edge in EDGES[1:]), f"{EDGES[-1]:,} and more"]
    for end, count in zip(ends, histogram.values(), strict=True):
        lines.append(f"{end:>15} {'#' * -(-BAR * count // longest):<{BAR}} {count:>10,}")
    return [*lines, "```"]


def mark_change(before: str, after: str) -> tuple[str, str]:
    """Mark the first change in both texts."""
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        if kind != "equal":
            return (
                _mark(before[:EXAMPLE], start, end),
                _mark(after[:EXAMPLE], other_start, other_end),
            )
    return _spell(before[:EXAMPLE]), _spell(after[:EXAMPLE])


def _mark(text: str, start: int, end: int) -> str:
    changed = _spell(text[start:end], blanks=True)
    return f"{_spell(text[:start])}⟦{changed}⟧{_spell(text[end:])}"


def _spell(text: str, blanks: bool = False) -> str:
    """Spell out what cannot be seen."""
    spelled = []
    for letter in text:
        if letter == " ":
            spelled.append("\u2423" if blanks else " ")
        elif letter.isspace() or not letter.isprintable() or unicodedata.combining(letter):
            spelled.append(f"\\u{ord(letter):04x}")
        else:
            spelled.append(letter)
    return "".join(spelled)


def _code(text: str) -> str:
    """Format a text as code in a cell of a table."""
    bare = re.sub(r"[`|\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
    return f"` {bare[: 2 * EXAMPLE]} `" if bare else ""
