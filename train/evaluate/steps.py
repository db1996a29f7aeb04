"""The steps of an evaluation in order: answer, score, compare columns, write every file of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from space.model import Pair
from train.config import EvaluateConfig
from train.evaluate.evaluation import evaluation_record
from train.evaluate.metrics import score_items
from train.evaluate.page import report_page
from train.evaluate.plots import plot_before_after, plot_loss
from train.evaluate.samples import Answer, ScoredItem
from train.evaluate.score import Key, collect_samples, quote_top_hits, score_column
from train.evaluate.statistics import compute_metrics
from train.examples import Examples
from train.run import Run, to_json, to_jsonl


@dataclass(frozen=True)
class Evaluation:
    """An evaluation's metrics.json and its scored items."""

    metrics: dict[str, Any]
    items: list[ScoredItem]


def score_base_columns(
    run: Run, pair: Pair, examples: Examples, config: EvaluateConfig
) -> dict[str, dict[Key, Answer]]:
    """Answer every item with the base, without and with examples."""
    columns = ["base", "few_shot"] if config.shots else ["base"]
    return {column: score_column(run, pair, examples, config, column) for column in columns}


def score_models(run: Run, pair: Pair, examples: Examples, config: EvaluateConfig) -> None:
    """Answer this rank's items with base and tuned.

    It is for the other ranks, while rank 0 does it in write_evaluation.
    """
    score_base_columns(run, pair, examples, config)
    score_column(run, pair, examples, config, "tuned")


def write_evaluation(
    run: Run,
    folder: Path,
    pair: Pair,
    examples: Examples,
    config: EvaluateConfig,
    checked: dict[str, int],
    references: str,
) -> Evaluation:
    """Score what is not scored yet and write all but the card.

    The folder is made anew. `checked` is what the contamination check compared, `references` says
    what summaries are scored against.
    """
    columns = score_base_columns(run, pair, examples, config)
    tuned = score_column(run, pair, examples, config, "tuned")
    columns["retrieved"], columns["tuned"] = quote_top_hits(examples, config), tuned
    samples = score_items(collect_samples(examples, config, columns), pair.prompt_template)
    metrics = compute_metrics(samples, list(columns))
    if "summary" in metrics:
        metrics["summary"]["references"] = references
    record = evaluation_record(run, config, samples, checked)
    texts = {
        run.samples.name: to_jsonl(item.to_json() for item in samples),
        run.metrics.name: to_json(metrics),
        run.evaluation.name: to_json(record),
        "report.html": report_page(run, run.adapter_record(), record, metrics, samples),
    }
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    plot_loss(run.history, folder / "plots" / "loss.png")
    plot_before_after(metrics, config.shots, folder / "plots" / "before_after.png")
    return Evaluation(metrics, samples)
