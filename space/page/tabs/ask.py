"""The Ask tab: a conversation with both models, the records behind it, and what changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from space.engine import Engine, Info
from space.model import Turn
from space.page.api import converse_endpoint, visible_error, visible_errors
from space.page.export import export_json, export_markdown
from space.page.html import cards, changed, conversation
from space.page.tabs.parts import (
    QUIET,
    catalogue_switch,
    enabled,
    example_list,
    label,
    markup,
    question_box,
    refuse_unless_ready,
    run_on_model,
    sampling_controls,
)
from space.settings import Settings
from space.texts import html

# The temperature of another answer where the page's is 0, which would give the same one again.
AGAIN = 0.7
# A click on a button inside the turns becomes gradio's event of that name, with the turn's index.
CLICKS = """element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-event]");
  if (button) trigger(button.dataset.event, {turn: Number(button.dataset.turn)});
});"""
# The browser empties the box before the server hears of the question, so that nothing that is
# typed meanwhile is lost. While an answer is written it keeps the text: the server refuses it.
TAKE = """(text) => {
  const busy = document.querySelector('.stage [aria-busy="true"]');
  return [text, text.trim() && !busy ? "" : text];
}"""
LANGUAGE = "(turns, carried) => [turns, document.documentElement.lang]"
SAVE = """(text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "%s"}));
  link.download = "%s";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  return "";
}"""


@dataclass(frozen=True)
class Asked:
    """A question on its way to the models; `index` is its turn's."""

    question: str
    index: int
    again: bool  # another answer to the same question


@dataclass(frozen=True)
class Chat:
    """The parts of the tab that its events read and write."""

    info: Info
    past: gr.HTML
    live: gr.HTML
    shelf: gr.HTML
    changes: gr.HTML
    examples: gr.Dataset
    note: gr.HTML  # says that the last question is being edited; else empty
    box: gr.Textbox
    carried: gr.Textbox  # hidden: what the browser and a handler hand each other
    ask: gr.Button
    stop: gr.Button
    markdown: gr.Button
    json: gr.Button
    clear: gr.Button
    turns: gr.State  # list[Turn], with the one that is being written
    asked: gr.State  # Asked, until its first step came from the models; else None
    busy: gr.State  # whether an answer is being written or explained

    @property
    def conversation(self) -> list[Component]:
        """The parts that show the conversation, in the order of render()."""
        return [self.past, self.live, self.shelf]

    @property
    def controls(self) -> list[Component]:
        """The parts that depend on whether the tab is busy, in the order of states()."""
        return [self.busy, self.ask, self.stop, self.markdown, self.json, self.clear]

    def render(self, turns: list[Turn]) -> tuple[str, str, str]:
        """Render a conversation in which nothing is being written."""
        if not turns:
            return "", cards.render_pair(self.info), ""
        index = len(turns) - 1
        return (
            conversation.render_past(self.info, turns[:-1]),
            conversation.render_turn(self.info, turns[-1], index, last=True),
            conversation.render_records(turns[-1]),
        )


def states(busy: bool, turns: list[Turn]) -> tuple:
    """Return the values of Chat.controls."""
    keeps = not busy and bool(turns)
    return busy, *enabled(not busy, busy, keeps, keeps, keeps)


