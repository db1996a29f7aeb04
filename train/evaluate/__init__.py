"""TODO"""

from train.evaluate.compare import compare_runs
from train.evaluate.metrics import token_f1
from train.evaluate.record import EVALUATION, digests, faults
from train.evaluate.tables import HEADLINE, as_markdown, difference_words, table_rows, ways

__all__ = [
    "EVALUATION",
    "HEADLINE",
    "as_markdown",
    "compare_runs",
    "difference_words",
    "digests",
    "faults",
    "table_rows",
    "token_f1",
    "ways",
]
