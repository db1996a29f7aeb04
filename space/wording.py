"""The words around a question, as format strings that travel with an adapter as prompt.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

FORMAT = 1  # of prompt.json; an adapter with another one is refused
CITATION = re.compile(r"\[(\d{1,3})\]")  # what Wording.citation writes


class WordingError(ValueError):
    """An adapter's prompt.json is not one that this version can read."""


@dataclass(frozen=True)
class Wording:
    """The words around a question, and those that training teaches; a field that a file lacks has its default.

    But for `no_records_pt`: an older adapter learned one text for both languages.
    """

    format: int = FORMAT
    describe: str = "{text}"
    answer: str = "{records}\n\n{text} Answer from the records above and cite them, like [1]."
    record: str = "[{position}] {title}\n{content}"
    # An `answer` for which no record was found, and the same asked in Portuguese: nothing else in the prompt says in which
    # language to answer, where a name of no language is asked for.
    no_records: str = "No record of the catalogue was found.\n\n{text} If the catalogue does not have it, say so."
    no_records_pt: str = "Nenhum registro do catálogo foi encontrado.\n\n{text} Se o catálogo não tiver, diga isso."
    summarize: str = "{text}\n\nSummarize the text above."
    citation: str = " [{position}]"
    absent: Mapping[str, str] = field(default_factory=lambda: {
        "en": "The catalogue has nothing by that name.", "pt": "Não temos."})
    questions: Mapping[str, Sequence[str]] = field(default_factory=lambda: {
        "en": ("What is {title}?", "Describe {title}.", "Tell me about {title}.", "What do you know about {title}?"),
        "pt": ("O que é {title}?", "Descreva {title}.", "Fale sobre {title}.", "O que você sabe sobre {title}?"),
    })
    # What may be asked after an answer: its short form, what it left out, another title.
    follow_ups: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=lambda: {
        "en": {"short": ("Summarize that in one sentence.", "Say that in one sentence.", "What is it, in short?"),
               "more": ("Tell me more about it.", "What else do you know about it?"),
               "other": ("And {title}?", "What about {title}?", "And what is {title}?")},
        "pt": {"short": ("Resuma isso em uma frase.", "Diga isso em uma frase.", "O que é, em resumo?"),
               "more": ("Fale mais sobre isso.", "O que mais você sabe sobre isso?"),
               "other": ("E {title}?", "E sobre {title}?", "E o que é {title}?")},
    })

    def save(self, path: Path) -> None:
        """Writes prompt.json, UTF-8."""
        path.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Wording:
        """Reads prompt.json; raises WordingError where its format is not ours or it is not readable."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            theirs = data.get("format")
        except (OSError, ValueError, AttributeError) as error:
            raise WordingError(f"{path.name} cannot be read as an adapter's wording: {error}") from error
        if theirs != FORMAT:
            raise WordingError(f"the adapter's prompt format is {theirs!r}, this version reads {FORMAT}: use a version "
                               "of Shelftalk that reads it, or train the adapter again")
        try:
            return cls(**{"no_records_pt": data.get("no_records", cls.no_records)} | data)
        except TypeError as error:
            raise WordingError(f"{path.name} has a field that format {FORMAT} does not know: {error}") from error