def ask_tab(engine: Engine, info: Info, settings: Settings) -> None:
    """Build the tab."""
    examples = engine.examples()
    with gr.Column(elem_classes="stage"):
        past = _turns("past")
        with gr.Column(elem_classes="now"):
            live, shelf = _turns("live", cards.render_pair(info)), markup("")
            changes = gr.HTML("", js_on_load=None, apply_default_css=False, elem_classes="changes")
            with gr.Row(elem_classes="keeps"):
                markdown, json, clear = (
                    gr.Button(label(key), interactive=False, scale=0, min_width=60, size="sm")
                    for key in ("chat_markdown", "chat_json", "clear")
                )
            dataset = example_list(examples, gr.Textbox(visible=False))
    with gr.Column(elem_classes="composer"):
        note = _turns("note")
        with gr.Row(elem_classes="controls asking"):
            box = question_box(autofocus=True, scale=1, min_width=120)
            ask = gr.Button(
                label("ask"), variant="primary", scale=0, min_width=104, elem_classes="ask"
            )
            stop = gr.Button(
                label("stop"), interactive=False, scale=0, min_width=104, elem_classes="stop"
            )
        with gr.Row(elem_classes="controls quietly"):
            options = [
                catalogue_switch(settings),
                *sampling_controls(settings.max_new_tokens, settings, seed=True),
            ]
            limit = settings.max_input_chars
            markup(f'<p class="hint keys" data-limit="{limit}">{html("chat_keys")}</p>')
        carried = gr.Textbox(visible="hidden", elem_classes="carried")
    chat = Chat(
        info=info,
        past=past,
        live=live,
        shelf=shelf,
        changes=changes,
        examples=dataset,
        note=note,
        box=box,
        carried=carried,
        ask=ask,
        stop=stop,
        markdown=markdown,
        json=json,
        clear=clear,
        turns=gr.State([]),
        asked=gr.State(None),
        busy=gr.State(False),
    )
    wire_conversation(chat, engine, options, bool(examples))
    wire_changes(chat, engine)
    wire_export(chat)


def _turns(name: str, value: str = "") -> gr.HTML:
    return gr.HTML(value, js_on_load=CLICKS, apply_default_css=False, elem_classes=name)


# --- questions and answers -------------------------------------------------------------------


def wire_conversation(
    chat: Chat, engine: Engine, options: list[Component], has_examples: bool
) -> None:
    """Connect asking, asking again, editing and clearing.

    `options` are use_sources, max_new_tokens, temperature and seed.
    """

    def begin(question, turns, busy, note):
        refuse_unless_ready(question, busy)
        before = turns[:-1] if note else turns
        return _begin(chat, Asked(question, len(before), again=False), turns)

    def retry(turns, busy):
        if busy:
            raise visible_error("busy", html)
        question = _last(turns)["question"]
        return _begin(chat, Asked(question, len(turns) - 1, again=True), turns)

    def finish(asked, turns, text):
        # A question that did not reach the models goes back into the box, unless there is another.
        note = box = gr.skip()
        if asked is not None and not asked.again and not text:
            box = asked.question
            if asked.index < len(turns):
                note = conversation.render_editing()
        return (
            *chat.render(turns),
            note,
            box,
            None,
            gr.Dataset(visible=has_examples and not turns),
            *states(False, turns),
        )

    def edit(turns):
        return _last(turns)["question"], conversation.render_editing()

    def clear():
        examples = gr.Dataset(visible=has_examples)
        return *chat.render([]), "", "", None, examples, *states(False, []), "", []

    taken = gr.on(
        [chat.ask.click, chat.box.submit],
        None,
        chat.box,
        [chat.carried, chat.box],
        js=TAKE,
        **QUIET,
    )
    picked = chat.examples.click(
        lambda sample: sample[0], chat.examples, chat.carried, queue=False, **QUIET
    )
    begun = [*chat.conversation, chat.changes, chat.note, chat.asked, chat.examples, *chat.controls]
    starts = []
    for event in (taken, picked):
        start = event.then(
            begin,
            [chat.carried, chat.turns, chat.busy, chat.note],
            begun,
            concurrency_limit=None,
            **QUIET,
        )
        start.failure(
            lambda text, carried: text or carried,
            [chat.box, chat.carried],
            chat.box,
            queue=False,
            **QUIET,
        )
        starts.append(start)
    again = chat.live.retry(retry, [chat.turns, chat.busy], begun, concurrency_limit=None, **QUIET)
    run_on_model(
        [*starts, again],
        write_turn(chat.info, engine),
        [chat.asked, chat.turns, *options],
        [chat.live, chat.turns, chat.shelf, chat.asked],
        finish=finish,
        finish_inputs=[chat.asked, chat.turns, chat.box],
        finish_outputs=[
            *chat.conversation,
            chat.note,
            chat.box,
            chat.asked,
            chat.examples,
            *chat.controls,
        ],
        stop=chat.stop,
    )
    chat.live.edit(edit, chat.turns, [chat.box, chat.note], queue=False, **QUIET)
    chat.note.undo(lambda: ("", ""), None, [chat.box, chat.note], queue=False, **QUIET)
    chat.clear.click(clear, None, [*begun, chat.box, chat.turns], queue=False, **QUIET)


