"""What a person reads of a run: the table of scores and the plots."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from train.evaluate.statistics import shown

COLUMNS = {
    "base": "base",
    "few_shot": "base, {shots} examples",
    "retrieved": "first record",
    "tuned": "tuned",
}
# What the table shows; metrics.json has every metric.
HEADLINE = (
    "rougeL",
    "rougeL_unicode",
    "token_f1",
    "loss",
    "supported",
    "invented_numbers",
    "invented_names",
    "source_right",
    "says_absent",
)
INK = {"base": "#8a8178", "few_shot": "#c9b79c", "retrieved": "#6f8f9c", "tuned": "#b4532a"}


def table_rows(metrics: dict, shots: int) -> list[list[str]]:
    """Returns the before/after table as rows of words, the heading first."""
    present = [name for name in COLUMNS if all(name in scores for scores in metrics.values())]
    rows = [
        [
            "set",
            "n",
            "metric",
            *(COLUMNS[name].format(shots=shots) for name in present),
            "difference [95%]",
            "won-tied-lost",
        ]
    ]
    for name, scores in metrics.items():
        first = [name, str(scores["n"])]
        for metric, change in scores["difference"].items():
            if metric in HEADLINE:
                cells = [_number(scores[column].get(metric)) for column in present]
                rows.append([*first, metric, *cells, difference_words(change), tally(change)])
                first = ["", ""]
    return rows


def difference_words(change: dict) -> str:
    """Returns a difference with its interval, and whether it is one."""
    if change["low"] is None:
        return f"{change['mean']:+.3f} (one item: no interval)"
    words = f"{change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]"
    return words if shown(change) else f"{words} no difference shown"


def summary_note(metrics: dict) -> str:
    """Returns what the `summary` set was scored against, for under the table; nothing where there is no such set."""
    told = metrics.get("summary", {}).get("references")
    return f"\n\nsummary: {told}" if told else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def tally(change: dict) -> str:
    """Returns the items won, tied and lost; nothing where neither more nor less is better."""
    return (
        f"{change['wins']}-{change['ties']}-{change['losses']}"
        if change["wins"] is not None
        else ""
    )


def as_text(rows: Sequence[Sequence[str]]) -> str:
    """Returns the table for a terminal."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for place, row in enumerate(rows):
        if row[0] and place:
            lines.append("")
        cells = [
            cell.rjust(width) if 2 < column < len(row) - 2 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def ways(config: Mapping) -> str:
    """Returns what a run's LoRA has that is not usual, to be said after its rank; an older config says nothing of it."""
    return (", rank-stabilized" if config.get("rank_stabilized") else "") + (
        ", begun by EVA" if config.get("init") == "eva" else ""
    )


def as_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Returns the table in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def plot_loss(history: Path, path: Path) -> None:
    """Draws the training loss by step."""
    entries = [json.loads(line) for line in history.read_text(encoding="utf-8").splitlines()]
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(
        [entry["step"] for entry in entries],
        [float(entry["loss"]) for entry in entries],
        color=INK["tuned"],
    )
    axes.set(xlabel="optimizer step", ylabel="loss, nats per answer token", ylim=(0, None))
    _save(figure, axes, path)


def plot_before_after(metrics: dict, shots: int, path: Path) -> None:
    """Draws ROUGE-L of every set and column, the difference's interval on the tuned bar."""
    present = [name for name in COLUMNS if all(name in scores for scores in metrics.values())]
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    width = 0.8 / len(present)
    for place, column in enumerate(present):
        heights = [scores[column]["rougeL"] for scores in metrics.values()]
        bars = axes.bar(
            [x + place * width for x in range(len(metrics))],
            heights,
            width * 0.92,
            color=INK[column],
            label=COLUMNS[column].format(shots=shots),
        )
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
        if column == "tuned":
            changes = [scores["difference"]["rougeL"] for scores in metrics.values()]
            spread = [
                [
                    0 if change["low"] is None else abs(change["mean"] - change[end])
                    for change in changes
                ]
                for end in ("low", "high")
            ]
            axes.errorbar(
                [x + place * width for x in range(len(metrics))],
                heights,
                spread,
                fmt="none",
                ecolor="#222",
            )
    axes.set_xticks(
        [x + width * (len(present) - 1) / 2 for x in range(len(metrics))],
        [f"{name} (n={scores['n']})" for name, scores in metrics.items()],
    )
    axes.set(ylabel="ROUGE-L", ylim=(0, 1.12))
    axes.legend(loc="upper right", ncols=len(present), frameon=False)
    _save(figure, axes, path)


def _save(figure, axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
