"""The tab How it works: six chapters on a visitor's own text, computed when they are opened."""

from __future__ import annotations

import gradio as gr

from space.engine import Engine, Info
from space.errors import InputError
from space.page.api import model_queue, visible_error, visible_errors
from space.page.html import how
from space.page.tabs.parts import AT_ONCE, QUIET, label, markup
from space.settings import Settings
from space.texts import html, words

# Shows the panel of the token or stop that is chosen, and sends a click on a button inside.
EVENTS = """element.addEventListener("change", (event) => {
  const reader = event.target.closest(".reader");
  if (!reader || event.target.dataset.at === undefined) return;
  for (const panel of reader.querySelectorAll(".panel")) {
    panel.hidden = panel.dataset.at !== event.target.dataset.at;
  }
});
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-event]");
  if (!button) return;
  const {first, second} = button.dataset;
  trigger(button.dataset.event, {first: Number(first), second: Number(second)});
});"""


class HowTab:
    """The tab's layout and the handlers of its events."""

    def __init__(self, engine: Engine, info: Info, settings: Settings) -> None:
        self.engine, self.inside, self.model = engine, engine.inside, model_queue(engine)
        markup(f'<p class="hint how-intro">{html("how_intro")}</p>')
        self.box = gr.Textbox(words("how_example"), label=label("how_text"), lines=3, max_lines=8)
        with gr.Row(elem_classes="controls looking"):
            self.look = gr.Button(label("how_look"), variant="primary", scale=0, min_width=150)
            self.take = gr.Button(
                label("how_take"), scale=0, min_width=150, visible=settings.catalogue is not None
            )
        with gr.Column(elem_classes="choosing chapters"):
            names = [(label(key), name) for name, key in how.CHAPTERS.items()]
            self.chapter = gr.Radio(names, value="tokens", label=label("how_chapter"))
        layers, heads = self.inside.shape
        with gr.Row(visible=False, elem_classes="head-choice") as self.at:
            self.layer = gr.Slider(1, layers, 1, step=1, label=label("how_layer"))
            self.head = gr.Slider(1, heads, 1, step=1, label=label("how_head"))
        self.picture = picture()
        with gr.Column(visible=False, elem_classes="trying") as self.trying:
            self.question = gr.Textbox(
                label=label("how_question"), placeholder=label("question_hint"), max_lines=3
            )
            with gr.Row(elem_classes="controls looking"):
                self.answer = gr.Button(
                    label("how_answer"), variant="primary", scale=0, min_width=210
                )
                self.bits = gr.Button(label("how_bits"), scale=0, min_width=210)
            self.strengths, self.cost = picture(), picture()
        with gr.Column(visible=False, elem_classes="trying") as self.training:
            self.same_question = gr.Textbox(
                label=label("how_transfer_question"),
                placeholder=label("question_hint"),
                max_lines=3,
            )
            with gr.Row(elem_classes="controls looking"):
                self.along = gr.Button(
                    label("how_transfer_answer"), variant="primary", scale=0, min_width=210
                )
            self.transfer = picture()
        self.number = gr.State(0)  # of the next record of the catalogue
        self.ids = gr.State([])  # the text of the guesses, in tokens
        self.drawn = gr.State(False)  # whether the tab was opened before
        self.wire()

    def wire(self) -> None:
        """Connect every control with what it computes."""
        drawn = self.outputs()
        starts = [self.look.click, self.box.submit, self.chapter.input]
        self.draws(gr.on(starts, how.render_waiting, None, self.picture, **AT_ONCE), drawn)
        taken = self.take.click(self.record, self.number, [self.box, self.number], **AT_ONCE)
        self.draws(taken, drawn)
        self.picture.select(self.go_on, self.ids, [self.picture, self.ids], **self.model, **QUIET)
        head = [self.box, self.layer, self.head]
        gr.on(
            [self.layer.release, self.head.release],
            self.show_head,
            head,
            self.picture,
            trigger_mode="always_last",
            **self.model,
            **QUIET,
        )
        self.picture.edit(
            self.show_named,
            self.box,
            [self.picture, self.layer, self.head],
            **self.model,
            **QUIET,
        )
        for button, compute, source, shown in (
            (self.answer, self.answer_strengths, self.question, [self.strengths, self.question]),
            (self.bits, self.show_cost, self.box, [self.cost]),
            (
                self.along,
                self.answer_along_training,
                self.same_question,
                [self.transfer, self.same_question],
            ),
        ):
            start = button.click(how.render_waiting, None, shown[0], **AT_ONCE)
            run = start.success(compute, source, shown, **self.model, **QUIET)
            run.failure(lambda: "", None, shown[0], **AT_ONCE)

    def outputs(self) -> list:
        """List what a chapter changes."""
        shown = [self.at, self.trying, self.training]
        return [self.picture, self.ids, *shown, self.layer, self.head]

    def draws(self, start, drawn: list) -> None:
        """Draw the chosen chapter after an event."""
        run = start.success(self.show, [self.box, self.chapter], drawn, **self.model, **QUIET)
        run.failure(lambda: "", None, self.picture, **AT_ONCE)

    def open_with(self, tab: gr.Tab) -> None:
        """Draw the first chapter when the tab is opened."""
        tab.select(
            self.show_first,
            [self.box, self.chapter, self.drawn],
            [self.drawn, *self.outputs()],
            **self.model,
            **QUIET,
        )

    def show_first(self, text, chapter, drawn):
        if drawn:
            return tuple(gr.skip() for _ in range(8))
        return True, *self.show(text, chapter)

    def show(self, text, chapter):
        """Compute a chapter, or say why this base cannot show it."""
        ids: list[int] = []
        layer = head = gr.skip()
        snapshots = False
        with visible_errors(html):
            try:
                if chapter == "tokens":
                    shown = how.render_tokens(self.inside.tokens(text))
                elif chapter == "guesses":
                    guesses = self.inside.guesses(text)
                    ids, shown = guesses.ids, how.render_guesses(guesses)
                elif chapter == "near":
                    shown = how.render_near(self.inside.neighbours(text), text)
                elif chapter == "attention":
                    attention = self.inside.attention(text)
                    layer, head = attention.layer + 1, attention.head + 1
                    shown = how.render_attention(attention)
                elif chapter == "tuning":
                    shown = how.render_tuning(self.inside.adapter())
                else:
                    shown = how.render_snapshots(self.inside.snapshots())
                    snapshots = True
            except InputError as error:
                if not error.key.startswith("how_"):
                    raise
                shown = how.render_refused(chapter, error.key, error.values)
        at, trying = gr.Row(visible=chapter == "attention"), gr.Column(visible=chapter == "tuning")
        return shown, ids, at, trying, gr.Column(visible=snapshots), layer, head

    def record(self, number):
        """Put the catalogue's next record into the box."""
        with visible_errors(html):
            return self.inside.record(number), number + 1

    def go_on(self, ids, event: gr.EventData):
        """Write a guess at its place, and read on."""
        first, second = chosen(event)
        if not 0 <= first <= len(ids):
            raise visible_error("how_gone", html)
        with visible_errors(html):
            guesses = self.inside.guesses_after([*ids[:first], second])
        return how.render_guesses(guesses), guesses.ids

    def show_head(self, text, layer, head):
        with visible_errors(html):
            return how.render_attention(self.inside.attention(text, int(layer) - 1, int(head) - 1))

    def show_named(self, text, event: gr.EventData):
        layer, head = chosen(event)
        shown = self.show_head(text, layer + 1, head + 1)
        return shown, layer + 1, head + 1

    def answer_strengths(self, question):
        """Answer with each strength.

        An empty box asks about the catalogue's first record.
        """
        with visible_errors(html):
            question = self.or_example(question)
            answers = self.inside.strengths(question)
        return how.render_strengths(answers, question), question

    def answer_along_training(self, question):
        """Answer with the base, each snapshot and the adapter, as answer_strengths does."""
        with visible_errors(html):
            question = self.or_example(question)
            transfer = self.inside.transfer(question)
        return how.render_transfer(transfer, question), question

    def or_example(self, question) -> str:
        return question if (question or "").strip() else (self.engine.examples(1) or [""])[0]

    def show_cost(self, text):
        with visible_errors(html):
            try:
                return how.render_cost(self.inside.precision_cost(text))
            except InputError as error:
                if not error.key.startswith("how_"):
                    raise
                return how.render_cost_refused(error.key, error.values)


def picture() -> gr.HTML:
    """Build an empty part whose buttons are events."""
    return gr.HTML("", js_on_load=EVENTS, apply_default_css=False, elem_classes="how-part")


def chosen(event: gr.EventData) -> tuple[int, int]:
    """Read a button's two numbers, which a browser may have changed."""
    try:
        return int(event.first), int(event.second)
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise visible_error("how_gone", html) from error
