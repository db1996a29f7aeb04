"""TODO"""

from space.evidence.attribution import CITATION, NUMBER, Sentence, plain_number, sentences, support
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
    "Sentence",
    "curve",
    "dots",
    "inside",
    "interval_shows",
    "less_is_better",
    "number",
    "plain_number",
    "read_evidence",
    "says_absent",
    "sentences",
    "share",
    "support",
    "text",
    "whole",
]
