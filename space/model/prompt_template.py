"""The prompt template, which travels with an adapter as prompt.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Formatter
from typing import Any

from space.errors import PromptTemplateError

FORMAT = 2  # of a new adapter's prompt.json
# The fields of prompt.json, and the placeholders that their format strings may use.
PLACEHOLDERS = {
    "describe": ("records", "text"),
    "answer": ("records", "text"),
    "answer_pt": ("records", "text"),
    "record": ("content", "position", "title"),
    "no_records": ("records", "text"),
    "no_records_pt": ("records", "text"),
    "summarize": ("records", "text"),
    "summarize_pt": ("records", "text"),
    "citation": ("position",),
    "absent": ("title",),
    "unstated": ("what",),
    "questions": ("title",),
    "follow_ups": ("title",),
}
# What a file of format 1 says where it lacks a field: the words that its adapter learned. A field
# that is new in format 2 is not in such a file; the Portuguese ones are the same as the English.
FORMAT_1 = {
    "answer": "{records}\n\n{text} Answer from the records above and cite them, like [1].",
    "no_records": (
        "No record of the catalogue was found.\n\n{text} If the catalogue does not have it, say so."
    ),
    "summarize": "{text}\n\nSummarize the text above.",
    "absent": {"en": "The catalogue has nothing by that name.", "pt": "Não temos."},
}
NEW_IN_FORMAT_2 = ("answer_pt", "summarize_pt", "unstated")
# prompt.json comes with an adapter from anywhere: these bound the memory that a prompt can take.
FILE_LIMIT = 256 * 1024  # bytes
STRING_LIMIT = 10_000  # characters of one format string
REPEAT_LIMIT = 4  # uses of one placeholder in a format string
LIST_LIMIT = 100  # format strings in one list
# No tokenizer can encode a lone surrogate, and noncharacters mark positions in prompt.py.
FORBIDDEN = re.compile("[\ud800-\udfff\ufdd0-\ufdef]")


@dataclass(frozen=True)
class PromptTemplate:
    """Format strings for prompts, and for the answers and questions that training teaches.

    A field that a file lacks has the default of its format. An `answer` or `summarize` is in the
    language of its text, so the words around it are too.
    """

    format: int = FORMAT
    describe: str = "{text}"
    answer: str = (
        "Records from the catalogue:\n\n{records}\n\nQuestion: {text}\n"
        "Answer from these records only and cite them, like [1]. If they do not say, say so."
    )
    answer_pt: str = (
        "Registros do catálogo:\n\n{records}\n\nPergunta: {text}\n"
        "Responda só com estes registros e cite-os, como [1]. Se eles não dizem, diga isso."
    )
    record: str = "[{position}] {title}\n{content}"
    # For an `answer` without records. Nothing else in such a prompt says in which language to
    # answer a question about a name, so there is one for each language.
    no_records: str = (
        "Records from the catalogue: none.\n\nQuestion: {text}\n"
        "Answer from the catalogue only. If it does not have it, say so."
    )
    no_records_pt: str = (
        "Registros do catálogo: nenhum.\n\nPergunta: {text}\n"
        "Responda só com o catálogo. Se ele não tiver, diga isso."
    )
    summarize: str = "{text}\n\nSummarize the text above."
    summarize_pt: str = "{text}\n\nResuma o texto acima."
    citation: str = " [{position}]"
    absent: Mapping[str, str] = field(
        default_factory=lambda: {
            "en": "I found nothing called {title} in the catalogue.",
            "pt": "Não encontrei nada chamado {title} no catálogo.",
        }
    )
    # {what} is "how heavy it is", and what else a question may be about.
    unstated: Mapping[str, str] = field(
        default_factory=lambda: {
            "en": "The record does not say {what}.",
            "pt": "O registro não diz {what}.",
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

    @classmethod
    def load(cls, path: Path) -> PromptTemplate:
        """Read prompt.json and check all of it, or raise PromptTemplateError."""
        data = _read_object(path)
        number = data.get("format")
        if type(number) is not int or number not in (1, FORMAT):
            raise PromptTemplateError(
                f"the adapter's prompt format is {_show(number)}, this version reads 1 to "
                f"{FORMAT}: use a version of Shelftalk that reads it, or train the adapter again"
            )
        default = cls()
        for name, value in data.items():
            if name in PLACEHOLDERS and not (number == 1 and name in NEW_IN_FORMAT_2):
                _check(f"{path.name}: {name}", value, getattr(default, name), PLACEHOLDERS[name])
            elif name != "format":
                problem = f"a field that format {number} does not know"
                raise _error(f"{path.name}: {_show(name)[1:-1]}", value, problem)
        return cls(**_complete_format_1(data) if number == 1 else data)

    def save(self, path: Path) -> None:
        """Write prompt.json, in the format that the template was read in."""
        fields = asdict(self)
        if self.format == 1:
            for name in NEW_IN_FORMAT_2:
                del fields[name]
        text = json.dumps(fields, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8")

    def in_language(self, name: str, language: str) -> str:
        """Return the `answer`, `no_records` or `summarize` of a language, "en" or "pt"."""
        return getattr(self, f"{name}_pt" if language == "pt" else name)


def _complete_format_1(data: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a file of format 1 lacks what its adapter learned."""
    fields = {**FORMAT_1, **data}
    for name in ("answer", "no_records", "summarize"):
        fields.setdefault(f"{name}_pt", fields[name])
    return fields


