"""What a person reads of a prepared catalogue: report.md, from the numbers of report.json."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from space.catalogue import language
from train.prepare.cleaning import DROPS, RULES

PERCENTS = (0, 5, 25, 50, 75, 95, 100)
EDGES = (
    0,
    50,
    100,
    200,
    400,
    800,
    1600,
    3200,
    6400,
)  # characters; a histogram's bars, the last without an end
BAR = 40  # signs of the longest bar
SHOWN = 100  # characters of an example in a table


def lengths(characters: np.ndarray) -> dict:
    """Returns percentiles, each a value that occurs, and a histogram {lower edge: records} of lengths in characters."""
    ordered = np.sort(characters)
    places = [(len(ordered) - 1) * percent // 100 for percent in PERCENTS]
    counts = np.histogram(ordered, bins=[*EDGES, np.inf])[0]
    return {
        f"p{percent}": int(ordered[place]) for percent, place in zip(PERCENTS, places, strict=True)
    } | {"histogram": {str(edge): int(count) for edge, count in zip(EDGES, counts, strict=True)}}


def languages(texts: Sequence[str]) -> dict[str, int]:
    """Returns how many of the texts are in each language."""
    found = [language(text) for text in texts]
    return {name: found.count(name) for name in sorted(set(found))}


def page(report: Mapping) -> str:
    """Returns a catalogue's report.md."""
    return "\n".join(
        [*_summary(report), *dropped(report, DROPS), *repaired(report), *characters(report), ""]
    )


def pairs_page(report: Mapping, reasons: Mapping[str, str]) -> str:
    """Returns the report.md of texts with summaries, whether a set's or a teacher's; `reasons` says what each one is."""
    splits, made = report["splits"], report.get("teacher") or report["source"]
    told = sum(report["languages"].values())
    shares = ", ".join(f"{name} {count / told:.0%}" for name, count in report["languages"].items())
    first = [
        f"# Summaries from {made['name']}",
        "",
        f"{report['read']:,} came in, {report['kept']:,} pairs of a text and its summary were kept: {splits['train']:,} "
        f"to learn from and {splits['unseen']:,} held out. Languages of the texts: {shares}. Licence: "
        f"{report['licence']}.",
        "",
    ]
    return "\n".join(
        [
            *first,
            *dropped(report, reasons),
            *(repaired(report) if report["repaired"] else ()),
            *characters(report),
            "",
        ]
    )


def _summary(report: Mapping) -> list[str]:
    splits, told = report["splits"], sum(report["languages"].values())
    shares = ", ".join(f"{name} {count / told:.0%}" for name, count in report["languages"].items())
    return [
        f"# The catalogue from {report['source']['name']}",
        "",
        f"{report['read']:,} lines came in, {report['kept']:,} records were kept: {splits['train']:,} to train on and "
        f"{splits['unseen']:,} unseen. {report['uids_made']:,} uids were made. Languages, of {told:,} contents: {shares}.",
        "",
        "No title and no content is twice among the records, whatever its case and punctuation, and near duplicates "
        f"({report['near_duplicates']:,} records: a title that differs in its brackets alone, or a content that begins "
        "with the same words) are on one side of the split together.",
        "",
    ]


def dropped(report: Mapping, reasons: Mapping[str, str]) -> list[str]:
    """Returns the part on what went; `reasons` says in words what each one is."""
    lines = [
        "## What went, and why",
        "",
        "| dropped as | lines | what that is | such as |",
        "|---|---:|---|---|",
    ]
    for reason, count in report["dropped"].items():
        example = report["examples"][reason][0]
        lines.append(
            f"| {reason} | {count:,} | {reasons[reason]} | {example['file']}, line {example['line']}: "
            f"{_code(example['text'])} |"
        )
    return [*lines, ""]


def repaired(report: Mapping) -> list[str]:
    """Returns the part on what was repaired."""
    lines = [
        "## What was repaired, in this order",
        "",
        "| rule | texts | what it does | before | after |",
        "|---|---:|---|---|---|",
    ]
    for rule in RULES:
        entry = report["repaired"][rule.name]
        example = entry["examples"][0] if entry["examples"] else {"before": "", "after": ""}
        lines.append(
            f"| {rule.name} | {entry['texts']:,} | {rule.words} | {_code(example['before'])} | "
            f"{_code(example['after'])} |"
        )
    return [*lines, ""]


def characters(report: Mapping) -> list[str]:
    """Returns the part on the lengths; the last kind of text in the report is the one that is drawn."""
    lines = [
        "## Lengths in characters",
        "",
        "Half of the records are at p50 or below.",
        "",
        "| | " + " | ".join(f"p{percent}" for percent in PERCENTS) + " |",
        "|---|" + "---:|" * len(PERCENTS),
    ]
    for name, values in report["characters"].items():
        lines.append(
            f"| {name} | " + " | ".join(f"{values[f'p{percent}']:,}" for percent in PERCENTS) + " |"
        )
    histogram = values["histogram"]
    longest = max(histogram.values()) or 1
    lines += ["", f"{name.capitalize()}s by length:", "", "```"]
    ends = [*(f"to {edge:,}" for edge in EDGES[1:]), f"{EDGES[-1]:,} and more"]
    for end, count in zip(ends, histogram.values(), strict=True):
        lines.append(f"{end:>15} {'#' * -(-BAR * count // longest):<{BAR}} {count:>10,}")
    return [*lines, "```"]


def _code(text: str) -> str:
    """A text as code in a cell of a table."""
    bare = re.sub(r"[`|\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
    return f"` {bare[:SHOWN]} `" if bare else ""
