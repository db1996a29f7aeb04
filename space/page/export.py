"""Export a conversation as JSON or Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence

from space.engine import Info
from space.model import COLUMNS, Column, Figures, Turn
from space.texts import words


def export_json(turns: Sequence[Turn], info: Info) -> str:
    """Render a conversation as JSON: `models`, which is `info`, and `turns`."""
    exported = {"models": info, "turns": turns}
    return json.dumps(exported, ensure_ascii=False, indent=1) + "\n"


def export_summaries_json(text: str, summaries: Mapping[str, str], info: Info) -> str:
    """Render two summaries and their text as JSON."""
    exported = {"models": info, "text": text, **summaries}
    return json.dumps(exported, ensure_ascii=False, indent=1) + "\n"


def export_summaries_markdown(
    text: str, summaries: Mapping[str, str], info: Info, page_language: str
) -> str:
    """Render two summaries and their text as Markdown, quoted and escaped."""
    language = file_language(page_language)
    base = _model(info["base"], info["base_revision"])
    adapter = _model(info["adapter"], info["adapter_revision"])
    models = {"base": base, "tuned": f"{base} + {adapter}"}
    lines = [f"# {words('summary_export_title', language)}", ""]
    for column in COLUMNS:
        heading = f"## {words(column, language)}: {models[column]}"
        lines += [heading, "", _quote(summaries[column]), ""]
    return "\n".join([*lines, f"## {words('text', language)}", "", _quote(text), ""])


def file_language(page_language: str) -> str:
    """Choose a file's language for a page in any language."""
    # gradio names the browser's own language, whatever it is.
    return "pt" if page_language.startswith("pt") else "en"


def export_markdown(turns: Sequence[Turn], info: Info, page_language: str) -> str:
    """Render a conversation as Markdown.

    What a visitor or a model wrote is quoted and escaped: it becomes neither HTML nor a heading.
    """
    language = file_language(page_language)

    def say(key: str, **values) -> str:
        return words(key, language, **values)

    base = _model(info["base"], info["base_revision"])
    adapter = _model(info["adapter"], info["adapter_revision"])
    lines = [
        f"# {say('chat_export_title')}",
        "",
        f"- {say('base')}: {base}",
        f"- {say('tuned')}: {base} + {adapter}",
        "",
    ]
    for number, turn in enumerate(turns, start=1):
        question = turn["question"]
        lines += [f"## {number}. {_one_line(question)}", "", _quote(question), ""]
        for column in COLUMNS:
            figures = _figures(turn["figures"], column, say)
            lines += [f"### {say(column)}", "", _quote(turn[column]), "", f"*{figures}*", ""]
        if turn["sources"]:
            lines += [f"### {say('records')}", ""]
        for position, record in enumerate(turn["sources"], start=1):
            title, uid = _one_line(record["title"]), _one_line(record["uid"])
            content = _quote(record["content"], "   ")
            lines.append(f"{position}. **{title}** ({uid})\n\n{content}\n")
    return "\n".join(lines)


def _model(name: str, revision: str) -> str:
    return f"`{name}`" + (f" @ `{revision}`" if revision else "")


def _figures(figures: Figures, column: Column, say: Callable[..., str]) -> str:
    text = say(
        "chat_export_foot",
        tokens=figures[column]["tokens"],
        seconds=f"{figures[column]['seconds']:.1f}",
        temperature=f"{figures['temperature']:g}",
    )
    if figures["seed"] is None:
        return text
    return f"{text}, " + say("chat_seed_used", seed=str(figures["seed"]))


def _one_line(text: str) -> str:
    return _escape(" ".join(text.split())[:120])


def _quote(text: str, indent: str = "") -> str:
    return "\n".join(f"{indent}> {_escape(line)}" for line in text.splitlines() or [""])


def _escape(line: str) -> str:
    """Escape one line, so that it makes no Markdown or HTML."""
    escaped = re.sub(r"([\\`*_\[\]#|!~])", r"\\\1", line)
    escaped = re.sub(r"^(\s*)([-+=>])", r"\1\\\2", escaped)
    return escaped.replace("&", "&amp;").replace("<", "&lt;")
