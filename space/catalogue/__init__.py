"""A shop's records: their words, their search index, and what a question finds in it."""

from space.catalogue.examples import mixed_questions
from space.catalogue.follow_up import records_for_follow_up
from space.catalogue.index import Hit, Record, build_index, open_index, replace_folder
from space.catalogue.search import Catalogue, keep_relevant, suggest_title
from space.catalogue.text import (
    FUNCTION_WORDS,
    QUESTION_WORDS,
    Span,
    detect_language,
    normalise,
    question_language,
    sentence_spans,
    split_sentences,
)

__all__ = [
    "FUNCTION_WORDS",
    "QUESTION_WORDS",
    "Catalogue",
    "Hit",
    "Record",
    "Span",
    "build_index",
    "detect_language",
    "keep_relevant",
    "mixed_questions",
    "normalise",
    "open_index",
    "question_language",
    "records_for_follow_up",
    "replace_folder",
    "sentence_spans",
    "split_sentences",
    "suggest_title",
]
