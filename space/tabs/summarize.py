"""The tab that sums a text up twice."""

from __future__ import annotations

from contextlib import closing

import gradio as gr

from space import cards
from space.endpoints import summarize_endpoint
from space.settings import Settings
from space.tabs.parts import Tab, changes_row, label, markup, sliders, three_buttons, wire, wire_changes
from space.texts import html


def summarize_tab(engine, info: dict, settings: Settings) -> None:
    summarize = summarize_endpoint(engine, settings, html)

    def stream(text, max_new_tokens, temperature):
        with closing(summarize(text, max_new_tokens, temperature)) as summaries:
            for base, tuned in summaries:
                yield cards.pair(info, base, tuned), (text, tuned, int(max_new_tokens)) if tuned else None

    text = gr.Textbox(label=label("text"), placeholder=label("text_hint"), lines=7, max_lines=16)
    with gr.Row(elem_classes="controls"):
        buttons = three_buttons(label("summarize"))
    options = sliders(settings.summary_tokens, settings)
    tab = Tab(text, *buttons, markup(cards.pair(info)), *changes_row())
    wire(tab, info, stream, [text, *options])
    wire_changes(tab, engine.explain_summary, "of-a-summary")
