"""What the tabs share: texts for gradio's own parts, buttons, sliders, and a tab's events, from a question to its answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from space.page.api import MODEL, refusal, refusals
from space.page.html import cards, changed
from space.settings import TEMPERATURE_LIMIT, TOKEN_LIMIT, Settings
from space.texts import LANGUAGES, TEXTS, html

QUIET = {"show_progress": "hidden", "api_visibility": "private"}
# What waits in the line for the model: gradio then has its place, which page.js reads and the cards show.
WAITS = {"show_progress": "minimal", "api_visibility": "private"}
OWN = "shelftalk_"  # before each key, so that none is one of gradio's own texts
# Filled by label(): a browser is sent what gradio's parts say, and not every text of the page.
_ours: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
I18N = gr.I18n(**_ours, **{"pt-BR": _ours["pt"]})


def label(key: str):
    """Returns a text of space/texts.py as gradio's own parts take it; the browser writes it in the page's language."""
    for language in LANGUAGES:
        _ours[language][OWN + key] = TEXTS[key][language]
    return I18N(OWN + key)


@dataclass(frozen=True)
class Tab:
    """The parts of a tab that its events read and draw."""

    box: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    clear: gr.Button
    pair: gr.HTML
    why: gr.Button
    asked: gr.State  # of the answers that are shown: what Engine.explain is called with; None where there is nothing to explain
    changes: gr.HTML
    shelf: gr.HTML | None = None  # what stands beneath the answers
    blank: str = ""  # what it shows before there are any

    @property
    def buttons(self) -> list[gr.Button]:
        """In the order of _states()."""
        return [self.ask, self.stop, self.clear, self.why]


def wire(tab: Tab, info: dict, stream: Callable, inputs: list) -> None:
    """Connects one tab: `stream` yields the answer cards, what was asked[, and the shelf]."""
    shown, blank = (
        ([tab.pair, tab.asked], [])
        if tab.shelf is None
        else ([tab.pair, tab.asked, tab.shelf], [tab.blank])
    )

    def begin(answers, changes, words):
        if cards.is_writing(answers + changes) or not words.strip():
            raise refusal("busy" if words.strip() else "empty", html)
        return cards.pair(info, "", ""), None, *blank, "", *_states(busy=True)

    def settle(answers, asked):
        return cards.settled(answers), *_states(explains=bool(asked))

    read, drawn = [tab.pair, tab.changes, tab.box], [*shown, tab.changes, *tab.buttons]
    start = gr.on(
        [tab.ask.click, tab.box.submit], begin, read, drawn, concurrency_limit=None, **QUIET
    )
    run = start.success(stream, inputs, shown, **MODEL, **WAITS, show_progress_on=tab.pair)
    # `then` comes after an end or a stop, whose own handler a late word could overtake; not after an error.
    for after in (run.then, run.failure):
        after(settle, [tab.pair, tab.asked], [tab.pair, *tab.buttons], queue=False, **QUIET)
    tab.stop.click(None, cancels=run)
    tab.clear.click(
        lambda: (cards.pair(info), None, *blank, "", *_states(), ""),
        None,
        [*drawn, tab.box],
        queue=False,
        **QUIET,
    )


def wire_changes(tab: Tab, explain: Callable, name: str) -> None:
    """Connects the question what changed: `explain` is asked about what was asked, when somebody wants to know."""

    def draw(asked):
        with refusals(html):
            return changed.picture(explain(*asked), name)

    def settle(changes):
        given_up = cards.is_writing(changes)
        return "" if given_up else gr.skip(), *_states(explains=given_up)

    start = tab.why.click(
        lambda: (changed.waiting(), *_states(busy=True)),
        None,
        [tab.changes, *tab.buttons],
        queue=False,
        **QUIET,
    )
    run = start.success(draw, tab.asked, tab.changes, **MODEL, **WAITS)
    for after in (run.then, run.failure):
        after(settle, tab.changes, [tab.changes, *tab.buttons], queue=False, **QUIET)
    tab.stop.click(None, cancels=run)


def markup(value: str) -> gr.HTML:
    """Returns a part that shows HTML as it is."""
    return gr.HTML(value, js_on_load=None, apply_default_css=False)


def three_buttons(verb) -> tuple[gr.Button, gr.Button, gr.Button]:
    return (
        gr.Button(verb, variant="primary", scale=0, min_width=112),
        gr.Button(label("stop"), interactive=False, scale=0, min_width=80),
        gr.Button(label("clear"), scale=0, min_width=80),
    )


def changes_row() -> tuple[gr.Button, gr.State, gr.HTML]:
    """Returns the button that asks what changed, what it asks about, and where the picture will be."""
    with gr.Row(elem_classes="controls why"):
        why = gr.Button(label("changed"), interactive=False, scale=0, min_width=150, size="sm")
        markup(f'<p class="hint">{html("changed_note")}</p>')
    return why, gr.State(), markup("")


def _states(
    busy: bool = False, explains: bool = False
) -> tuple[gr.Button, gr.Button, gr.Button, gr.Button]:
    """Returns which of a tab's buttons can be pressed: Tab.buttons, in its order."""
    return tuple(gr.Button(interactive=on) for on in (not busy, busy, not busy, explains))


def sliders(tokens: int, settings: Settings, seed: bool = False) -> list[gr.Slider | gr.Number]:
    """Returns the sampling controls, folded away."""
    with gr.Accordion(label("settings"), open=False):
        controls = [
            gr.Slider(1, TOKEN_LIMIT, tokens, step=1, label=label("max_new_tokens")),
            gr.Slider(
                0, TEMPERATURE_LIMIT, settings.temperature, step=0.05, label=label("temperature")
            ),
        ]
        return (
            [*controls, gr.Number(None, label=label("chat_seed"), precision=0, elem_classes="seed")]
            if seed
            else controls
        )
