"""The turns of a conversation as HTML: question, both answers with their figures, the records behind them, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from space.model import COLUMNS
from space.page.html import cards
from space.texts import decimal, html


def turn(
    info: Mapping, turn: Mapping, place: int, *, writing: bool = False, last: bool = False
) -> str:
    """Returns one turn: its question as a heading, the two cards, and below them what is to know and to do.

    `place` counts the turns from 0. The `last` one can be asked again or edited; its records stand outside, see shelf().
    """
    shown = cards.pair(
        info,
        turn["base"],
        turn["tuned"],
        len(turn["sources"]),
        feet=[
            _foot(turn["figures"][column], bool(turn[column]) and not writing) for column in COLUMNS
        ],
    )
    below = _note(turn["figures"]) + (_acts(turn, place, last) if not writing else "")
    return (
        f'<section class="turn" data-turn="{place}" data-asked="{escape(turn["question"])}">'
        f'<h2 class="asked" dir="auto">{escape(turn["question"])}</h2>{shown if writing else cards.settled(shown)}'
        f'<div class="below">{below}</div>{"" if last else shelf(turn)}</section>'
    )


def waiting(info: Mapping, question: str, place: int) -> str:
    """Returns a turn that was asked a moment ago."""
    feet = [_foot({"tokens": 0, "seconds": 0.0}, False)] * 2
    return (
        f'<section class="turn" data-turn="{place}" data-asked="{escape(question)}"><h2 class="asked" dir="auto">'
        f'{escape(question)}</h2>{cards.pair(info, "", "", feet=feet)}<div class="below"></div></section>'
    )


def past(info: Mapping, talk: Sequence[Mapping]) -> str:
    """Returns the turns before the last one."""
    return "".join(turn(info, before, place) for place, before in enumerate(talk))


def shelf(turn: Mapping | None) -> str:
    """Returns the records behind a turn's answers, folded, their titles in sight and the cited ones marked."""
    if turn is None:
        return ""
    sources, positions = turn["sources"], cards.cited(turn["tuned"], len(turn["sources"]))
    if not sources:
        return f'<p class="shelf hint">{html("records_none")}</p>'
    kept = f'<span class="kept">{html("chat_kept")}</span>' if turn["figures"]["kept"] else ""
    names = "".join(
        _name(number, record["title"], number in positions)
        for number, record in enumerate(sources, start=1)
    )
    return (
        f'<details class="shelf"><summary><span class="what">{html("records")}{kept}</span><span class="names">{names}'
        f"</span></summary>{cards.record_list(sources, positions)}</details>"
    )


def editing() -> str:
    """Returns what stands above the box while the last question is in it again."""
    return f'<p class="hint">{html("chat_editing")} {_button("undo", "chat_keep", place=0)}</p>'


def _name(number: int, title: str, cited: bool) -> str:
    spoken = f" <small>{html('cited')}</small>" if cited else ""
    return f'<span class="name{" cited" if cited else ""}"><b>[{number}]</b> {escape(title)}{spoken}</span>'


def _foot(figures: Mapping, copies: bool) -> str:
    tokens, seconds = figures["tokens"], figures["seconds"]
    speed = decimal(f"{tokens / seconds:.1f}") if seconds else decimal("0")
    said = (
        html("chat_figures", tokens=tokens, speed=speed, seconds=decimal(f"{seconds:.1f}"))
        if tokens
        else ""
    )
    return f'<span class="figures">{said}</span>{_button("copy", "chat_copy", "chat_copied") if copies else ""}'


def _note(figures: Mapping) -> str:
    """Returns what is special about two answers, if anything is: how they were drawn, and what no longer fitted."""
    notes = []
    if figures["seed"] is not None:
        key = "chat_drawn_again" if figures.get("again") else "chat_drawn"
        notes.append(
            html(key, temperature=decimal(f"{figures['temperature']:g}"), seed=str(figures["seed"]))
        )
    if figures["left_out"]:
        notes.append(
            html(
                "chat_left_out_one" if figures["left_out"] == 1 else "chat_left_out",
                count=figures["left_out"],
            )
        )
    return "".join(f'<p class="hint">{note}</p>' for note in notes)


def _acts(turn: Mapping, place: int, last: bool) -> str:
    """Returns the buttons of a turn that is written. Those with `data-event` are answered by the page's events, by that name;
    page.js does what the others say."""
    whole = [_button("select", "changed", place=place)] if turn["tuned"] else []
    ends = (
        [_button("retry", "chat_again", place=place), _button("edit", "chat_edit", place=place)]
        if last
        else []
    )
    return f'<div class="acts">{"".join(whole + ends)}{_button("link", "chat_link", "chat_copied")}</div>'


def _button(act: str, key: str, done: str = "", place: int | None = None) -> str:
    said = f'<span class="said">{html(key)}</span>'
    if place is not None:
        return f'<button type="button" class="quiet" data-event="{act}" data-turn="{place}">{said}</button>'
    return (
        f'<button type="button" class="quiet" data-take="{act}">{said}'
        f'<span class="did" role="status"><span>{html(done)}</span></span></button>'
    )
