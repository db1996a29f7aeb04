"""What brings a text into a tab's box: a file that a visitor sends, and a record of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from space.page.api import refusals
from space.page.tabs.parts import QUIET, label, markup
from space.page.uploads import KINDS, Upload, megabytes, read_upload, received
from space.settings import Settings
from space.texts import clean_text, html

READERS = 2  # files that are read at the same time


def upload_row(settings: Settings, box: gr.Textbox) -> gr.HTML:
    """Puts a button there that reads a file into `box`; returns the words beside it, which say what is in the box."""
    button = gr.UploadButton(
        label("upload"), file_types=KINDS, scale=0, min_width=150, elem_classes="upload"
    )
    said = markup(note())

    def read(sent):
        with refusals(html):
            upload = read_upload(
                received(sent, Path(button.GRADIO_CACHE)), settings.max_input_chars
            )
        return upload.text, note(*_told(upload)), None

    start = button.upload(lambda: note(html("upload_reading")), None, said, queue=False, **QUIET)
    # Not preprocessed: what gradio would read is not deleted, and what is no longer there is refused in our words.
    run = start.success(
        read, button, [box, said, button], preprocess=False, concurrency_limit=READERS, **QUIET
    )
    run.failure(lambda: (note(), None), None, [said, button], queue=False, **QUIET)
    return said


def catalogue_row(engine, settings: Settings, box: gr.Textbox, said: gr.HTML) -> None:
    """Puts a search there, folded away, whose records go into `box`, and their title into `said`."""

    def look_up(query):  # an event takes its function's name, and `search` is an endpoint's
        with refusals(html):
            records = engine.search(query, settings.search_k)
        return (
            gr.Dataset(samples=[[record["title"]] for record in records], visible=bool(records)),
            records,
            _none(records),
        )

    def take(place, records):
        record = records[place]
        return clean_text(record["content"])[: settings.max_input_chars], note(
            html("pick_taken", title=record["title"])
        )

    with gr.Accordion(label("pick_record"), open=False, visible=settings.catalogue is not None):
        with gr.Row(elem_classes="controls pick"):
            query = gr.Textbox(
                label=label("pick_search"), placeholder=label("pick_hint"), lines=1, max_lines=1
            )
            find = gr.Button(label("pick_find"), scale=0, min_width=100)
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
    gr.on([query.submit, find.click], look_up, query, [chosen, found, none], queue=False, **QUIET)
    chosen.click(take, [chosen, found], [box, said], queue=False, **QUIET)


def note(*told: str) -> str:
    """Returns what stands beside the upload's button: what was told, or what may be sent. page.js shows the hidden refusal."""
    words = " ".join(told) or html("upload_note", limit=megabytes())
    return (
        f'<p class="hint" role="status">{words}</p>'
        f'<p class="hint refused" role="alert" hidden>{html("upload_large", limit=megabytes())}</p>'
    )


def _told(upload: Upload) -> Sequence[str]:
    read = html("upload_read", words=len(upload.text.split()), characters=len(upload.text))
    return read, *(html(key, **values) for key, values in upload.notes)


def _none(records: Sequence) -> str:
    return "" if records else f'<p class="hint" role="status">{html("pick_none")}</p>'
