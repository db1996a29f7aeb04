"""The tab that answers a question twice, with the records behind the answers."""

from __future__ import annotations

from contextlib import closing

import gradio as gr

from space import cards
from space.endpoints import answer_endpoint
from space.settings import Settings
from space.tabs.parts import QUIET, Tab, changes_row, label, markup, sliders, three_buttons, wire, wire_changes
from space.texts import html


def ask_tab(engine, info: dict, settings: Settings) -> None:
    answer, examples = answer_endpoint(engine, settings, html), engine.examples()

    def stream(question, use_sources, max_new_tokens, temperature):
        drawn = None
        with closing(answer(question, use_sources, max_new_tokens, temperature)) as answers:
            for base, tuned, sources in answers:
                marks = sources, cards.cited(tuned, len(sources))
                # Drawn only when they change, so that a record that was opened stays open.
                shelf = gr.skip() if marks == drawn else cards.records(*marks)
                drawn = marks
                asked = (question, tuned, use_sources, int(max_new_tokens)) if tuned else None
                yield cards.pair(info, base, tuned, len(sources)), asked, shelf

    has_catalogue = settings.catalogue is not None
    question = gr.Textbox(label=label("question"), placeholder=label("question_hint"), lines=1, max_lines=6,
                          autofocus=True, elem_classes="question")
    with gr.Row(elem_classes="controls"):
        buttons = three_buttons(label("ask"))
        use_sources = gr.Checkbox(has_catalogue, label=label("use_sources"), interactive=has_catalogue, container=False,
                                  info=label("use_sources_info" if has_catalogue else "no_catalogue"))
    chosen = gr.Dataset(components=[question], samples=[[text] for text in examples], label=label("examples"),
                        type="values", visible=bool(examples), elem_classes="examples")
    options = sliders(settings.max_new_tokens, settings)
    tab = Tab(question, *buttons, markup(cards.pair(info)), *changes_row(), markup(cards.records()), cards.records())
    picked = chosen.click(lambda sample: sample[0], chosen, question, queue=False, **QUIET)
    wire(tab, info, stream, [question, use_sources, *options], picked)
    wire_changes(tab, engine.explain, "of-an-answer")
