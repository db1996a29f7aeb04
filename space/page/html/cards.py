"""The page's header, the two answer cards and the records behind them, as HTML."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from html import escape

from space.catalogue import Hit
from space.engine import Info
from space.evidence import CITATION, check_facts
from space.model import COLUMNS
from space.page.html.facts import mark_facts, render_count
from space.page.html.markdown import Mark, read_markdown, render_markdown
from space.texts import LANGUAGES, TEXTS, Html, html, words

NAME = "Shelftalk"
EXCERPT = 150  # characters of a record that show before it is opened
# How gradio's own messages begin, and what the page says in their place.
MESSAGES = {
    "Connection Lost": "gradio_lost_title",
    "Connection to the server was lost": "gradio_lost",
    "Invalid file type": "gradio_file_type",
    "Queue is full": "gradio_full",
    "Error": "gradio_error",
}
LOGO = (
    '<svg class="logo" viewBox="0 0 48 48" aria-hidden="true">'
    '<path class="plank" d="M3 9h42v6H3z"/>'
    '<path class="tag" d="M10 15h28v25a3 3 0 0 1-3 3H13a3 3 0 0 1-3-3z"/>'
    '<path class="lines" d="M17 25h14M17 33h9"/></svg>'
)


def render_header(tabs: Sequence[str] = (), about: str = "") -> str:
    """Render the header: `tabs` are keys of names, `about` HTML below."""
    names = {}
    for language in LANGUAGES:
        names[language] = [words(key, language) for key in tabs]
    names["ids"] = [key.removesuffix("_tab") for key in tabs]  # their addresses
    data = escape(json.dumps(names, ensure_ascii=False))
    texts = {start: TEXTS[key] for start, key in MESSAGES.items()}
    messages = escape(json.dumps(texts, ensure_ascii=False))
    return (
        f'<header class="masthead" data-tabs="{data}" data-messages="{messages}">{LOGO}'
        f"<div><h1>{NAME}</h1><p>{html('lead')}</p></div>"
        '<button class="language" type="button"><span class="en" lang="pt">Português</span>'
        f'<span class="pt" lang="en">English</span></button></header>{about}'
    )


def render_pair(
    info: Info,
    base: str | None = None,
    tuned: str | None = None,
    sources: int = 0,
    *,
    records: Sequence[Hit] = (),
    writing: bool = False,
    notes: tuple[str, str] = ("", ""),
    feet: Sequence[str] | None = None,
) -> str:
    """Render the two answer cards, which are idle without texts.

    `info` is Engine.info(). A text that is Html is shown as it is; in others the citations of the
    first `sources` records are marked. A finished text's facts are checked against `records`, which
    its citations open. `notes` are HTML below each text, `feet` HTML for the cards' footers in
    place of the models' names.
    """
    if feet is None:
        where = (
            f'<span class="where">{escape(info["precision"].upper())}, '
            f"{escape(info['device'])}</span>"
        )
        names = render_model_names(info)
        feet = [
            f'<span class="model">{names["base"]}</span>{where}',
            f'<span class="model">{names["tuned"]}</span>{where}',
        ]
    cards = []
    for side, text, note, foot in zip(COLUMNS, (base, tuned), notes, feet, strict=True):
        shown, count = text, ""
        if records:  # its line stands from the start, so that nothing moves when it is filled
            count = '<p class="count"></p>'
        if text and records and not writing:
            document = read_markdown(text)
            check = check_facts(document.text, records)
            shown, count = Html(mark_facts(document, check, len(records))), render_count(check)
        written = render_written(text or "") if not writing else ""
        cards.append(_answer(side, shown, sources, writing, note, foot, count, written))
    return f'<div class="pair">{"".join(cards)}</div>'


def _answer(
    side: str,
    text: str | None,
    sources: int,
    writing: bool,
    note: str,
    foot: str,
    count: str,
    written: str,
) -> str:
    if text:
        shown = text if isinstance(text, Html) else mark_citations(text, sources)
        body = f'<div class="words" dir="auto"{written}>{shown}</div>'
    elif text is None:
        body = f'<p class="hint">{html(f"{side}_idle")}</p>'
    else:
        body = f'<p class="hint">{html("waiting" if writing else "wordless")}</p>'
    heading = f"{html(side)} <small>{html(side + '_note')}</small>"
    return render_card(side, heading, render_state(), body + note, foot, writing, count)


def render_card(
    side: str, heading: str, state: str, body: str, foot: str, writing: bool, count: str = ""
) -> str:
    """Render one card from its parts, which are HTML."""
    return (
        f'<article class="card {side}" aria-busy="{str(writing).lower()}">'
        f"<header><h2>{heading}</h2>{state}</header>"
        f'<div class="answer" aria-live="polite">{body}</div>{count}'
        f"<footer>{foot}</footer></article>"
    )


def render_state() -> str:
    """Render a busy card's state, or its place in the queue."""
    # page.js fills in the place and shows one of the two.
    place = html("queued", place=Html('<b class="place"></b>'))
    return (
        f'<span class="writing">{html("writing")}</span>'
        f'<span class="queued" role="status" hidden>{place}</span>'
    )


