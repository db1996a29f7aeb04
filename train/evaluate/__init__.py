"""Scores base and tuned on the same prompts, and puts what they show into pages and tables."""

from train.evaluate.compare import compare_runs
from train.evaluate.evaluation import adapter_digests, evaluation_problems
from train.evaluate.report import (
    as_markdown,
    as_text,
    difference_words,
    rare_options,
    score_rows,
    summary_note,
)
from train.evaluate.samples import ScoredItem
from train.evaluate.steps import score_base, write_evaluation

__all__ = [
    "ScoredItem",
    "adapter_digests",
    "as_markdown",
    "as_text",
    "compare_runs",
    "difference_words",
    "evaluation_problems",
    "rare_options",
    "score_base",
    "score_rows",
    "summary_note",
    "write_evaluation",
]
