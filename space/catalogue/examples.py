"""Questions to pick: for a fact, a comparison, and a thing that the shop lacks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from space.catalogue.index import Hit
from space.catalogue.text import detect_language

# A fact that a record states, and its question in each language.
FACTS = (
    (
        re.compile(r"\b\d[\d.,]* ?(?:kg|g|grams?|gramas?)\b"),
        {"en": "How heavy is the {title}?", "pt": "Quanto pesa: {title}?"},
    ),
    (
        re.compile(r"\b(?:made of|made from|feit[oa] de|em madeira)\b", re.IGNORECASE),
        {"en": "What is the {title} made of?", "pt": "De que é feito: {title}?"},
    ),
    (
        re.compile(r"\b\d[\d.,]* ?(?:cm|mm|m)\b"),
        {"en": "How large is the {title}?", "pt": "Que tamanho tem: {title}?"},
    ),
)
COMPARISON = {"en": "Compare {first} and {second}.", "pt": "Compare {first} e {second}."}
# Things that most shops do not have; the first that this one does not have is asked for.
UNUSUAL = {
    "en": ("submarine", "grand piano", "parachute"),
    "pt": ("submarino", "piano de cauda", "paraquedas"),
}
ABSENT = {"en": "Do you have a {thing}?", "pt": "Vocês têm {thing}?"}


def mixed_questions(records: Sequence[Hit], finds: Callable[[str], bool]) -> list[str]:
    """Make up to three questions of other kinds than "What is ...?".

    `finds` tells whether a question finds records in the catalogue.
    """
    if not records:
        return []
    languages = [detect_language(record["content"]) for record in records]
    language = max(("en", "pt"), key=languages.count)
    own = [record for record, each in zip(records, languages, strict=True) if each == language]
    asked = _fact_question(own, language)
    titles = [record["title"] for record in own if record["title"] not in asked]
    questions = [asked] if asked else []
    if len(titles) > 1:
        questions.append(COMPARISON[language].format(first=titles[0], second=titles[1]))
    for thing in UNUSUAL[language]:
        question = ABSENT[language].format(thing=thing)
        if not finds(question):
            return [*questions, question]
    return questions


def _fact_question(records: Sequence[Hit], language: str) -> str:
    for stated, templates in FACTS:
        for record in records:
            if stated.search(record["content"]):
                return templates[language].format(title=record["title"])
    return ""
