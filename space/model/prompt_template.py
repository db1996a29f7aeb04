"""The prompt template, which travels with an adapter as prompt.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from space.errors import PromptTemplateError

FORMAT = 1  # of prompt.json; an adapter with another one is refused


@dataclass(frozen=True)
class PromptTemplate:
    """Format strings for prompts, and for the answers and questions that training teaches.

    A field that a file lacks has its default, except `no_records_pt`: an older adapter learned one
    text for both languages.
    """

    format: int = FORMAT
    describe: str = "{text}"
    answer: str = "{records}\n\n{text} Answer from the records above and cite them, like [1]."
    record: str = "[{position}] {title}\n{content}"
    # For an `answer` without records. Nothing else in such a prompt says in which language to
    # answer a question about a name, so there is one for each language.
    no_records: str = (
        "No record of the catalogue was found.\n\n{text} If the catalogue does not have it, say so."
    )
    no_records_pt: str = (
        "Nenhum registro do catálogo foi encontrado.\n\n{text} Se o catálogo não tiver, diga isso."
    )
    summarize: str = "{text}\n\nSummarize the text above."
    citation: str = " [{position}]"
    absent: Mapping[str, str] = field(
        default_factory=lambda: {
            "en": "The catalogue has nothing by that name.",
            "pt": "Não temos.",
        }
    )
    questions: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: {
            "en": (
                "What is {title}?",
                "Describe {title}.",
                "Tell me about {title}.",
                "What do you know about {title}?",
            ),
            "pt": (
                "O que é {title}?",
                "Descreva {title}.",
                "Fale sobre {title}.",
                "O que você sabe sobre {title}?",
            ),
        }
    )
    # What may be asked after an answer: a short form, what it left out, another title.
    follow_ups: Mapping[str, Mapping[str, Sequence[str]]] = field(
        default_factory=lambda: {
            "en": {
                "short": (
                    "Summarize that in one sentence.",
                    "Say that in one sentence.",
                    "What is it, in short?",
                ),
                "more": ("Tell me more about it.", "What else do you know about it?"),
                "other": ("And {title}?", "What about {title}?", "And what is {title}?"),
            },
            "pt": {
                "short": (
                    "Resuma isso em uma frase.",
                    "Diga isso em uma frase.",
                    "O que é, em resumo?",
                ),
                "more": ("Fale mais sobre isso.", "O que mais você sabe sobre isso?"),
                "other": ("E {title}?", "E sobre {title}?", "E o que é {title}?"),
            },
        }
    )

    def save(self, path: Path) -> None:
        """Write prompt.json."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> PromptTemplate:
        """Read prompt.json; raises PromptTemplateError where it cannot be used."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            their_format = data.get("format")
        except (OSError, ValueError, AttributeError) as error:
            raise PromptTemplateError(
                f"{path.name} cannot be read as an adapter's prompt template: {error}"
            ) from error
        if their_format != FORMAT:
            raise PromptTemplateError(
                f"the adapter's prompt format is {their_format!r}, this version reads {FORMAT}: "
                "use a version of Shelftalk that reads it, or train the adapter again"
            )
        no_records = data.get("no_records", cls.no_records)
        try:
            return cls(**{"no_records_pt": no_records} | data)
        except TypeError as error:
            raise PromptTemplateError(
                f"{path.name} has a field that format {FORMAT} does not know: {error}"
            ) from error
