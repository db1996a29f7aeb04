"""Prepare what a run learns from: catalogues and sets of texts with summaries.

A source becomes clean records with a split, a search index and a report in which every line that
was read is counted as kept or dropped.
"""

from train.prepare.catalogue import (
    SplitRecord,
    load_records,
    prepare_catalogue,
    require_catalogue,
)
from train.prepare.changes import compare_catalogues, keep_learned
from train.prepare.clean import DROPS, LONGEST_PHRASE, REPEATS, RULES, Tally, clean_text
from train.prepare.pairs import (
    SummaryPair,
    describe_references,
    load_pairs,
    summaries_origin,
    write_pairs,
)
from train.prepare.steps import prepare_run, print_pairs

__all__ = [
    "DROPS",
    "LONGEST_PHRASE",
    "REPEATS",
    "RULES",
    "SplitRecord",
    "SummaryPair",
    "Tally",
    "clean_text",
    "compare_catalogues",
    "describe_references",
    "keep_learned",
    "load_pairs",
    "load_records",
    "prepare_catalogue",
    "prepare_run",
    "print_pairs",
    "require_catalogue",
    "summaries_origin",
    "write_pairs",
]
