"""A conversation: its turns, what each column heard before, the prompts of both, and the whole as Markdown or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from space.model.prompt import Prompt
from space.texts import words

COLUMNS = ("base", "tuned")


@dataclass(frozen=True)
class Step:
    """A question's two answers so far, the records in both prompts ([1] is the first), and figures() about them."""

    base: str
    tuned: str
    sources: list[dict]
    figures: dict


def figures(temperature: float, seed: int | None, left_out: int, kept: bool) -> dict:
    """Returns what there is to know about two answers, before they are written: `tokens` and `seconds` of each grow.

    `seed` is None at temperature 0; `left_out` counts earlier turns that did not fit; `kept`: the records are those of the
    question before.
    """
    return {
        "temperature": temperature,
        "seed": seed,
        "left_out": left_out,
        "kept": kept,
        **{column: {"tokens": 0, "seconds": 0.0} for column in COLUMNS},
    }


def turn(question: str, step: Step, use_sources: bool, max_new_tokens: int) -> dict:
    """Returns a turn of a conversation: plain values, as JSON has them."""
    return {
        "question": question,
        "base": step.base,
        "tuned": step.tuned,
        "sources": step.sources,
        "figures": step.figures,
        "use_sources": use_sources,
        "max_new_tokens": max_new_tokens,
    }


def history(talk: Sequence[Mapping], column: str) -> list[dict[str, str]]:
    """Returns the messages that one column heard and said; a turn that was stopped before its first word is none."""
    said = [turn for turn in talk if turn["base"] or turn["tuned"]]
    return [
        message
        for turn in said
        for message in (
            {"role": "user", "content": turn["question"]},
            {"role": "assistant", "content": turn[column]},
        )
    ]


def fit_both(
    fit: Callable[..., Prompt],
    task: str,
    context: Sequence[Mapping],
    histories: Sequence[Sequence[Mapping]],
) -> tuple[Prompt, Prompt]:
    """Returns the prompts of two columns that differ in nothing but what each said: the same records, as many turns.

    `fit(task, context, history)` is fit_prompt() with its other values. Each column is given what the other could keep,
    until both keep all of it.
    """
    kept = len(histories[0])
    while True:
        fitted = []
        for past in histories:
            prompt = fit(task, context, past[len(past) - kept :])
            # As in fit_prompt(): where all records were dropped, it would be wrong to say that none was found.
            task = "describe" if context and not prompt.context else task
            context, kept = prompt.context, len(prompt.talk) - 1
            fitted.append(prompt)
        if fitted[0].context == context and len(fitted[0].talk) == len(fitted[1].talk):
            return fitted[0], fitted[1]


# --- the whole, to keep ----------------------------------------------------------------------------------------------


def as_json(talk: Sequence[Mapping], info: Mapping) -> str:
    """Returns a conversation as JSON; `info` is the engine's."""
    return (
        json.dumps({"models": dict(info), "turns": list(talk)}, ensure_ascii=False, indent=1) + "\n"
    )


def as_markdown(talk: Sequence[Mapping], info: Mapping, language: str) -> str:
    """Returns a conversation as Markdown; what a visitor or a model wrote is quoted, and never HTML or a heading."""

    def say(key: str, **values) -> str:
        return words(key, language, **values)

    title = say("chat_export_title")
    lines = [
        f"# {title}",
        "",
        f"- {say('base')}: {_model(info, 'base')}",
        f"- {say('tuned')}: {_model(info, 'base')} + {_model(info, 'adapter')}",
        "",
    ]
    for number, turn in enumerate(talk, start=1):
        lines += [f"## {number}. {_line(turn['question'])}", "", _quoted(turn["question"]), ""]
        for column in COLUMNS:
            lines += [
                f"### {say(column)}",
                "",
                _quoted(turn[column]),
                "",
                f"*{_foot(turn['figures'], column, say)}*",
                "",
            ]
        if turn["sources"]:
            lines += [f"### {say('records')}", ""]
            lines += [
                f"{place}. **{_line(record['title'])}** ({_line(record['uid'])})\n\n{_quoted(record['content'], '   ')}\n"
                for place, record in enumerate(turn["sources"], start=1)
            ]
    return "\n".join(lines)


def _model(info: Mapping, name: str) -> str:
    revision = info[f"{name}_revision"]
    return f"`{info[name]}`" + (f" @ `{revision}`" if revision else "")


def _foot(figures: Mapping, column: str, say: Callable[..., str]) -> str:
    seconds = f"{figures[column]['seconds']:.1f}"
    foot = say(
        "chat_export_foot",
        tokens=figures[column]["tokens"],
        seconds=seconds,
        temperature=f"{figures['temperature']:g}",
    )
    return (
        foot
        if figures["seed"] is None
        else f"{foot}, " + say("chat_seed_used", seed=str(figures["seed"]))
    )


def _line(text: str) -> str:
    """Returns text for one line of Markdown, in which none of its marks does anything."""
    return _unmarked(_harmless(" ".join(text.split())[:120]))


def _quoted(text: str, indent: str = "") -> str:
    return "\n".join(
        f"{indent}> {_unmarked(_harmless(line))}" for line in text.splitlines() or [""]
    )


def _harmless(line: str) -> str:
    """Returns a line of Markdown in which no mark makes a heading, a list, a link, a picture or code."""
    return re.sub(r"^(\s*)([-+=>])", r"\1\\\2", re.sub(r"([\\`*_\[\]#|!~])", r"\\\1", line))


def _unmarked(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
