"""The turns of a conversation as HTML: question, answers, figures, records, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from space.engine import Info
from space.model import COLUMNS, AnswerFigures, Column, Figures, Turn
from space.page.html import cards
from space.texts import decimal, html, words


def render_turn(
    info: Info, turn: Turn, index: int, *, writing: bool = False, last: bool = False
) -> str:
    """Render one turn, the first of which has the index 0.

    The `last` one can be asked again or edited; its records stand outside, see render_records().
    """
    feet = []
    for side in COLUMNS:
        feet.append(render_foot(turn["figures"][side], copies=bool(turn[side]) and not writing))
    sources = turn["sources"]
    pair = cards.render_pair(
        info,
        turn["base"],
        turn["tuned"],
        len(sources),
        records=sources,
        writing=writing,
        notes=("", "") if writing else _ends(turn),
        feet=feet,
    )
    below = _notes(turn["figures"])
    if not writing:
        below += _actions(turn, index, last)
    pair = _suggestion(turn["figures"].get("suggested", "")) + pair
    return _section(turn["question"], index, pair, below, "" if last else render_records(turn))


def render_waiting(info: Info, question: str, index: int) -> str:
    """Render a turn that was asked a moment ago."""
    feet = [render_foot({"tokens": 0, "seconds": 0.0}, copies=False)] * 2
    return _section(
        question, index, cards.render_pair(info, "", "", writing=True, feet=feet), "", ""
    )


def render_idle() -> str:
    """Render what the two columns will be, before a conversation."""
    hints = []
    for side in COLUMNS:
        hints.append(f'<p class="hint {side}"><b>{html(side)}</b> {html(side + "_idle")}</p>')
    return f'<div class="idle">{"".join(hints)}</div>'


def render_past(info: Info, turns: Sequence[Turn]) -> str:
    """Render the turns before the last one."""
    return "".join(render_turn(info, each, index) for index, each in enumerate(turns))


def render_records(turn: Turn) -> str:
    """Render a turn's records, folded, with the cited titles marked."""
    sources, figures = turn["sources"], turn["figures"]
    if not sources:
        return f'<p class="shelf hint">{html("records_none")}</p>'
    cited = cards.find_citations(turn["tuned"], len(sources))
    kept = f'<span class="kept">{html("chat_kept")}</span>' if figures["kept"] else ""
    names = []
    for position, record in enumerate(sources, start=1):
        names.append(_title(position, record["title"], position in cited))
    return (
        f'<details class="shelf"><summary><span class="what">{html("records")}{kept}</span>'
        f'<span class="names">{"".join(names)}</span></summary>'
        f"{cards.render_record_list(sources, cited)}</details>"
    )


def render_editing() -> str:
    """Render the note that the last question is being edited."""
    return f'<p class="hint">{html("chat_editing")} {_event_button("undo", "chat_keep", 0)}</p>'


def render_undo() -> str:
    """Render the note with the way back to an ended conversation."""
    button = _event_button("undo", "chat_bring_back", 0)
    return f'<p class="hint" role="status">{html("chat_ended")} {button}</p>'


def render_aside(language: str, example: str) -> str:
    """Render what the page itself answers to small talk.

    Without a language it is in the page's.
    """
    said = f"<b>{html('small_talk_by')}</b> {html('small_talk')}"
    if language:
        by, text = (escape(words(key, language)) for key in ("small_talk_by", "small_talk"))
        said = f'<span lang="{language}"><b>{by}</b> {text}</span>'
    button = ""
    if example:
        shown = escape(example)
        button = (
            f' <button type="button" class="quiet" data-ask="{shown}">'
            f'<span class="label" dir="auto">{shown}</span></button>'
        )
    return f'<p class="hint" role="status">{said}{button}</p>'


def _section(question: str, index: int, pair: str, below: str, shelf: str) -> str:
    asked = escape(question)
    return (
        f'<section class="turn" data-turn="{index}" data-asked="{asked}">'
        f'<h2 class="asked" dir="auto">{asked}</h2>{pair}'
        f'<div class="below">{below}</div>{shelf}</section>'
    )


def _suggestion(title: str) -> str:
    """Render a button that asks for the title that may be meant."""
    if not title:
        return ""
    shown = escape(title)
    return (
        f'<p class="hint">{html("did_you_mean")} <button type="button" class="quiet" '
        f'data-ask="{shown}"><span class="label" dir="auto">{shown}</span></button>?</p>'
    )