def render_model_names(info: Info) -> dict[str, str]:
    """Render the names and short revisions of both columns' models."""
    base = _model_name(info["base"], info["base_revision"])
    adapter = _model_name(info["adapter"], info["adapter_revision"])
    return {"base": base, "tuned": f"{base}<br>+ {adapter}"}


def _model_name(name: str, revision: str | None) -> str:
    short = (revision or "").removeprefix("sha256:")[:7]
    return escape(f"{name} @ {short}" if short else name)


# --- records ---------------------------------------------------------------------------------


def find_citations(text: str, count: int) -> set[int]:
    """Find the positions, from 1 to `count`, that a text cites."""
    positions = {int(position) for position in CITATION.findall(text)}
    return {position for position in positions if 1 <= position <= count}


def mark_citations(text: str, sources: int) -> str:
    """Render Markdown and mark its citations of the first `sources` records."""
    document = read_markdown(text)
    valid = find_citations(document.text, sources)
    marks = []
    for found in CITATION.finditer(document.text):
        if int(found[1]) in valid:
            marks.append(Mark(found.start(), found.end(), '<mark class="cite">', "</mark>"))
    return render_markdown(document, marks)


def render_written(text: str) -> str:
    """Render the attribute that holds an answer's Markdown, if any."""
    if isinstance(text, Html) or read_markdown(text).is_plain:
        return ""
    return f' data-written="{escape(text)}"'


def render_records(sources: Sequence[Hit] | None = None, cited: Collection[int] = ()) -> str:
    """Render the section of records, or its hint before a question."""
    if sources:
        body = render_record_list(sources, cited)
    else:
        key = "blind_records_idle" if sources is None else "records_none"
        body = f'<p class="hint">{html(key)}</p>'
    return f'<section class="shelf"><h2>{html("records")}</h2>{body}</section>'


def render_record_list(sources: Sequence[Hit], cited: Collection[int] = ()) -> str:
    """Render records, with those at the `cited` positions (from 1) marked."""
    items = []
    for position, record in enumerate(sources, start=1):
        items.append(_record(position, record, position in cited))
    return f'<ol class="records">{"".join(items)}</ol>'


def _record(position: int, record: Hit, is_cited: bool) -> str:
    chip = f'<span class="chip">{html("cited")}</span>' if is_cited else ""
    return (
        f'<li class="label-card{" cited" if is_cited else ""}">'
        f'<span class="number">[{position}]</span>'
        f"<div><h3>{escape(record['title'])}</h3>{chip}"
        f"{fold_text(record['content'], EXCERPT, 'content')}"
        f'<p class="facts"><span>{escape(record["uid"])}</span>'
        f"<span>{html('match')} {record['score']:.2f}</span></p></div></li>"
    )


def fold_text(text: str, length: int, kind: str, attributes: str = "") -> str:
    """Render a text, folded if it has more than `length` characters.

    `kind` is its class.
    """
    paragraph = f'<p class="{kind}"{attributes}>{escape(text)}</p>'
    if len(text) <= length:
        return paragraph
    excerpt = text[:length].rsplit(None, 1)[0]
    return (
        f'<details><summary><span class="{kind} excerpt"{attributes}>{escape(excerpt)}\u2026'
        f'</span> <span class="toggle more">{html("more")}</span>'
        f'<span class="toggle less">{html("less")}</span></summary>{paragraph}</details>'
    )
