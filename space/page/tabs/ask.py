"""The Ask tab: a conversation with both models, the records behind it, and what changed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import cast

import gradio as gr
from gradio.components import Component

from space.engine import Engine, Info
from space.model import Figures, Turn
from space.page.api import converse_endpoint, silent_error, visible_error, visible_errors
from space.page.export import export_json, export_markdown
from space.page.html import cards, changed, conversation
from space.page.kept import (
    DRAFT,
    pack,
    recall,
    store,
    store_conversation,
    store_settings,
    unpack,
)
from space.page.small_talk import small_talk_language
from space.page.tabs.parts import (
    AT_ONCE,
    BEGIN,
    QUIET,
    SAVE,
    catalogue_switch,
    enabled,
    example_list,
    first_of,
    is_small_talk,
    label,
    markup,
    page_language,
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
  const {event: name, turn, version} = button?.dataset ?? {};
  if (button) trigger(name, {turn: Number(turn), version: Number(version ?? 0)});
});"""
# The browser empties the box before the server hears of the question, so that nothing that is
# typed meanwhile is lost. While an answer is written it keeps the text: the server refuses it.
TAKE = """(text) => {
  const busy = document.querySelector('.stage [aria-busy="true"]');
  return [text, text.trim() && !busy ? "" : text];
}"""
# A refused question goes back into the box, unless there is another. A round trip to the server
# would overwrite what a visitor types meanwhile.
GIVE_BACK = f"""(text, question) => {{
  ({store(DRAFT)})(text || question);
  return text || question;
}}"""
LANGUAGE = "(turns, kept, carried) => [turns, kept, document.documentElement.lang]"
VERSIONS = 10  # of one answer, the newest


@dataclass(frozen=True)
class Asked:
    """A question on its way to the models."""

    question: str
    index: int  # of its turn
    again: bool  # another answer to the same question


