"""The tab where one talks with both models at once, with the records behind their answers."""

from __future__ import annotations

import gradio as gr

from space.page.html import cards
from space.page.tabs.chat import Chat, wire_changes, wire_export, wire_talk
from space.page.tabs.parts import label, markup, sliders
from space.settings import Settings
from space.texts import html

# Of a click on a button inside the turns: gradio's event of that name, with the turn's place.
CLICKS = """element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-event]");
  if (button) trigger(button.dataset.event, {turn: Number(button.dataset.turn)});
});"""


def ask_tab(engine, info: dict, settings: Settings) -> None:
    chosen = engine.examples()
    with gr.Column(elem_classes="stage"):
        past = _turns("past")
        with gr.Column(elem_classes="now"):
            live, shelf = _turns("live", cards.pair(info)), markup("")
            changes = gr.HTML("", js_on_load=None, apply_default_css=False, elem_classes="changes")
            with gr.Row(elem_classes="keeps"):
                keeps = [
                    gr.Button(label(key), interactive=False, scale=0, min_width=60, size="sm")
                    for key in ("chat_markdown", "chat_json", "clear")
                ]
            examples = gr.Dataset(
                components=[gr.Textbox(visible=False)],
                samples=[[text] for text in chosen],
                type="values",
                label=label("examples"),
                visible=bool(chosen),
                elem_classes="examples",
            )
    with gr.Column(elem_classes="composer"):
        note = _turns("note")
        with gr.Row(elem_classes="controls asking"):
            box = gr.Textbox(
                placeholder=label("question_hint"),
                label=label("question"),
                lines=1,
                max_lines=6,
                autofocus=True,
                elem_classes="question",
                scale=1,
                min_width=120,
            )
            ask = gr.Button(
                label("ask"), variant="primary", scale=0, min_width=104, elem_classes="ask"
            )
            stop = gr.Button(
                label("stop"), interactive=False, scale=0, min_width=104, elem_classes="stop"
            )
        with gr.Row(elem_classes="controls quietly"):
            use_sources = gr.Checkbox(
                settings.catalogue is not None,
                label=label("use_sources"),
                container=False,
                interactive=settings.catalogue is not None,
                info=label("use_sources_info" if settings.catalogue else "no_catalogue"),
            )
            options = sliders(settings.max_new_tokens, settings, seed=True)
            markup(
                f'<p class="hint keys" data-limit="{settings.max_input_chars}">{html("chat_keys")}</p>'
            )
        carried = gr.Textbox(visible="hidden", elem_classes="carried")
    chat = Chat(
        info,
        past,
        live,
        shelf,
        changes,
        examples,
        note,
        box,
        carried,
        ask,
        stop,
        *keeps,
        gr.State([]),
        gr.State(None),
    )
    wire_talk(chat, engine, [use_sources, *options], bool(chosen))
    wire_changes(chat, engine.explain)
    wire_export(chat)


def _turns(name: str, value: str = "") -> gr.HTML:
    return gr.HTML(value, js_on_load=CLICKS, apply_default_css=False, elem_classes=name)
