"""TODO"""

from space.evidence.attribution import (
    CITATION,
    NUMBER,
    SummarySentence,
    attribute_summary,
    normalise_number,
)
from space.evidence.charts import Row, curve, dots, share
from space.evidence.files import (
    FILES,
    Change,
    Evidence,
    Sample,
    Scores,
    inside,
    number,
    read_evidence,
    text,
    whole,
)
from space.evidence.metrics import JUDGED, interval_shows, less_is_better, says_absent

__all__ = [
    "CITATION",
    "FILES",
    "JUDGED",
    "NUMBER",
    "Change",
    "Evidence",
    "Row",
    "Sample",
    "Scores",
    "SummarySentence",
    "attribute_summary",
    "curve",
    "dots",
    "inside",
    "interval_shows",
    "less_is_better",
    "number",
    "normalise_number",
    "read_evidence",
    "says_absent",
    "share",
    "text",
    "whole",
]
