"""The card's two PNGs: the training loss, and the scores before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from space.evidence import read_scores
from train.evaluate.report import column_names
from train.run import read_jsonl

INK = {"base": "#8a8178", "few_shot": "#c9b79c", "retrieved": "#6f8f9c", "tuned": "#b4532a"}


def plot_loss(history: Path, path: Path) -> None:
    """Draw the training loss by step."""
    entries = read_jsonl(history)
    steps = [entry["step"] for entry in entries]
    losses = [float(entry["loss"]) for entry in entries]
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot(steps, losses, color=INK["tuned"])
    axes.set(xlabel="optimizer step", ylabel="loss, nats per answer token", ylim=(0, None))
    _save(figure, axes, path)


def plot_before_after(metrics: Mapping[str, Any], shots: int, path: Path) -> None:
    """Draw ROUGE-L of every set and column.

    The tuned bar has the interval of its difference to the base.
    """
    names = column_names(read_scores(metrics), shots)
    sets = list(metrics.values())
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    width = 0.8 / len(names)
    for index, (column, name) in enumerate(names.items()):
        lefts = [position + index * width for position in range(len(sets))]
        heights = [scores[column]["rougeL"] for scores in sets]
        bars = axes.bar(lefts, heights, width * 0.92, color=INK[column], label=name)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
        if column == "tuned":
            changes = [scores["difference"]["rougeL"] for scores in sets]
            below = [_reach(change, "low") for change in changes]
            above = [_reach(change, "high") for change in changes]
            axes.errorbar(lefts, heights, [below, above], fmt="none", ecolor="#222")
    middle = width * (len(names) - 1) / 2
    labels = [f"{name} (n={scores['n']})" for name, scores in metrics.items()]
    axes.set_xticks([position + middle for position in range(len(sets))], labels)
    axes.set(ylabel="ROUGE-L", ylim=(0, 1.12))
    axes.legend(loc="upper right", ncols=len(names), frameon=False)
    _save(figure, axes, path)


def _reach(change: Mapping[str, Any], end: str) -> float:
    """Measure how far an interval reaches, 0 without one."""
    return 0.0 if change[end] is None else abs(change["mean"] - change[end])


def _save(figure, axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
