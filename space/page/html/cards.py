"""How the page looks: its theme, the two answers and the records behind them as HTML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape

import gradio as gr

from space.evidence import CITATION
from space.texts import LANGUAGES, Html, html, words

NAME = "Shelftalk"
EXCERPT = 150  # characters of a record that show before it is opened
LOGO = (
    '<svg class="logo" viewBox="0 0 48 48" aria-hidden="true"><path class="plank" d="M3 9h42v6H3z"/>'
    '<path class="tag" d="M10 15h28v25a3 3 0 0 1-3 3H13a3 3 0 0 1-3-3z"/>'
    '<path class="lines" d="M17 25h14M17 33h9"/></svg>'
)

PAPER = gr.themes.Color(
    "#f8f2e7",
    "#f2eadc",
    "#e7ddcc",
    "#d4c7b1",
    "#ab9d87",
    "#7d705d",
    "#655947",
    "#4a4035",
    "#332c25",
    "#231e19",
    "#191511",
)
RUST = gr.themes.Color(
    "#fcefe7",
    "#f9dfd1",
    "#f2bfa5",
    "#ea9c77",
    "#e58356",
    "#c9582a",
    "#a8411a",
    "#8a3513",
    "#6d2b11",
    "#4a2010",
    "#2f1509",
)


def theme() -> gr.themes.Base:
    """Returns the page's colours, light and dark; page.css builds on them and names the fonts, none of them fetched."""
    system, mono = gr.themes.Font("sans-serif"), gr.themes.Font("monospace")
    return gr.themes.Base(
        primary_hue=RUST,
        secondary_hue=RUST,
        neutral_hue=PAPER,
        font=[system],
        font_mono=[mono],
        radius_size="sm",
        text_size="md",
    ).set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="#fffdf9",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="*background_fill_primary",
        block_background_fill_dark="*background_fill_primary",
        input_background_fill="*background_fill_primary",
        input_background_fill_dark="*background_fill_primary",
        input_border_color="*neutral_400",
        input_border_color_dark="*neutral_500",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_600",
        color_accent_soft="*primary_50",
        color_accent_soft_dark="*primary_900",
        block_shadow="none",
        block_shadow_dark="none",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_400",
        button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="#fffdf9",
        button_primary_text_color_dark="*neutral_950",
    )


def header(tabs: Sequence[str] = ()) -> str:
    """Returns the page's head: the name, what one sees here, and the other language; `tabs` are the keys of the tabs' names."""
    names = json.dumps(
        {language: [words(key, language) for key in tabs] for language in LANGUAGES},
        ensure_ascii=False,
    )
    return (
        f'<header class="masthead" data-tabs="{escape(names)}">{LOGO}<div><h1>{NAME}</h1><p>{html("lead")}</p></div>'
        '<button class="language" type="button"><span class="en" lang="pt">Português</span>'
        '<span class="pt" lang="en">English</span></button></header>'
    )


def pair(
    info: Mapping,
    base: str | None = None,
    tuned: str | None = None,
    sources: int = 0,
    *,
    notes: tuple[str, str] = ("", ""),
    feet: Sequence[str] | None = None,
) -> str:
    """Returns the two answer cards, side by side: idle where no text is given, and else still being written.

    `info` is the engine's; a citation of one of the first `sources` records is marked, a text that is Html is shown as it is.
    `notes` are HTML, small and quiet beneath each text; `feet` are HTML for the end of each card, in place of its model's name.
    """
    base_id = model_id(info["base"], info["base_revision"])
    tuned_id = f"{base_id}<br>+ {model_id(info['adapter'], info['adapter_revision'])}"
    where = (
        f'<span class="where">{escape(info["precision"].upper())}, {escape(info["device"])}</span>'
    )
    feet = feet or [f'<span class="model">{model}</span>{where}' for model in (base_id, tuned_id)]
    columns = (
        _answer("base", base, sources, notes[0], feet[0]),
        _answer("tuned", tuned, sources, notes[1], feet[1]),
    )
    return f'<div class="pair">{"".join(columns)}</div>'