def _read_object(path: Path) -> dict:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_LIMIT + 1)
        if len(content) > FILE_LIMIT:
            raise ValueError(f"it has over {FILE_LIMIT:,} bytes")
        data = json.loads(content.decode("utf-8"))
        if not isinstance(data, dict):
            raise ValueError("it is not a JSON object")
    except RecursionError:
        raise PromptTemplateError(
            f"{path.name} cannot be read as an adapter's prompt template: it is nested too deeply"
        ) from None
    except (OSError, ValueError) as error:
        raise PromptTemplateError(
            f"{path.name} cannot be read as an adapter's prompt template: {error}"
        ) from error
    return data


def _check(where: str, value, default, placeholders: Sequence[str]) -> None:
    """Check a value's shape against its default, and its format strings."""
    if isinstance(default, str):
        problem = _find_problem(value, placeholders)
        if problem:
            raise _error(where, value, problem)
    elif isinstance(default, Mapping):
        if not isinstance(value, dict) or value.keys() != default.keys():
            names = ", ".join(default)
            raise _error(where, value, f"it must be an object with the fields {names}")
        for name in default:
            _check(f"{where}.{name}", value[name], default[name], placeholders)
    else:
        if not isinstance(value, list) or not 1 <= len(value) <= LIST_LIMIT:
            raise _error(where, value, f"it must be a list of 1 to {LIST_LIMIT} strings")
        for index, item in enumerate(value):
            _check(f"{where}[{index}]", item, default[0], placeholders)


def _find_problem(value, placeholders: Sequence[str]) -> str:
    """Find why a value is no format string with these placeholders."""
    if not isinstance(value, str):
        return "it must be a string"
    if len(value) > STRING_LIMIT:
        return f"it has {len(value):,} characters, of at most {STRING_LIMIT:,}"
    if FORBIDDEN.search(value):
        return "it has a character that no text may hold"
    try:
        parsed = list(Formatter().parse(value))
    except ValueError as error:
        return f"it is no format string: {error}"
    used = [part for part in parsed if part[1] is not None]
    for _, name, spec, conversion in used:
        if name not in placeholders:
            allowed = ", ".join(f"{{{each}}}" for each in placeholders)
            return f"it uses {{{_show(name)[1:-1]}}}; it may use {allowed}"
        if spec or conversion:
            return f"it uses {{{name}}} with a format or a conversion"
    for name in placeholders:
        count = sum(part[1] == name for part in used)
        if count > REPEAT_LIMIT:
            return f"it uses {{{name}}} {count} times, at most {REPEAT_LIMIT} are allowed"
    return ""


def _error(where: str, value, problem: str) -> PromptTemplateError:
    return PromptTemplateError(f"{where} is {_show(value)}: {problem}")


def _show(value) -> str:
    """Write a value of any size and content in one short line."""
    text = repr(value)
    return text if len(text) <= 80 else text[:78] + "…" + text[-1]
