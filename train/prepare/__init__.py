"""TODO"""

from train.prepare.blocks import Tally
from train.prepare.catalogue import load_records, prepare, require_catalogue
from train.prepare.cleaning import DROPS, LONGEST_PHRASE, REPEATS, RULES, clean
from train.prepare.pairs import keep
from train.prepare.steps import prepare_run, print_pairs

__all__ = [
    "DROPS",
    "LONGEST_PHRASE",
    "REPEATS",
    "RULES",
    "Tally",
    "clean",
    "keep",
    "load_records",
    "prepare",
    "prepare_run",
    "print_pairs",
    "require_catalogue",
]
