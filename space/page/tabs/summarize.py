"""The Summarize tab: two summaries of a text, what they rest on, and what changed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import gradio as gr
from gradio.components import Component

from space.engine import Engine, Info
from space.model import COLUMNS, Figures
from space.page.api import show_notice, summaries_endpoint, visible_errors
from space.page.export import export_summaries_json, export_summaries_markdown
from space.page.html import cards, changed, summaries
from space.page.html.conversation import render_end, render_foot
from space.page.kept import TEXT, recall_text, store
from space.page.tabs.parts import (
    AT_ONCE,
    BEGIN,
    QUIET,
    SAVE,
    enabled,
    label,
    markup,
    refuse_unless_ready,
    run_on_model,
    sampling_controls,
)
from space.page.uploads import KINDS, MEGABYTES, read_upload, take_upload
from space.settings import Settings
from space.texts import Html, html, remove_controls

READERS = 2  # files that are read at the same time
# Says whether the text is another than the one that was summarized.
IS_OTHER = """(text, summarized) => {
  const busy = document.querySelector('.summaries [aria-busy="true"]');
  return summarized && !busy && text.trim() !== summarized.trim() ? "other" : "";
}"""
LANGUAGE = "(written, carried) => [written, document.documentElement.lang]"


@dataclass(frozen=True)
class Summaries:
    """Two summaries of a text, as far as they are written."""

    text: str
    max_new_tokens: int
    base: str = ""
    tuned: str = ""
    figures: Figures | None = None
    marked: tuple[Html, Html] | None = None  # with what they rest on, once they are complete


class SummarizeTab:
    """The tab's layout and states, and the handlers of its events."""

    def __init__(self, engine: Engine, info: Info, settings: Settings) -> None:
        self.engine, self.info, self.settings = engine, info, settings
        self.box = gr.Textbox(
            label=label("text"), placeholder=label("text_hint"), lines=7, max_lines=16
        )
        with gr.Row(elem_classes="controls"):
            self.ask = gr.Button(label("summarize"), variant="primary", scale=0, min_width=112)
            self.stop = gr.Button(label("stop"), interactive=False, scale=0, min_width=80)
            self.clear = gr.Button(label("clear"), scale=0, min_width=80)
            self.upload = gr.UploadButton(
                cast(str, label("upload")),  # gradio takes it and does not say so
                file_types=KINDS,
                scale=0,
                min_width=150,
                elem_classes="upload",
            )
            self.note = markup(render_note())  # says what is in the box
        self.build_search()
        options = sampling_controls(settings.summary_tokens, settings)
        self.pair = markup(cards.render_pair(info), elem_classes="summaries")
        with gr.Row(elem_classes="controls why"):
            self.why = gr.Button(
                label("changed"), interactive=False, scale=0, min_width=150, size="sm"
            )
            self.markdown, self.json = (
                gr.Button(label(key), interactive=False, scale=0, min_width=60, size="sm")
                for key in ("chat_markdown", "chat_json")
            )
            markup(f'<p class="hint">{html("changed_note")}</p>')
            # Hidden: the text that was summarized, and whether the box has another.
            self.summarized, self.other, self.saved = (
                gr.Textbox(visible="hidden", elem_classes="carried") for _ in range(3)
            )
        self.changes = markup("")
        self.source = markup(summaries.render_idle())  # the text, with what the summaries rest on
        self.summaries = gr.State()  # Summaries, or None
        self.busy = gr.State(False)  # whether summaries are being written or explained
        self.controls = [self.busy, self.ask, self.stop, self.clear]  # see states()
        self.controls += [self.why, self.markdown, self.json]
        self.wire_upload()
        self.wire_summaries(options)
        self.wire_changes()
        self.wire_keeping()

    def states(self, busy: bool = False, can_explain: bool = False, keeps: bool = False) -> tuple:
        """Return the values of the controls."""
        return busy, *enabled(not busy, busy, not busy, can_explain, keeps, keeps)

    # --- the text ---

    def wire_upload(self) -> None:
        reading = render_note(html("upload_reading"))
        start = self.upload.upload(lambda: reading, None, self.note, **AT_ONCE)
        # Without preprocessing: gradio would not delete what it reads, and would use its own words
        # for a file that is gone.
        run = start.success(
            self.read,
            self.upload,
            [self.box, self.note, self.upload],
            preprocess=False,
            concurrency_limit=READERS,
            **QUIET,
        )
        run.failure(lambda: (render_note(), None), None, [self.note, self.upload], **AT_ONCE)

    def read(self, sent):
        with visible_errors(html):
            data = take_upload(sent, Path(self.upload.GRADIO_CACHE))
            upload = read_upload(data, self.settings.max_input_chars)
        words, characters = len(upload.text.split()), len(upload.text)
        sentences = [html("upload_read", words=words, characters=characters)]
        for key, values in upload.notes:
            sentences.append(html(key, **values))
        return upload.text, render_note(*sentences), None

    def build_search(self) -> None:
        """Build the folded search, whose records go into the box."""
        has_catalogue = self.settings.catalogue is not None
        with gr.Accordion(label("pick_record"), open=False, visible=has_catalogue):
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
        gr.on([query.submit, button.click], self.find, query, [chosen, found, none], **AT_ONCE)
        chosen.click(self.take, [chosen, found], [self.box, self.note], **AT_ONCE)

    def find(self, query):
        with visible_errors(html):
            records = self.engine.search(query, self.settings.search_k)
        titles = [[record["title"]] for record in records]
        none = "" if records else f'<p class="hint" role="status">{html("pick_none")}</p>'
        return gr.Dataset(samples=titles, visible=bool(records)), records, none

    def take(self, index, records):
        record = records[index]
        text = remove_controls(record["content"])[: self.settings.max_input_chars]
        return text, render_note(html("pick_taken", title=record["title"]))

    # --- the summaries ---

    def wire_summaries(self, options: list[Component]) -> None:
        drawn = [self.pair, self.summaries, self.source]
        begun = [*drawn, self.changes, self.summarized, *self.controls]
        asks = [self.ask.click, self.box.submit]
        run_on_model(
            self.engine,
            [gr.on(asks, self.begin, [self.box, self.busy], begun, **BEGIN)],
            self.write,
            [self.box, *options],
            drawn,
            finish=self.finish,
            finish_inputs=[self.summaries],
            finish_outputs=[self.pair, *self.controls],
            stop=self.stop,
        )
        self.clear.click(self.start_over, None, [*begun, self.box, self.note], **AT_ONCE)
        # Summaries of another text go.
        compared = [self.box, self.summarized]
        self.box.change(None, compared, self.other, js=IS_OTHER, **QUIET)
        self.other.change(self.forget, [self.other, self.busy], [*begun, self.other], **AT_ONCE)

    def begin(self, text, busy):
        refuse_unless_ready(text, busy)
        pair = cards.render_pair(self.info, "", "", writing=True)
        return pair, None, summaries.render_idle(), "", text, *self.states(busy=True)

    def forget(self, other, busy):
        if not other or busy:
            return tuple(gr.skip() for _ in range(6 + len(self.controls)))
        pair = cards.render_pair(self.info)
        return pair, None, summaries.render_idle(), "", "", *self.states(), ""

    def write(self, text, max_new_tokens, temperature):
        """Write both summaries, and at last what they rest on."""
        written, cut = None, 0

        def notify(key, **values):
            nonlocal cut
            cut = values.get("cut", 0)
            show_notice(html)(key, **values)

        summarize = summaries_endpoint(self.engine, html, notify)
        with closing(summarize(text, max_new_tokens, temperature)) as steps:
            for step in steps:
                written = written or Summaries(remove_controls(text), int(max_new_tokens))
                # So it stands if no other step comes.
                figures = cast(Figures, {**step.figures, "stopped": True})
                written = replace(written, base=step.base, tuned=step.tuned, figures=figures)
                yield self.render(written, writing=True), written, gr.skip()
        assert written and written.figures  # the engine's first step comes before any word
        marked, source = summaries.mark_sources(
            written.text, len(written.text) - cut, written.base, written.tuned
        )
        written = replace(written, marked=marked, figures={**written.figures, "stopped": False})
        yield self.render(written, writing=True), written, source

    def render(self, written: Summaries, writing: bool = False) -> str:
        base, tuned = written.marked or (written.base, written.tuned)
        notes, feet = [], []
        for side, text in zip(COLUMNS, (written.base, written.tuned), strict=True):
            note = summaries.render_lengths(text, written.text)
            if text and written.figures and not writing:
                note += render_end(written.figures, side, written.max_new_tokens)
            notes.append(note)
            if written.figures:
                feet.append(render_foot(written.figures[side], bool(text) and not writing))
        return cards.render_pair(
            self.info, base, tuned, writing=writing, notes=(notes[0], notes[1]), feet=feet or None
        )

    def finish(self, written):
        pair = self.render(written) if written else cards.render_pair(self.info, "", "")
        keeps = bool(written and (written.base or written.tuned))
        return pair, *self.states(can_explain=bool(written and written.tuned), keeps=keeps)

    def start_over(self):
        pair = cards.render_pair(self.info)
        return pair, None, summaries.render_idle(), "", "", *self.states(), "", render_note()

    # --- what is kept, and the files ---

    def wire_keeping(self) -> None:
        """Store the text in the browser, and connect the buttons that save."""
        gr.on(None, None, None, self.box, js=recall_text(), **QUIET)
        self.box.change(None, self.box, None, js=store(TEXT), **QUIET)
        for button, export, kind, name in (
            (self.markdown, self.export_markdown, "text/markdown", "summaries.md"),
            (self.json, self.export_json, "application/json", "summaries.json"),
        ):
            reads = [self.summaries, self.saved]
            exported = button.click(export, reads, self.saved, js=LANGUAGE, **AT_ONCE)
            exported.success(None, self.saved, self.saved, js=SAVE % (kind, name), **QUIET)

    def export_markdown(self, written, page_language):
        both = {"base": written.base, "tuned": written.tuned}
        return export_summaries_markdown(written.text, both, self.info, page_language)

    def export_json(self, written, _page_language):
        both = {"base": written.base, "tuned": written.tuned}
        return export_summaries_json(written.text, both, self.info)

    # --- what changed ---

    def wire_changes(self) -> None:
        explaining = gr.State(False)  # until there is an explanation
        drawn = [self.changes, explaining]
        start = self.why.click(self.begin_to_explain, None, [*drawn, *self.controls], **AT_ONCE)
        run_on_model(
            self.engine,
            [start],
            self.explain_summary,
            [self.summaries],
            drawn,
            finish=self.finish_explaining,
            finish_inputs=[explaining],
            finish_outputs=[*drawn, *self.controls],
            stop=self.stop,
        )

    def begin_to_explain(self):
        return changed.render_waiting(), True, *self.states(busy=True)

    def explain_summary(self, written):
        with visible_errors(html):
            tokens = self.engine.explain_summary(
                written.text, written.tuned, written.max_new_tokens
            )
        source = {"title": "", "content": written.text}
        return changed.render_changes(tokens, "of-a-summary", records=[source]), False

    def finish_explaining(self, stopped):
        # After an explanation there is nothing more to explain.
        changes = "" if stopped else gr.skip()
        return changes, False, *self.states(can_explain=stopped, keeps=True)


def render_note(*sentences: str) -> str:
    """Render what is in the box, or else what may be sent."""
    text = " ".join(sentences) or html("upload_note", limit=MEGABYTES)
    # page.js shows the second paragraph instead of sending a file that is too large.
    return (
        f'<p class="hint" role="status">{text}</p>'
        f'<p class="hint refused" role="alert" hidden>{html("upload_large", limit=MEGABYTES)}</p>'
    )
