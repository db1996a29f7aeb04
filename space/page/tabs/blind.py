"""The Blind test tab: both answers in a random order, named after the visitor's vote."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from space.engine import Engine, Info
from space.errors import InputError
from space.page.api import answer_endpoint, visible_errors
from space.page.html import blind, cards
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
from space.page.votes import Ballot, Tally, Votes, make_vote, open_votes
from space.settings import Settings
from space.texts import html

# The label of each of CHOICES.
LABELS = {"a": "blind_a", "b": "blind_b", "tie": "blind_tie", "both_bad": "blind_both_bad"}
SURPRISES = 60  # questions to draw from
# A pressed button is disabled a moment later and loses the focus: it goes to the ballot, where the
# voting keys work and a screen reader goes on.
FOCUS_BALLOT = """() => {
  const ballot = document.querySelector(".ballot");
  const named = { tabindex: "-1", role: "group", "aria-labelledby": "ballot-how" };
  Object.entries(named).forEach((attribute) => ballot.setAttribute(...attribute));
  ballot.focus({ preventScroll: true });
}"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BlindTest:
    """The parts of the tab that its events read and write."""

    box: gr.Textbox
    ask: gr.Button
    surprise: gr.Button
    stop: gr.Button
    options: list[Component]  # use_sources, max_new_tokens, temperature
    pair: gr.HTML
    choices: dict[str, gr.Button]
    keep: gr.Checkbox | None  # the consent to keep votes; None: none is kept
    score: gr.HTML
    shelf: gr.HTML
    ballot: gr.State  # the Ballot that is shown, or None; a state never leaves the server
    tally: gr.State  # Tally of this visitor's votes
    busy: gr.State  # whether the answers are being written

    @property
    def controls(self) -> list[Component]:
        """The parts that depend on what the tab is doing, in the order of states()."""
        return [self.busy, self.ask, self.surprise, self.stop, *self.choices.values()]


def states(busy: bool = False, can_vote: bool = False) -> tuple:
    """Return the values of BlindTest.controls."""
    return busy, *enabled(not busy, not busy, busy, *[can_vote] * len(LABELS))


def blind_tab(engine: Engine, info: Info, settings: Settings) -> None:
    """Build the tab."""
    votes, examples = open_votes(settings), engine.examples()
    question = question_box()
    with gr.Row(elem_classes="controls asking"):
        ask = gr.Button(label("blind_ask"), variant="primary", scale=0, min_width=112)
        surprise = gr.Button(
            label("blind_surprise"), visible=bool(examples), scale=0, min_width=112
        )
        stop = gr.Button(label("stop"), interactive=False, scale=0, min_width=80)
        use_sources = catalogue_switch(settings)
    chosen = example_list(examples, question)
    options = [use_sources, *sampling_controls(settings.max_new_tokens, settings)]
    with gr.Column(elem_classes="ballot"):
        pair = markup(blind.render_pair())
        choices, keep = _voting_controls(votes)
        score = markup(blind.render_score())
    test = BlindTest(
        box=question,
        ask=ask,
        surprise=surprise,
        stop=stop,
        options=options,
        pair=pair,
        choices=choices,
        keep=keep,
        score=score,
        shelf=markup(cards.render_records()),
        ballot=gr.State(),
        tally=gr.State(Tally()),
        busy=gr.State(False),
    )
    pool = engine.examples(SURPRISES)

    def draw(before):
        return random.choice([other for other in pool if other != before] or pool)

    picks = [
        chosen.click(lambda sample: sample[0], chosen, question, queue=False, **QUIET),
        surprise.click(draw, question, question, queue=False, **QUIET),
    ]
    wire_answers(test, answer_endpoint(engine, settings, html), picks)
    wire_votes(test, info, votes)


