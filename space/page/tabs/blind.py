"""The Blind test tab: both answers in a random order, named after the visitor's vote."""

from __future__ import annotations

import logging
import random
from contextlib import closing
from functools import partial

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from space.engine import Engine, Info
from space.errors import InputError
from space.page.api import answer_endpoint, visible_error, visible_errors
from space.page.html import blind, cards
from space.page.tabs.parts import (
    AT_ONCE,
    BEGIN,
    catalogue_switch,
    enabled,
    example_list,
    first_of,
    is_small_talk,
    label,
    markup,
    question_box,
    refuse_unless_ready,
    run_on_model,
    sampling_controls,
)
from space.page.votes import Ballot, Tally, Votes, current_address, make_vote, open_votes
from space.page.watch import Watched
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


class BlindTab:
    """The tab's layout and states, and the handlers of its events.

    The states never leave the server, so that a browser cannot tell whose an answer is.
    """

    def __init__(self, engine: Engine, info: Info, settings: Settings) -> None:
        self.engine, self.info, self.votes = engine, info, open_votes(settings)
        self.answer = answer_endpoint(engine, settings, html)
        self.surprises, examples = engine.examples(SURPRISES), engine.examples()
        self.box = question_box()
        with gr.Row(elem_classes="controls asking"):
            self.ask = gr.Button(label("blind_ask"), variant="primary", scale=0, min_width=112)
            self.surprise = gr.Button(
                label("blind_surprise"), visible=bool(examples), scale=0, min_width=112
            )
            self.stop = gr.Button(label("stop"), interactive=False, scale=0, min_width=80)
            use_sources = catalogue_switch(settings)
        chosen = example_list(examples, self.box)
        sampling = sampling_controls(settings.max_new_tokens, settings)
        with gr.Column(elem_classes="ballot"):
            self.pair = markup(blind.render_pair())
            markup(f'<p class="hint how" id="ballot-how">{html("blind_how")}</p>')
            with gr.Row(elem_classes="controls votes"):
                self.choices = {
                    choice: gr.Button(label(key), interactive=False, min_width=120)
                    for choice, key in LABELS.items()
                }
            with gr.Row(elem_classes="consent"):
                self.consent = build_consent(self.votes)
            self.score = markup(blind.render_score())
        self.shelf = markup(cards.render_records())
        self.ballot = gr.State()  # the Ballot that is shown, or None
        self.tally = gr.State(Tally())  # of this visitor's votes
        self.busy = gr.State(False)  # whether the answers are being written
        buttons = [self.ask, self.surprise, self.stop, *self.choices.values()]
        self.controls = [self.busy, *buttons]  # see states()
        picks = [
            chosen.click(first_of, chosen, self.box, **AT_ONCE),
            self.surprise.click(self.draw_surprise, self.box, self.box, **AT_ONCE),
        ]
        self.wire_asking(picks, [use_sources, *sampling])
        self.wire_voting()

    def states(self, busy: bool = False, can_vote: bool = False) -> tuple:
        """Return the values of the controls."""
        return busy, *enabled(not busy, not busy, busy, *[can_vote] * len(LABELS))

    # --- questions and answers ---

    def wire_asking(self, picks: list[Dependency], options: list[Component]) -> None:
        """Connect asking, which also follows a picked question."""
        drawn = [self.pair, self.ballot, self.shelf]
        reads = [self.box, self.busy, self.tally]
        begun = [*drawn, self.score, *self.controls]
        starts = [gr.on([self.ask.click, self.box.submit], self.begin, reads, begun, **BEGIN)]
        for pick in picks:
            starts.append(pick.then(self.begin, reads, begun, **BEGIN))
        run_on_model(
            self.engine,
            starts,
            self.write,
            [self.box, *options],
            drawn,
            finish=self.finish,
            finish_inputs=[self.box, self.ballot],
            finish_outputs=[self.pair, *self.controls],
            stop=self.stop,
        )
        for start in starts:
            start.success(None, js=FOCUS_BALLOT)

    def draw_surprise(self, question):
        others = [other for other in self.surprises if other != question]
        return random.choice(others or self.surprises)

    def begin(self, question, busy, tally):
        refuse_unless_ready(question, busy)
        if is_small_talk(self.engine, question):
            raise visible_error("small_talk", html)
        pair = blind.render_pair(Ballot(question), writing=True)
        score = self.render_score(None, tally)
        return pair, None, cards.render_records(), score, *self.states(busy=True)

    def write(self, question, use_sources, max_new_tokens, temperature):
        """Write both answers, step by step."""
        options = {
            "use_sources": use_sources,
            "max_new_tokens": int(max_new_tokens),
            "temperature": float(temperature),
        }
        ballot, drawn = Ballot(question, options), None
        with closing(self.answer(question, use_sources, max_new_tokens, temperature)) as steps:
            for base, tuned, sources in steps:
                ballot.answers, ballot.sources = {"base": base, "tuned": tuned}, len(sources)
                # Whether a record is cited is not shown: the tuned model cites more often.
                shelf = gr.skip() if drawn == sources else cards.render_records(sources)
                drawn = sources
                yield blind.render_pair(ballot, writing=True), ballot, shelf
        ballot.end()

    def finish(self, question, ballot):
        can_vote = ballot is not None and ballot.ended
        return blind.render_pair(ballot or Ballot(question)), *self.states(can_vote=can_vote)

    # --- votes ---

    def wire_voting(self) -> None:
        reads: list[Component] = [self.ballot, self.tally]
        if self.consent:
            reads.append(self.consent)
        drawn = [self.pair, self.score, self.tally, *self.controls]
        for choice, button in self.choices.items():
            voted = button.click(partial(self.vote, choice), reads, drawn, **AT_ONCE)
            voted.success(None, js=FOCUS_BALLOT)

    def vote(self, choice: str, ballot: Ballot | None, tally: Tally, agreed=False):
        """Take a vote and show the names and the score."""
        with visible_errors(html):
            if ballot is None:
                raise InputError("vote_none")
            keep = agreed is True and self.votes is not None
            verdict = ballot.vote(choice, partial(self.keep, ballot) if keep else None)
        if isinstance(self.engine, Watched):
            self.engine.record_vote(verdict)
        tally = tally.plus(verdict)
        score = self.render_score(ballot, tally)
        return blind.render_revealed(ballot, self.info), score, tally, *self.states()

    def render_score(self, ballot: Ballot | None, tally: Tally) -> str:
        """Render the score, with the verdict of a voted pair."""
        everyone = self.votes.tally(self.info) if self.votes else None
        return blind.render_score(ballot, tally, everyone)

    def keep(self, ballot: Ballot, verdict: str) -> None:
        assert self.votes is not None
        self.votes.check_pace(current_address())
        try:
            self.votes.keep(make_vote(ballot, verdict, self.info))
        except OSError as error:
            log.exception("a vote could not be kept")
            raise InputError("vote_lost") from error


def build_consent(votes: Votes | None) -> gr.Checkbox | None:
    """Build the checkbox of consent, where votes can be kept."""
    if votes is None:
        markup(f'<p class="hint">{html("blind_keep_none")}</p>')
        return None
    consent = gr.Checkbox(False, label=label("blind_keep"), container=False)
    markup(blind.render_consent(votes.repo, votes.private))
    return consent
