"""The tab that sums a text up twice, typed, sent as a file or from the catalogue, and shows what the summaries rest on."""

from __future__ import annotations

from contextlib import closing

import gradio as gr

from space.page.api import notices, summarize_endpoint
from space.page.html import cards
from space.page.html import summaries as marked
from space.page.tabs.bring import catalogue_row, note, upload_row
from space.page.tabs.parts import (
    QUIET,
    Tab,
    changes_row,
    label,
    markup,
    sliders,
    three_buttons,
    wire,
    wire_changes,
)
from space.settings import Settings
from space.texts import clean_text, html


def summarize_tab(engine, info: dict, settings: Settings) -> None:
    def stream(text, max_new_tokens, temperature):
        cuts, source, base, tuned = [0], "", "", ""

        def notify(key, **values):
            cuts.append(values.get("cut", 0))
            notices(html)(key, **values)

        def drawn(*shown):
            return cards.pair(
                info,
                *shown,
                notes=tuple(marked.figures(summary, source) for summary in (base, tuned)),
            )

        with closing(
            summarize_endpoint(engine, settings, html, notify)(text, max_new_tokens, temperature)
        ) as summaries:
            for base, tuned in summaries:
                source = source or clean_text(text)
                asked = (text, tuned, int(max_new_tokens)) if tuned else None
                yield drawn(base, tuned), asked, gr.skip()
        shown, section = marked.marked(source, len(source) - cuts[-1], base, tuned)
        yield drawn(*shown), asked, section

    text = gr.Textbox(label=label("text"), placeholder=label("text_hint"), lines=7, max_lines=16)
    with gr.Row(elem_classes="controls"):
        buttons = three_buttons(label("summarize"))
        said = upload_row(settings, text)
    catalogue_row(engine, settings, text, said)
    options = sliders(settings.summary_tokens, settings)
    tab = Tab(
        text,
        *buttons,
        markup(cards.pair(info)),
        *changes_row(),
        markup(marked.idle()),
        marked.idle(),
    )
    wire(tab, info, stream, [text, *options])
    wire_changes(tab, engine.explain_summary, "of-a-summary")
    tab.clear.click(note, None, said, queue=False, **QUIET)
