"""Score base and tuned on the same prompts, and put what that shows into pages and tables."""

from train.evaluate.compare import WorseError, compare_runs
from train.evaluate.evaluation import adapter_digests, evaluation_problems
from train.evaluate.report import (
    as_markdown,
    describe_scores,
    difference_words,
    rare_options,
    score_rows,
)
from train.evaluate.samples import ScoredItem
from train.evaluate.steps import score_base_columns, score_models, write_evaluation

__all__ = [
    "ScoredItem",
    "WorseError",
    "adapter_digests",
    "as_markdown",
    "compare_runs",
    "describe_scores",
    "difference_words",
    "evaluation_problems",
    "rare_options",
    "score_base_columns",
    "score_models",
    "score_rows",
    "write_evaluation",
]
