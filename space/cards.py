"""How the page looks: its theme, the two answers and the records behind them as HTML, and every text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import gradio as gr

from space.wording import CITATION

NAME = "Shelftalk"
TEXT = {
    "lead": "One question, two answers: a language model as it came, and the same model after it learned "
            "this shop's catalogue.",
    "ask_tab": "Ask", "summarize_tab": "Summarize",
    "question": "Your question", "question_hint": "Ask about a product, in English or in Portuguese",
    "text": "Your text", "text_hint": "Paste a product description, in English or in Portuguese",
    "examples": "Or try one of these",
    "use_sources": "Use the catalogue", "use_sources_info": "Both models read the records that match the question.",
    "no_catalogue": "This Space has no catalogue: both models answer from memory.",
    "settings": "Settings", "max_new_tokens": "Longest answer, in tokens",
    "temperature": "Temperature (0 gives the same answer every time)",
    "ask": "Ask", "summarize": "Summarize", "stop": "Stop", "clear": "Clear",
    "base": "Base", "base_note": "as it came", "tuned": "Tuned", "tuned_note": "after fine-tuning",
    "base_idle": "The model before fine-tuning answers here.",
    "tuned_idle": "The model after fine-tuning answers here, at the same time.",
    "writing": "writing\u2026", "waiting": "Reading your words\u2026", "wordless": "It ended without a word.",
    "records": "Records behind the answer", "cited": "cited", "match": "match", "more": "Show all", "less": "Show less",
    "records_idle": "Once you ask, the catalogue's best matches stand here, and those that the tuned answer cites are "
                    "marked.",
    "records_none": "No record of the catalogue was read for this answer.",
    "changed": "What changed?", "changed_note": "How likely each word of the tuned answer was before and after fine-tuning.",
    "changed_waiting": "Both models are reading the tuned answer\u2026", "changed_title": "What fine-tuning changed",
    "changed_choose": "The tuned answer, token by token: choose a token for its numbers",
    "changed_up": "Fine-tuning made {up} of {count} tokens likelier; most of all \u201c{token}\u201d, from {before} to "
                  "{after}.",
    "changed_both": "Fine-tuning made {up} of {count} tokens likelier and {down} less likely; most of all it raised "
                    "\u201c{token}\u201d, from {before} to {after}.",
    "changed_down": "Fine-tuning made {down} of {count} tokens less likely and none likelier; most of all it lowered "
                    "\u201c{token}\u201d, from {before} to {after}.",
    "changed_nothing": "Fine-tuning left all {count} tokens about as likely as they were.",
    "changed_nothing_of_one": "Fine-tuning left the only token about as likely as it was.",
    "over": "over {percent}", "under": "under {percent}", "million": "over a million",
    "times_likelier": "{count} times likelier", "times_less": "{count} times less likely", "as_before": "about as likely",
    "token_spoken": "{token}: {before} before fine-tuning, {after} after, {times}. The base\u2019s own choices: {others}",
    "before": "before", "after": "after", "rather": "The base\u2019s own choices here",
    "token_end": "(the end)", "token_break": "(line break)", "token_blank": "(blank)", "token_part": "(part of a character)",
    "key_less": "less likely", "key_same": "as before", "key_more": "likelier",
    "key": "A token is a word or a piece of one, as the model reads it. A bar that rises: fine-tuning made it likelier; a bar "
           "that hangs: less likely. Point at a token, tap it, or step with the arrow keys.",
    "busy": "An answer is still being written. Stop it first, or wait for its end.",
    "empty": "There is nothing to answer yet. Please write something first.",
    "failed": "Something went wrong here, and there is no answer. Please try again in a moment.",
    "not_text": "The {what} must be text.", "not_bool": "use_sources must be true or false.",
    "not_whole": "{what} must be a whole number from {low} to {high}.",
    "not_number": "{what} must be a number from {low} to {high}.",
}
EXCERPT = 150  # characters of a record that show before it is opened
LOGO = ('<svg class="logo" viewBox="0 0 48 48" aria-hidden="true"><path class="plank" d="M3 9h42v6H3z"/>'
        '<path class="tag" d="M10 15h28v25a3 3 0 0 1-3 3H13a3 3 0 0 1-3-3z"/>'
        '<path class="lines" d="M17 25h14M17 33h9"/></svg>')

PAPER = gr.themes.Color(
    "#f8f2e7", "#f2eadc", "#e7ddcc", "#d4c7b1", "#ab9d87", "#7d705d", "#655947", "#4a4035", "#332c25",
    "#231e19", "#191511")
RUST = gr.themes.Color(
    "#fcefe7", "#f9dfd1", "#f2bfa5", "#ea9c77", "#e58356", "#c9582a", "#a8411a", "#8a3513", "#6d2b11",
    "#4a2010", "#2f1509")


def theme() -> gr.themes.Base:
    """Returns the page's colours, light and dark; page.css builds on them and names the fonts, none of them fetched."""
    system, mono = gr.themes.Font("sans-serif"), gr.themes.Font("monospace")
    return gr.themes.Base(primary_hue=RUST, secondary_hue=RUST, neutral_hue=PAPER, font=[system], font_mono=[mono],
                          radius_size="sm", text_size="md").set(
        body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900", body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="#fffdf9", background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_100", background_fill_secondary_dark="*neutral_800",
        block_background_fill="*background_fill_primary", block_background_fill_dark="*background_fill_primary",
        input_background_fill="*background_fill_primary", input_background_fill_dark="*background_fill_primary",
        input_border_color="*neutral_400", input_border_color_dark="*neutral_500",
        input_placeholder_color="*neutral_500", input_placeholder_color_dark="*neutral_400",
        color_accent="*primary_600", color_accent_soft="*primary_50", color_accent_soft_dark="*primary_900",
        block_shadow="none", block_shadow_dark="none",
        button_primary_background_fill="*primary_600", button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_400", button_primary_background_fill_hover_dark="*primary_300",
        button_primary_text_color="#fffdf9", button_primary_text_color_dark="*neutral_950",
    )


