"""TODO"""

from space.catalogue.follow_up import meant
from space.catalogue.index import Hit, Record, build_index, open_index, put_in_place
from space.catalogue.scoring import relevant
from space.catalogue.search import Catalogue
from space.catalogue.text import FUNCTION_WORDS, QUESTION_WORDS, language, normalise, plain

__all__ = [
    "FUNCTION_WORDS",
    "QUESTION_WORDS",
    "Catalogue",
    "Hit",
    "Record",
    "build_index",
    "language",
    "meant",
    "normalise",
    "open_index",
    "plain",
    "put_in_place",
    "relevant",
]
