"""Controls and events that several tabs share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from space.engine import Engine
from space.page.api import model_queue, visible_error
from space.page.small_talk import small_talk_language
from space.settings import TEMPERATURE_LIMIT, TOKEN_LIMIT, Settings
from space.texts import LANGUAGES, TEXTS, html

PREFIX = "shelftalk_"  # of each key, so that none is one of gradio's own texts
# Filled by label(): a browser is sent the labels of gradio's parts, not every text of the page.
_labels: dict[str, dict[str, str]] = {language: {} for language in LANGUAGES}
I18N = gr.I18n(**_labels, **{"pt-BR": _labels["pt"]})


class Private(TypedDict):
    show_progress: Literal["hidden", "minimal"]
    api_visibility: Literal["private"]


class AtOnce(Private):
    queue: bool


class Begin(Private):
    concurrency_limit: int | None


QUIET: Private = {"show_progress": "hidden", "api_visibility": "private"}
# For a handler that answers at once, and for one that begins what then runs on the model.
AT_ONCE: AtOnce = {**QUIET, "queue": False}
BEGIN: Begin = {**QUIET, "concurrency_limit": None}
# For a handler that waits for the model: gradio writes its place in the queue into the page, where
# page.js reads it for the cards.
QUEUED: Private = {"show_progress": "minimal", "api_visibility": "private"}


# The browser makes the file.
SAVE = """(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "%s"}));
  link.download = "%s";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return "";
}"""


def run_on_model(
    engine: Engine,
    starts: Sequence[Dependency],
    write: Callable,
    inputs: Sequence[Component],
    outputs: Sequence[Component],
    *,
    finish: Callable,
    finish_inputs: Sequence[Component],
    finish_outputs: Sequence[Component],
    stop: gr.Button,
) -> None:
    """Run `write` on the model after each start, and then `finish`.

    `finish` also follows an error and the `stop` button, which cancels `write`. The progress is
    shown on the first output.
    """
    runs, model = [], model_queue(engine)
    for start in starts:
        run = start.success(write, inputs, outputs, show_progress_on=outputs[0], **model, **QUEUED)
        # `then` follows an end or a stop, `failure` an error. A handler of the stop button would
        # be too early: the model's last words could come after it.
        for after in (run.then, run.failure):
            after(finish, finish_inputs, finish_outputs, **AT_ONCE)
        runs.append(run)
    stop.click(None, cancels=runs)


def refuse_unless_ready(text: str, busy: bool) -> None:
    """Raise an error for an empty text and for a busy tab."""
    if not text.strip():
        raise visible_error("empty", html)
    if busy:
        raise visible_error("busy", html)


def is_small_talk(engine: Engine, question: str) -> bool:
    """Recognise what the page answers itself, which no record's title is."""
    if small_talk_language(question) is None:
        return False
    hits = engine.search(question, 1)
    return not hits or hits[0]["title"].casefold() != question.strip().casefold()


def page_language(request: gr.Request) -> str:
    """Return "pt" where the browser wants Portuguese first, else "en"."""
    wanted = request.headers.get("accept-language") or ""
    return "pt" if wanted.strip().lower().startswith("pt") else "en"


def label(key: str):
    """Return a text that the browser shows in the page's language."""
    for language in LANGUAGES:
        _labels[language][PREFIX + key] = TEXTS[key][language]
    return I18N(PREFIX + key)


def markup(value: str, **options) -> gr.HTML:
    """Build a part that shows HTML as it is."""
    return gr.HTML(value, js_on_load=None, apply_default_css=False, **options)


def question_box(**options) -> gr.Textbox:
    """Build the box for a question."""
    return gr.Textbox(
        label=label("question"),
        placeholder=label("question_hint"),
        lines=1,
        max_lines=6,
        elem_classes="question",
        **options,
    )


def catalogue_switch(settings: Settings) -> gr.Checkbox:
    """Build the switch between answers from the catalogue and from memory."""
    has_catalogue = settings.catalogue is not None
    return gr.Checkbox(
        has_catalogue,
        label=label("use_sources"),
        interactive=has_catalogue,
        container=False,
        info=label("use_sources_info" if has_catalogue else "no_catalogue"),
    )


def example_list(examples: Sequence[str], component: gr.Textbox) -> gr.Dataset:
    """Build the list of questions to pick from, hidden without any."""
    return gr.Dataset(
        components=[component],
        samples=[[text] for text in examples],
        type="values",
        label=label("examples"),
        visible=bool(examples),
        elem_classes="examples",
    )


def sampling_controls(tokens: int, settings: Settings, seed: bool = False) -> list[Component]:
    """Build the folded controls of length, temperature and, if wanted, seed."""
    with gr.Accordion(label("settings"), open=False):
        controls: list[Component] = [
            gr.Slider(1, TOKEN_LIMIT, tokens, step=1, label=label("max_new_tokens")),
            gr.Slider(
                0, TEMPERATURE_LIMIT, settings.temperature, step=0.05, label=label("temperature")
            ),
        ]
        if seed:
            controls.append(
                # An empty gr.Number shows 0, a seed like any other.
                gr.Textbox(label=label("chat_seed"), lines=1, max_lines=1, elem_classes="seed")
            )
    return controls


def enabled(*states: bool) -> tuple[gr.Button, ...]:
    """Build the updates that enable or disable buttons."""
    return tuple(gr.Button(interactive=state) for state in states)


def first_of(sample: list[str]) -> str:
    return sample[0]