class AskTab:
    """The tab's layout and states, and the handlers of its events."""

    def __init__(self, engine: Engine, info: Info, settings: Settings) -> None:
        self.engine, self.info = engine, info
        self.converse = converse_endpoint(engine, html)
        examples = engine.mixed_examples()
        self.has_examples = bool(examples)
        self.first_example = examples[0] if examples else ""
        with gr.Column(elem_classes="stage"):
            self.past = _turns("past")
            with gr.Column(elem_classes="now"):
                self.live, self.shelf = _turns("live", conversation.render_idle()), markup("")
                self.changes = markup("", elem_classes="changes")
                with gr.Row(elem_classes="keeps"):
                    self.markdown, self.json, self.clear = (
                        gr.Button(label(key), interactive=False, scale=0, min_width=60, size="sm")
                        for key in ("chat_markdown", "chat_json", "chat_anew")
                    )
                self.examples = example_list(examples, gr.Textbox(visible=False))
        with gr.Column(elem_classes="composer"):
            self.aside = _turns("aside")  # what the page itself answers, and the way back
            self.note = _turns("note")  # says that the last question is being edited; else empty
            with gr.Row(elem_classes="controls asking"):
                self.box = question_box(autofocus=True, scale=1, min_width=120)
                self.ask = gr.Button(
                    label("ask"), variant="primary", scale=0, min_width=104, elem_classes="ask"
                )
                self.stop = gr.Button(
                    label("stop"), interactive=False, scale=0, min_width=104, elem_classes="stop"
                )
            with gr.Row(elem_classes="controls quietly"):
                use_sources = catalogue_switch(settings)
                sampling = sampling_controls(settings.max_new_tokens, settings, seed=True)
                data = f'data-limit="{settings.max_input_chars}" data-draft="{DRAFT}"'
                markup(f'<p class="hint keys" {data}>{html("chat_keys")}</p>')
            # Hidden: what the browser and a handler hand each other.
            self.carried, self.kept, self.found, self.ended = (
                gr.Textbox(visible="hidden", elem_classes="carried") for _ in range(4)
            )
        # list[Turn], with the one that is being written. The server forgets it after a while:
        # `kept` is the browser's own copy, `found` what it had when the page was opened, `ended`
        # the conversation before the last Start anew.
        self.turns = gr.State([])
        self.asked = gr.State()  # Asked, until its first step came from the models; else None
        self.busy = gr.State(False)  # whether an answer is being written or explained
        self.conversation = [self.past, self.live, self.shelf]  # see render()
        keeps = [self.markdown, self.json, self.clear]
        self.controls = [self.busy, self.ask, self.stop, *keeps]  # see states()
        self.begun = [*self.conversation, self.changes, self.note, self.asked, self.examples]
        self.begun += [self.aside, self.turns, *self.controls]
        options: list[Component] = [use_sources, *sampling]
        self.wire_asking(options)
        self.wire_keeping(options, settings)
        self.wire_changes()
        self.wire_export()

    def render(self, turns: list[Turn]) -> tuple[str, str, str]:
        """Render a conversation in which nothing is being written."""
        if not turns:
            return "", conversation.render_idle(), ""
        past, last = turns[:-1], turns[-1]
        return (
            conversation.render_past(self.info, past),
            conversation.render_turn(self.info, last, len(past), last=True),
            conversation.render_records(last),
        )

    def states(self, turns: list[Turn], busy: bool = False) -> tuple:
        """Return the values of the controls."""
        keeps = not busy and bool(turns)
        return busy, *enabled(not busy, busy, keeps, keeps, keeps)

    # --- questions and answers ---

    def wire_asking(self, options: list[Component]) -> None:
        asks = [self.ask.click, self.box.submit]
        taken = gr.on(asks, None, self.box, [self.carried, self.box], js=TAKE, **QUIET)
        picked = self.examples.click(first_of, self.examples, self.carried, **AT_ONCE)
        starts = []
        for event in (taken, picked):
            reads = [self.carried, self.turns, self.kept, self.busy, self.note]
            start = event.then(self.begin, reads, self.begun, **BEGIN)
            refused = start.failure(
                self.answer_itself, self.carried, [self.aside, self.carried], **AT_ONCE
            )
            refused.then(None, [self.box, self.carried], self.box, js=GIVE_BACK, **QUIET)
            starts.append(start)
        reads = [self.turns, self.kept, self.busy]
        starts.append(self.live.retry(self.retry, reads, self.begun, **BEGIN))
        edited = [self.box, self.note]
        run_on_model(
            self.engine,
            starts,
            self.write,
            [self.asked, self.turns, *options],
            [self.live, self.turns, self.shelf, self.asked],
            finish=self.finish,
            finish_inputs=[self.asked, self.turns, self.box],
            finish_outputs=[
                *self.conversation,
                *edited,
                self.asked,
                self.examples,
                self.turns,
                self.kept,
                *self.controls,
            ],
            stop=self.stop,
        )
        self.live.edit(self.edit, [self.turns, self.kept], edited, **AT_ONCE)
        self.note.undo(lambda: ("", ""), None, edited, **AT_ONCE)
        self.live.option_select(
            self.show_version,
            [self.turns, self.kept, self.busy],
            [*self.conversation, self.changes, self.turns, self.kept],
            **AT_ONCE,
        )

    def begin(self, question, turns, kept, busy, note):
        refuse_unless_ready(question, busy)
        if is_small_talk(self.engine, question):
            raise silent_error()
        turns = turns or unpack(kept)
        before = turns[:-1] if note else turns
        return self.draw_asked(Asked(question, len(before), again=False), turns)

    def answer_itself(self, question):
        """Answer small talk, and empty what would go back into the box."""
        if not is_small_talk(self.engine, question):
            return gr.skip(), gr.skip()
        language = small_talk_language(question) or ""
        return conversation.render_aside(language, self.first_example), ""

    def retry(self, turns, kept, busy):
        if busy:
            raise visible_error("busy", html)
        turns = turns or unpack(kept)
        question = last_of(turns)["question"]
        return self.draw_asked(Asked(question, len(turns) - 1, again=True), turns)

    def draw_asked(self, asked: Asked, turns: list[Turn]) -> tuple:
        """Return the values of `begun` when a question is asked."""
        past = conversation.render_past(self.info, turns[: asked.index])
        live = conversation.render_waiting(self.info, asked.question, asked.index)
        examples = gr.Dataset(visible=False)
        return past, live, "", "", "", asked, examples, "", turns, *self.states(turns, busy=True)

    def write(
        self,
        asked: Asked,
        turns,
        use_sources,
        max_new_tokens,
        temperature,
        seed,
        request: gr.Request,
    ):
        """Write a turn, step by step."""
        before, index, drawn = turns[: asked.index], asked.index, None
        ended: list[Turn] = []
        live = ""
        warmer = asked.again and not temperature
        if asked.again:
            temperature, seed = temperature or AGAIN, None
        steps = self.converse(
            asked.question,
            before,
            use_sources,
            max_new_tokens,
            temperature,
            seed,
            page_language(request),
        )
        with closing(steps):
            for step in steps:
                turn: Turn = step.as_turn(asked.question, use_sources, int(max_new_tokens))
                # So it stands if no other step comes.
                figures = {**step.figures, "again": warmer, "stopped": True}
                turn["figures"] = cast(Figures, figures)
                if asked.again:
                    turn = add_version(turns[asked.index], turn)
                # Records are drawn only when their marks change, so that opened ones stay open.
                cited = cards.find_citations(step.tuned, len(step.sources))
                shelf = gr.skip() if cited == drawn else conversation.render_records(turn)
                drawn = cited
                live = conversation.render_turn(self.info, turn, index, writing=True, last=True)
                ended = [*before, turn]
                yield live, ended, shelf, None
        if ended:
            ended[-1]["figures"].pop("stopped")  # in its version too, which has the same figures
            yield live, ended, gr.skip(), None

    def finish(self, asked, turns, text):
        # A question that did not reach the models goes back into the box, unless there is another.
        note = box = gr.skip()
        if asked is not None and not asked.again and not text:
            box = asked.question
            if asked.index < len(turns):
                note = conversation.render_editing()
        turns = drop_empty_version(turns)
        examples = gr.Dataset(visible=self.has_examples and not turns)
        shown = self.render(turns)
        return *shown, box, note, None, examples, turns, pack(turns), *self.states(turns)

    def edit(self, turns, kept):
        question = last_of(turns or unpack(kept))["question"]
        return question, conversation.render_editing()

    def show_version(self, turns, kept, busy, event: gr.EventData):
        """Show another version of the last answer."""
        if busy:
            raise visible_error("busy", html)
        turns = turns or unpack(kept)
        versions = last_of(turns).get("versions", [])
        version = max(0, min(int(event.version), len(versions) - 1))
        if versions:
            shown: Turn = {**versions[version], "versions": versions, "version": version}
            turns = [*turns[:-1], shown]
        return *self.render(turns), "", turns, pack(turns)

    # --- what the browser keeps ---

    def wire_keeping(self, options: list[Component], settings: Settings) -> None:
        """Store conversation, draft and settings in the browser's tab."""
        first = [settings.catalogue is not None, settings.max_new_tokens, settings.temperature, ""]
        found = [self.kept, self.found, *options]
        script = recall(first, settings.catalogue is not None)
        gr.on(None, None, None, found, js=script, **QUIET)
        self.kept.change(None, self.kept, None, js=store_conversation(), **QUIET)
        changes = [option.change for option in options]  # pyright: ignore[reportAttributeAccessIssue]
        gr.on(changes, None, options, None, js=store_settings(), **QUIET)
        drawn = [*self.conversation, self.examples, self.aside, self.turns, self.kept]
        drawn += self.controls
        self.found.change(self.bring_back, [self.found, self.turns], drawn, **AT_ONCE)
        self.clear.click(
            self.start_over,
            [self.turns, self.kept],
            [*self.begun, self.box, self.kept, self.ended],
            **AT_ONCE,
        )
        self.aside.undo(self.bring_back, [self.ended, self.turns], drawn, **AT_ONCE)

    def bring_back(self, text, turns):
        """Show a conversation that the browser kept, unless another has begun."""
        found = unpack(text)
        examples = gr.Dataset(visible=self.has_examples and not found)
        if turns:
            return (gr.skip(),) * (7 + len(self.controls))
        return *self.render(found), examples, "", found, pack(found), *self.states(found)

    def start_over(self, turns, kept):
        """End the conversation, and offer the way back."""
        ended = pack(turns or unpack(kept))
        examples = gr.Dataset(visible=self.has_examples)
        undo = conversation.render_undo() if ended else ""
        begun = (*self.render([]), "", "", None, examples, undo, [], *self.states([]))
        return *begun, "", "", ended

    # --- what changed ---

    def wire_changes(self) -> None:
        explained = gr.State()  # the index of the turn that is being explained; else None
        starts = []
        for part in (self.past, self.live):
            drawn = [self.changes, explained, self.turns, *self.controls]
            starts.append(
                part.select(
                    self.begin_to_explain, [self.turns, self.kept, self.busy], drawn, **BEGIN
                )
            )
        run_on_model(
            self.engine,
            starts,
            self.explain_turn,
            [self.turns, explained],
            [self.changes, explained],
            finish=self.finish_explaining,
            finish_inputs=[self.turns, explained],
            finish_outputs=[self.changes, explained, *self.controls],
            stop=self.stop,
        )

    def begin_to_explain(self, turns, kept, busy, event: gr.EventData):
        if busy:
            raise visible_error("busy", html)
        turns = turns or unpack(kept)
        last_of(turns)
        index = max(0, min(int(event.turn), len(turns) - 1))
        return changed.render_waiting(), index, turns, *self.states(turns, busy=True)

    def explain_turn(self, turns, index, request: gr.Request):
        turn, before = turns[index], turns[:index]
        with visible_errors(html):
            tokens = self.engine.explain(
                turn["question"],
                turn["tuned"],
                turn["use_sources"],
                turn["max_new_tokens"],
                before,
                page_language(request),
            )
        shown = changed.render_changes(tokens, "of-an-answer", turn["question"], turn["sources"])
        return shown, None

    def finish_explaining(self, turns, index):
        changes = gr.skip() if index is None else ""  # stopped or failed
        return changes, None, *self.states(turns)

    # --- the conversation as a file ---

    def wire_export(self) -> None:
        """Connect the buttons that save: the browser makes the file."""
        text = gr.Textbox(visible="hidden", elem_classes="carried")
        for button, export, kind, name in (
            (self.markdown, self.export_markdown, "text/markdown", "shelftalk.md"),
            (self.json, self.export_json, "application/json", "shelftalk.json"),
        ):
            reads = [self.turns, self.kept, text]
            exported = button.click(export, reads, text, js=LANGUAGE, **AT_ONCE)
            exported.success(None, text, text, js=SAVE % (kind, name), **QUIET)

    def export_markdown(self, turns, kept, page_language):
        return export_markdown(turns or unpack(kept), self.info, page_language)

    def export_json(self, turns, kept, _page_language):
        return export_json(turns or unpack(kept), self.info)


def add_version(before: Turn, turn: Turn) -> Turn:
    """Add a version to those of the turn before it."""
    first: Turn = {**before}
    first.pop("version", None)
    versions = [*(first.pop("versions", None) or [first]), turn][-VERSIONS:]
    return {**turn, "versions": versions, "version": len(versions) - 1}


def drop_empty_version(turns: list[Turn]) -> list[Turn]:
    """Drop the last turn's newest version if it is empty."""
    last = turns[-1] if turns else None
    versions = last.get("versions", []) if last else []
    if last is None or len(versions) < 2 or last["base"] or last["tuned"]:
        return turns
    versions = versions[:-1]
    shown: Turn = {**versions[-1]}
    if len(versions) > 1:
        shown = {**shown, "versions": versions, "version": len(versions) - 1}
    return [*turns[:-1], shown]


def last_of(turns: list[Turn]) -> Turn:
    """Return the last turn."""
    if not turns:  # the page outlived a restart of the server, which lost its turns
        raise visible_error("chat_gone", html)
    return turns[-1]


def _turns(name: str, value: str = "") -> gr.HTML:
    return gr.HTML(value, js_on_load=CLICKS, apply_default_css=False, elem_classes=name)