def header() -> str:
    """Returns the page's head: the name and what one sees here."""
    return f'<header class="masthead">{LOGO}<div><h1>{NAME}</h1><p>{TEXT["lead"]}</p></div></header>'


def pair(info: Mapping, base: str | None = None, tuned: str | None = None, sources: int = 0) -> str:
    """Returns the two answer cards, side by side: idle where no text is given, and else still being written.

    `info` is the engine's; a citation of one of the first `sources` records is marked.
    """
    base_id = _model(info["base"], info["base_revision"])
    tuned_id = f'{base_id}<br>+ {_model(info["adapter"], info["adapter_revision"])}'
    where = f'{info["precision"].upper()}, {info["device"]}'
    columns = (_answer("base", base_id, where, base, sources),
               _answer("tuned", tuned_id, where, tuned, sources))
    return f'<div class="pair">{"".join(columns)}</div>'


def is_writing(shown: str) -> bool:
    """Whether these answer cards still wait for words."""
    return 'aria-busy="true"' in shown


def settled(shown: str) -> str:
    """Returns the answer cards as they are when no more words will come."""
    return shown.replace('aria-busy="true"', 'aria-busy="false"').replace(TEXT["waiting"], TEXT["wordless"])


def cited(text: str, count: int) -> set[int]:
    """Returns the positions, from 1 to `count`, that `text` cites as [n]."""
    return {int(position) for position in CITATION.findall(text) if 1 <= int(position) <= count}


def records(sources: Sequence[Mapping] | None = None, positions: set[int] = frozenset()) -> str:
    """Returns the records in citation order, those at the cited `positions` (from 1) marked; None: not asked yet."""
    if sources:
        cards = "".join(_record(number, record, number in positions) for number, record in enumerate(sources, start=1))
        body = f'<ol class="records">{cards}</ol>'
    else:
        body = f'<p class="hint">{TEXT["records_idle" if sources is None else "records_none"]}</p>'
    return f'<section class="shelf"><h2>{TEXT["records"]}</h2>{body}</section>'


def _model(name: str, revision: str | None) -> str:
    short = (revision or "").removeprefix("sha256:")[:7]
    return escape(f"{name} @ {short}" if short else name)


def _answer(side: str, model: str, where: str, text: str | None, sources: int) -> str:
    if text:
        body = f'<p class="words">{_marked(text, sources)}</p>'
    else:
        body = f'<p class="hint">{TEXT[f"{side}_idle" if text is None else "waiting"]}</p>'
    return (
        f'<article class="card {side}" aria-busy="{str(text is not None).lower()}" aria-label="{TEXT[side]}">'
        f'<header><h2>{TEXT[side]} <small>{TEXT[f"{side}_note"]}</small></h2>'
        f'<span class="writing">{TEXT["writing"]}</span></header>'
        f'<div class="answer" aria-live="polite">{body}</div>'
        f'<footer><span class="model">{model}</span><span class="where">{escape(where)}</span></footer></article>')


def _marked(text: str, sources: int) -> str:
    valid = cited(text, sources)
    return CITATION.sub(lambda found: f'<mark class="cite">{found[0]}</mark>' if int(found[1]) in valid else found[0],
                        escape(text))


def _record(number: int, record: Mapping, is_cited: bool) -> str:
    chip = f'<span class="chip">{TEXT["cited"]}</span>' if is_cited else ""
    return (
        f'<li class="label-card{" cited" if is_cited else ""}"><span class="number">[{number}]</span>'
        f'<div><h3>{escape(record["title"])}</h3>{chip}{_content(record["content"])}'
        f'<p class="facts"><span>{escape(record["uid"])}</span>'
        f'<span>{TEXT["match"]} {record["score"]:.2f}</span></p></div></li>')


def _content(content: str) -> str:
    if len(content) <= EXCERPT:
        return f'<p class="content">{escape(content)}</p>'
    excerpt = content[:EXCERPT].rsplit(None, 1)[0]
    return (f'<details><summary><span class="content excerpt">{escape(excerpt)}\u2026</span> '
            f'<span class="toggle more">{TEXT["more"]}</span><span class="toggle less">{TEXT["less"]}</span></summary>'
            f'<p class="content">{escape(content)}</p></details>')