def _title(position: int, title: str, cited: bool) -> str:
    chip = f" <small>{html('cited')}</small>" if cited else ""
    kind = "name cited" if cited else "name"
    return f'<span class="{kind}"><b>[{position}]</b> {escape(title)}{chip}</span>'


def render_foot(figures: AnswerFigures, copies: bool) -> str:
    """Render an answer's length and speed, and perhaps a copy button."""
    tokens, seconds = figures["tokens"], figures["seconds"]
    text = ""
    if tokens:
        speed = decimal(f"{tokens / seconds:.1f}" if seconds else "0")
        text = html("chat_figures", tokens=tokens, speed=speed, seconds=decimal(f"{seconds:.1f}"))
    button = _script_button("copy", "chat_copy") if copies else ""
    return f'<span class="figures">{text}</span>{button}'


def _notes(figures: Figures) -> str:
    """Render how answers were sampled, and which turns were left out."""
    notes = []
    if figures["seed"] is not None:
        key = "chat_drawn_again" if figures.get("again") else "chat_drawn"
        temperature = decimal(f"{figures['temperature']:g}")
        notes.append(html(key, temperature=temperature, seed=str(figures["seed"])))
    if count := figures["left_out"]:
        notes.append(html("chat_left_out_one" if count == 1 else "chat_left_out", count=count))
    return "".join(f'<p class="hint">{note}</p>' for note in notes)


def _ends(turn: Turn) -> tuple[str, str]:
    figures, limit = turn["figures"], turn["max_new_tokens"]
    base = render_end(figures, "base", limit) if turn["base"] else ""
    return base, render_end(figures, "tuned", limit) if turn["tuned"] else ""


def render_end(figures: Figures, side: Column, max_new_tokens: int) -> str:
    """Render the note that an answer was stopped or cut."""
    tokens = figures[side]["tokens"]
    limit = figures.get("limit", max_new_tokens)
    said = ""
    # Both are written token for token: an answer with fewer tokens than the other had ended.
    if figures.get("stopped") and tokens >= max(figures[each]["tokens"] for each in COLUMNS):
        said = html("chat_stopped")
    elif tokens >= limit:
        said = html("chat_cut", limit=limit)
    return f'<p class="hint ended">{said}</p>' if said else ""


def _versions(turn: Turn, index: int) -> str:
    """Render which version is shown, and buttons to the others."""
    count, version = len(turn.get("versions", ())), turn.get("version", 0)
    if count < 2:
        return ""
    buttons = []
    ways = (
        ("previous", "chat_previous", "\u2039", version - 1),
        ("next", "chat_next", "\u203a", version + 1),
    )
    for way, key, sign, other in ways:
        disabled = "" if 0 <= other < count else " disabled"
        buttons.append(
            f'<button type="button" class="quiet" data-event="option_select" data-way="{way}" '
            f'data-turn="{index}" data-version="{other}"{disabled}><span aria-hidden="true">{sign}'
            f'</span><span class="spoken">{html(key)}</span></button>'
        )
    shown = f'<span class="which">{html("chat_version", number=version + 1, count=count)}</span>'
    return f'<span class="versions">{buttons[0]}{shown}{buttons[1]}</span>'


def _actions(turn: Turn, index: int, last: bool) -> str:
    buttons = [_versions(turn, index)] if last else []
    if turn["tuned"]:
        buttons.append(_event_button("select", "changed", index))
    if last:
        buttons.append(_event_button("retry", "chat_again", index))
        buttons.append(_event_button("edit", "chat_edit", index))
    buttons.append(_script_button("link", "chat_link"))
    return f'<div class="acts">{"".join(buttons)}</div>'


def _event_button(event: str, key: str, index: int) -> str:
    """Render a button that fires a gradio event of this name."""
    return (
        f'<button type="button" class="quiet" data-event="{event}" data-turn="{index}">'
        f'<span class="label">{html(key)}</span></button>'
    )


def _script_button(action: str, key: str) -> str:
    """Render a button that page.js answers: it copies something and says so."""
    return (
        f'<button type="button" class="quiet" data-take="{action}">'
        f'<span class="label">{html(key)}</span>'
        f'<span class="did" role="status"><span>{html("chat_copied")}</span></span></button>'
    )
