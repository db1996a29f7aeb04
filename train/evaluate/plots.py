"""The card's two PNGs: the training loss, and the scores before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from space.evidence import principal_metric, read_scores
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
    """Draw the principal metric of every set and column.

    The tuned bar has the interval of its difference to the base.
    """
    names = column_names(read_scores(metrics), shots)
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    width = 0.8 / len(names)
    for index, (column, label) in enumerate(names.items()):
        lefts, heights, changes = [], [], []
        for position, (name, scores) in enumerate(metrics.items()):
            metric = principal_metric(name, scores["base"], scores["tuned"])
            if metric in scores.get(column, {}):
                lefts.append(position + index * width)
                heights.append(scores[column][metric])
                changes.append(scores["difference"][metric])
        bars = axes.bar(lefts, heights, width * 0.92, color=INK[column], label=label)
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
        if column == "tuned":
            below = [_reach(change, "low") for change in changes]
            above = [_reach(change, "high") for change in changes]
            axes.errorbar(lefts, heights, [below, above], fmt="none", ecolor="#222")
    middle = width * (len(names) - 1) / 2
    labels = []
    for name, scores in metrics.items():
        metric = principal_metric(name, scores["base"], scores["tuned"])
        labels.append(f"{name} (n={scores['n']})\n{metric}")
    axes.set_xticks([position + middle for position in range(len(metrics))], labels)
    axes.set(ylabel="mean, 0 to 1", ylim=(0, 1.12))
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
