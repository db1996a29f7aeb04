"""The Summarize tab: two summaries of a text, what they rest on, and what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import gradio as gr
from gradio.components import Component

from space.engine import Engine, Info
from space.page.api import show_notice, summarize_endpoint, visible_errors
from space.page.html import cards, changed, summaries
from space.page.tabs.parts import (
    QUIET,
    enabled,
    label,
    markup,
    refuse_unless_ready,
    run_on_model,
    sampling_controls,
)
from space.page.uploads import KINDS, MEGABYTES, Upload, read_upload, take_upload
from space.settings import Settings
from space.texts import Html, clean_text, html

READERS = 2  # files that are read at the same time


@dataclass(frozen=True)
class Summaries:
    """Two summaries of a text, as far as they are written."""

    text: str
    max_new_tokens: int
    base: str = ""
    tuned: str = ""
    marked: tuple[Html, Html] | None = None  # with what they rest on, once they are complete


@dataclass(frozen=True)
class Parts:
    """The parts of the tab that its events read and write."""

    info: Info
    box: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    clear: gr.Button
    why: gr.Button
    note: gr.HTML  # says what is in the box
    pair: gr.HTML
    source: gr.HTML  # the text, with what the summaries rest on
    changes: gr.HTML
    summaries: gr.State  # Summaries, or None
    busy: gr.State  # whether summaries are being written or explained

    @property
    def controls(self) -> list[Component]:
        """The parts that depend on what the tab is doing, in the order of states()."""
        return [self.busy, self.ask, self.stop, self.clear, self.why]

    def render(self, written: Summaries, writing: bool) -> str:
        """Render both summaries."""
        base, tuned = written.marked or (written.base, written.tuned)
        notes = (
            summaries.render_lengths(written.base, written.text),
            summaries.render_lengths(written.tuned, written.text),
        )
        return cards.render_pair(self.info, base, tuned, writing=writing, notes=notes)


def states(busy: bool = False, can_explain: bool = False) -> tuple:
    """Return the values of Parts.controls."""
    return busy, *enabled(not busy, busy, not busy, can_explain)


def summarize_tab(engine: Engine, info: Info, settings: Settings) -> None:
    """Build the tab."""
    box = gr.Textbox(label=label("text"), placeholder=label("text_hint"), lines=7, max_lines=16)
    with gr.Row(elem_classes="controls"):
        ask = gr.Button(label("summarize"), variant="primary", scale=0, min_width=112)
        stop = gr.Button(label("stop"), interactive=False, scale=0, min_width=80)
        clear = gr.Button(label("clear"), scale=0, min_width=80)
        note = upload_controls(settings, box)
    search_controls(engine, settings, box, note)
    options = sampling_controls(settings.summary_tokens, settings)
    pair = markup(cards.render_pair(info))
    with gr.Row(elem_classes="controls why"):
        why = gr.Button(label("changed"), interactive=False, scale=0, min_width=150, size="sm")
        markup(f'<p class="hint">{html("changed_note")}</p>')
    changes = markup("")
    parts = Parts(
        info=info,
        box=box,
        ask=ask,
        stop=stop,
        clear=clear,
        why=why,
        note=note,
        pair=pair,
        changes=changes,
        source=markup(summaries.render_idle()),
        summaries=gr.State(),
        busy=gr.State(False),
    )
    wire_summaries(parts, engine, settings, options)
    wire_changes(parts, engine)


# --- the text --------------------------------------------------------------------------------


def upload_controls(settings: Settings, box: gr.Textbox) -> gr.HTML:
    """Build the button that reads a file into `box`, and the note beside it."""
    button = gr.UploadButton(
        cast(str, label("upload")),  # gradio takes it and does not say so
        file_types=KINDS,
        scale=0,
        min_width=150,
        elem_classes="upload",
    )
    note = markup(render_note())

    def read(sent):
        with visible_errors(html):
            data = take_upload(sent, Path(button.GRADIO_CACHE))
            upload = read_upload(data, settings.max_input_chars)
        return upload.text, render_note(*_describe(upload)), None

    start = button.upload(
        lambda: render_note(html("upload_reading")), None, note, queue=False, **QUIET
    )
    # Without preprocessing: gradio would not delete what it reads, and would use its own words for
    # a file that is gone.
    run = start.success(
        read, button, [box, note, button], preprocess=False, concurrency_limit=READERS, **QUIET
    )
    run.failure(lambda: (render_note(), None), None, [note, button], queue=False, **QUIET)
    return note


def search_controls(engine: Engine, settings: Settings, box: gr.Textbox, note: gr.HTML) -> None:
    """Build the folded search, whose records go into `box` and their titles into `note`."""

    def find(query):
        with visible_errors(html):
            records = engine.search(query, settings.search_k)
        titles = [[record["title"]] for record in records]
        none = "" if records else f'<p class="hint" role="status">{html("pick_none")}</p>'
        return gr.Dataset(samples=titles, visible=bool(records)), records, none

    def take(index, records):
        record = records[index]
        text = clean_text(record["content"])[: settings.max_input_chars]
        return text, render_note(html("pick_taken", title=record["title"]))

    with gr.Accordion(label("pick_record"), open=False, visible=settings.catalogue is not None):
        with gr.Row(elem_classes="controls pick"):
            query = gr.Textbox(
                label=label("pick_search"), placeholder=label("pick_hint"), lines=1, max_lines=1
            )
            button = gr.Button(label("pick_find"), scale=0, min_width=100)
        none = markup("")
        chosen = gr.Dataset(
            components=[query],
            samples=[],
            label=label("pick_found"),
            type="index",
            visible=False,
            elem_classes="examples",
        )
    found = gr.State([])
    gr.on([query.submit, button.click], find, query, [chosen, found, none], queue=False, **QUIET)
    chosen.click(take, [chosen, found], [box, note], queue=False, **QUIET)


def render_note(*sentences: str) -> str:
    """Render what is in the box, or what may be sent; page.js shows the hidden refusal."""
    text = " ".join(sentences) or html("upload_note", limit=MEGABYTES)
    return (
        f'<p class="hint" role="status">{text}</p>'
        f'<p class="hint refused" role="alert" hidden>{html("upload_large", limit=MEGABYTES)}</p>'
    )


def _describe(upload: Upload) -> Sequence[str]:
    sentences = [html("upload_read", words=len(upload.text.split()), characters=len(upload.text))]
    for key, values in upload.notes:
        sentences.append(html(key, **values))
    return sentences


# --- the summaries ---------------------------------------------------------------------------


def wire_summaries(
    parts: Parts, engine: Engine, settings: Settings, options: list[Component]
) -> None:
    """Connect summarizing and clearing; `options` are max_new_tokens and temperature."""

    def begin(text, busy):
        refuse_unless_ready(text, busy)
        pair = cards.render_pair(parts.info, "", "", writing=True)
        return pair, None, summaries.render_idle(), "", *states(busy=True)

    def finish(written):
        can_explain = written is not None and bool(written.tuned)
        pair = cards.render_pair(parts.info, "", "")
        if written is not None:
            pair = parts.render(written, writing=False)
        return pair, *states(can_explain=can_explain)

    def clear():
        pair = cards.render_pair(parts.info)
        return pair, None, summaries.render_idle(), "", *states(), "", render_note()

    drawn = [parts.pair, parts.summaries, parts.source]
    begun = [*drawn, parts.changes, *parts.controls]
    start = gr.on(
        [parts.ask.click, parts.box.submit],
        begin,
        [parts.box, parts.busy],
        begun,
        concurrency_limit=None,
        **QUIET,
    )
    run_on_model(
        [start],
        write_summaries(parts, engine, settings),
        [parts.box, *options],
        drawn,
        finish=finish,
        finish_inputs=[parts.summaries],
        finish_outputs=[parts.pair, *parts.controls],
        stop=parts.stop,
    )
    parts.clear.click(clear, None, [*begun, parts.box, parts.note], queue=False, **QUIET)


def write_summaries(parts: Parts, engine: Engine, settings: Settings) -> Callable:
    """Build the handler that writes two summaries: the pair, Summaries, the text with marks."""

    def write(text, max_new_tokens, temperature):
        cut = 0

        def notify(key, **values):
            nonlocal cut
            cut = values.get("cut", 0)
            show_notice(html)(key, **values)

        written = None
        summarize = summarize_endpoint(engine, settings, html, notify)
        with closing(summarize(text, max_new_tokens, temperature)) as steps:
            for base, tuned in steps:
                written = written or Summaries(clean_text(text), int(max_new_tokens))
                written = replace(written, base=base, tuned=tuned)
                yield parts.render(written, writing=True), written, gr.skip()
        assert written is not None  # the engine's first step comes before any word
        source = written.text
        marked, section = summaries.mark_sources(
            source, len(source) - cut, written.base, written.tuned
        )
        written = replace(written, marked=marked)
        yield parts.render(written, writing=True), written, section

    return write


def wire_changes(parts: Parts, engine: Engine) -> None:
    """Connect the question what changed in the tuned summary."""
    explaining = gr.State(False)  # until there is an explanation

    def begin():
        return changed.render_waiting(), True, *states(busy=True)

    def explain_summary(written):
        with visible_errors(html):
            tokens = engine.explain_summary(written.text, written.tuned, written.max_new_tokens)
        return changed.render_changes(tokens, "of-a-summary"), False

    def finish(stopped):
        # After an explanation there is nothing more to explain.
        return "" if stopped else gr.skip(), False, *states(can_explain=stopped)

    start = parts.why.click(
        begin, None, [parts.changes, explaining, *parts.controls], queue=False, **QUIET
    )
    run_on_model(
        [start],
        explain_summary,
        [parts.summaries],
        [parts.changes, explaining],
        finish=finish,
        finish_inputs=[explaining],
        finish_outputs=[parts.changes, explaining, *parts.controls],
        stop=parts.stop,
    )