def is_writing(shown: str) -> bool:
    """Whether these answer cards still wait for words."""
    return 'aria-busy="true"' in shown


def settled(shown: str) -> str:
    """Returns the answer cards as they are when no more words will come."""
    return shown.replace('aria-busy="true"', 'aria-busy="false"').replace(
        html("waiting"), html("wordless")
    )


def state() -> str:
    """Returns what a card says while it is busy: that it is written, or its visitor's place in the line (see page.js)."""
    place = html("queued", place=Html('<b class="place"></b>'))
    return f'<span class="writing">{html("writing")}</span><span class="queued" role="status" hidden>{place}</span>'


def cited(text: str, count: int) -> set[int]:
    """Returns the positions, from 1 to `count`, that `text` cites as [n]."""
    return {int(position) for position in CITATION.findall(text) if 1 <= int(position) <= count}


def records(sources: Sequence[Mapping] | None = None, positions: set[int] = frozenset()) -> str:
    """Returns the records in citation order, those at the cited `positions` (from 1) marked; None: not asked yet."""
    if sources:
        body = record_list(sources, positions)
    else:
        body = f'<p class="hint">{html("blind_records_idle" if sources is None else "records_none")}</p>'
    return f'<section class="shelf"><h2>{html("records")}</h2>{body}</section>'


def record_list(sources: Sequence[Mapping], positions: set[int] = frozenset()) -> str:
    """Returns the records alone, in that order."""
    cards = "".join(
        _record(number, record, number in positions)
        for number, record in enumerate(sources, start=1)
    )
    return f'<ol class="records">{cards}</ol>'


def model_id(name: str, revision: str | None) -> str:
    short = (revision or "").removeprefix("sha256:")[:7]
    return escape(f"{name} @ {short}" if short else name)


def _answer(side: str, text: str | None, sources: int, note: str, foot: str) -> str:
    if text:
        body = f'<p class="words" dir="auto">{text if isinstance(text, Html) else marked(text, sources)}</p>'
    else:
        body = f'<p class="hint">{html(f"{side}_idle" if text is None else "waiting")}</p>'
    return (
        f'<article class="card {side}" aria-busy="{str(text is not None).lower()}">'
        f"<header><h2>{html(side)} <small>{html(side + '_note')}</small></h2>"
        f"{state()}</header>"
        f'<div class="answer" aria-live="polite">{body}{note}</div>'
        f"<footer>{foot}</footer></article>"
    )


def marked(text: str, sources: int) -> str:
    valid = cited(text, sources)
    return CITATION.sub(
        lambda found: (
            f'<mark class="cite">{found[0]}</mark>' if int(found[1]) in valid else found[0]
        ),
        escape(text),
    )


def _record(number: int, record: Mapping, is_cited: bool) -> str:
    chip = f'<span class="chip">{html("cited")}</span>' if is_cited else ""
    return (
        f'<li class="label-card{" cited" if is_cited else ""}"><span class="number">[{number}]</span>'
        f"<div><h3>{escape(record['title'])}</h3>{chip}{folded(record['content'], EXCERPT, 'content')}"
        f'<p class="facts"><span>{escape(record["uid"])}</span>'
        f"<span>{html('match')} {record['score']:.2f}</span></p></div></li>"
    )


def folded(text: str, length: int, kind: str, attributes: str = "") -> str:
    """Returns a text of the class `kind`; of one of over `length` characters only its beginning shows before it is opened."""
    whole = f'<p class="{kind}"{attributes}>{escape(text)}</p>'
    if len(text) <= length:
        return whole
    excerpt = text[:length].rsplit(None, 1)[0]
    return (
        f'<details><summary><span class="{kind} excerpt"{attributes}>{escape(excerpt)}\u2026</span> '
        f'<span class="toggle more">{html("more")}</span><span class="toggle less">{html("less")}</span></summary>'
        f"{whole}</details>"
    )