def _voting_controls(votes: Votes | None) -> tuple[dict[str, gr.Button], gr.Checkbox | None]:
    """Build a button for each choice and, where votes can be kept, the box of consent."""
    markup(f'<p class="hint how" id="ballot-how">{html("blind_how")}</p>')
    choices = {}
    with gr.Row(elem_classes="controls votes"):
        for choice, key in LABELS.items():
            choices[choice] = gr.Button(label(key), interactive=False, min_width=120)
    with gr.Row(elem_classes="consent"):
        if votes is None:
            markup(f'<p class="hint">{html("blind_keep_none")}</p>')
            return choices, None
        keep = gr.Checkbox(False, label=label("blind_keep"), container=False)
        markup(blind.render_consent(votes.repo, votes.private))
    return choices, keep


def wire_answers(test: BlindTest, answer: Callable, picks: list[Dependency]) -> None:
    """Connect asking; `picks` are events that put a question into the box, which is then asked."""

    def begin(question, busy):
        refuse_unless_ready(question, busy)
        ballot = Ballot(question)
        pair = blind.render_pair(ballot, writing=True)
        return pair, None, cards.render_records(), *states(busy=True)

    def write(question, use_sources, max_new_tokens, temperature):
        options = {
            "use_sources": use_sources,
            "max_new_tokens": int(max_new_tokens),
            "temperature": float(temperature),
        }
        ballot, drawn = Ballot(question, options), None
        with closing(answer(question, use_sources, max_new_tokens, temperature)) as answers:
            for base, tuned, sources in answers:
                ballot.answers, ballot.sources = {"base": base, "tuned": tuned}, len(sources)
                cited = set()
                for text in (base, tuned):
                    cited |= cards.find_citations(text, len(sources))
                shelf = gr.skip()
                if drawn != (sources, cited):
                    shelf = cards.render_records(sources, cited)
                drawn = sources, cited
                yield blind.render_pair(ballot, writing=True), ballot, shelf
        ballot.ended = True

    def finish(question, ballot):
        can_vote = ballot is not None and ballot.ended
        return blind.render_pair(ballot or Ballot(question)), *states(can_vote=can_vote)

    drawn = [test.pair, test.ballot, test.shelf]
    reads, writes = [test.box, test.busy], [*drawn, *test.controls]
    starts = [
        gr.on(
            [test.ask.click, test.box.submit], begin, reads, writes, concurrency_limit=None, **QUIET
        )
    ]
    for pick in picks:
        starts.append(pick.then(begin, reads, writes, concurrency_limit=None, **QUIET))
    run_on_model(
        starts,
        write,
        [test.box, *test.options],
        drawn,
        finish=finish,
        finish_inputs=[test.box, test.ballot],
        finish_outputs=[test.pair, *test.controls],
        stop=test.stop,
    )
    for start in starts:
        start.success(None, js=FOCUS_BALLOT)


def wire_votes(test: BlindTest, info: Info, votes: Votes | None) -> None:
    """Connect the buttons that vote: only a vote that counts shows names and score."""

    def keep(ballot: Ballot, verdict: str) -> None:
        assert votes is not None
        try:
            votes.keep(make_vote(ballot, verdict, info))
        except OSError as error:
            log.exception("a vote could not be kept")
            raise InputError("vote_lost") from error

    def vote(choice: str, ballot: Ballot | None, tally: Tally, agreed=False):
        with visible_errors(html):
            if ballot is None:
                raise InputError("vote_none")
            kept = votes is not None and agreed is True
            verdict = ballot.vote(choice, partial(keep, ballot) if kept else None)
        tally = tally.plus(verdict)
        everyone = votes.tally(info) if votes else None
        score = blind.render_score(ballot, tally, everyone)
        return blind.render_revealed(ballot, info), score, tally, *states()

    reads: list[Component] = [test.ballot, test.tally]
    if test.keep:
        reads.append(test.keep)
    for choice, button in test.choices.items():
        voted = button.click(
            partial(vote, choice),
            reads,
            [test.pair, test.score, test.tally, *test.controls],
            queue=False,
            **QUIET,
        )
        voted.success(None, js=FOCUS_BALLOT)