def _last(turns: list[Turn]) -> Turn:
    """Return the last turn; a page that outlived a restart of the server shows turns it lost."""
    if not turns:
        raise visible_error("chat_gone", html)
    return turns[-1]


def _begin(chat: Chat, asked: Asked, turns: list[Turn]) -> tuple:
    """Render the moment in which a question is asked; the turns before it stay."""
    return (
        conversation.render_past(chat.info, turns[: asked.index]),
        conversation.render_waiting(chat.info, asked.question, asked.index),
        "",
        "",
        "",
        asked,
        gr.Dataset(visible=False),
        *states(True, turns),
    )


def write_turn(info: Info, engine: Engine) -> Callable:
    """Build the handler that writes a turn: the live turn, all turns, the records, no Asked."""
    converse = converse_endpoint(engine, html)

    def write(asked: Asked, turns, use_sources, max_new_tokens, temperature, seed):
        before, index, drawn = turns[: asked.index], asked.index, None
        warmer = asked.again and not temperature
        if asked.again:
            temperature, seed = temperature or AGAIN, None
        with closing(
            converse(asked.question, before, use_sources, max_new_tokens, temperature, seed)
        ) as steps:
            for step in steps:
                turn = step.as_turn(asked.question, use_sources, int(max_new_tokens))
                turn["figures"] = {**step.figures, "again": warmer}
                # The records are drawn only when their marks change: those that were opened stay so.
                cited = cards.find_citations(step.tuned, len(step.sources))
                shelf = gr.skip() if cited == drawn else conversation.render_records(turn)
                drawn = cited
                live = conversation.render_turn(info, turn, index, writing=True, last=True)
                yield live, [*before, turn], shelf, None

    return write


# --- what changed ----------------------------------------------------------------------------


def wire_changes(chat: Chat, engine: Engine) -> None:
    """Connect the question what changed, which each turn has."""
    explained = gr.State()  # the index of the turn that is being explained; else None

    def begin(turns, busy, event: gr.EventData):
        if busy:
            raise visible_error("busy", html)
        _last(turns)
        index = max(0, min(int(event.turn), len(turns) - 1))
        return changed.render_waiting(), index, *states(True, turns)

    def explain_turn(turns, index):  # gradio would give /explain's name to a handler `explain`
        turn = turns[index]
        with visible_errors(html):
            tokens = engine.explain(
                turn["question"],
                turn["tuned"],
                turn["use_sources"],
                turn["max_new_tokens"],
                turns[:index],
            )
        return changed.render_changes(tokens, "of-an-answer", turn["question"]), None

    def finish(turns, index):
        stopped = index is not None
        return "" if stopped else gr.skip(), None, *states(False, turns)

    starts = []
    for part in (chat.past, chat.live):
        start = part.select(
            begin,
            [chat.turns, chat.busy],
            [chat.changes, explained, *chat.controls],
            concurrency_limit=None,
            **QUIET,
        )
        starts.append(start)
    run_on_model(
        starts,
        explain_turn,
        [chat.turns, explained],
        [chat.changes, explained],
        finish=finish,
        finish_inputs=[chat.turns, explained],
        finish_outputs=[chat.changes, explained, *chat.controls],
        stop=chat.stop,
    )


# --- the conversation as a file --------------------------------------------------------------


def wire_export(chat: Chat) -> None:
    """Connect the buttons that save: the browser gets the text and makes the file."""
    text = gr.Textbox(visible="hidden", elem_classes="carried")

    def as_markdown(turns, page_language):
        return export_markdown(turns, chat.info, page_language)

    def as_json(turns, _page_language):
        return export_json(turns, chat.info)

    for button, export, kind, name in (
        (chat.markdown, as_markdown, "text/markdown", "shelftalk.md"),
        (chat.json, as_json, "application/json", "shelftalk.json"),
    ):
        exported = button.click(export, [chat.turns, text], text, js=LANGUAGE, queue=False, **QUIET)
        exported.success(None, text, text, js=SAVE % (kind, name), **QUIET)
