"""The tab that shuffles both answers and names them once the visitor has voted."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import gradio as gr

from space.errors import InputError
from space.page.api import MODEL, answer_endpoint, refusal, refusals
from space.page.ballot import Ballot, Tally
from space.page.html import blind as ballot_cards
from space.page.html import cards
from space.page.tabs.parts import QUIET, WAITS, label, markup, sliders
from space.page.votes import Votes, line_of, open_votes
from space.settings import Settings
from space.texts import html

LABELS = {
    "a": "blind_a",
    "b": "blind_b",
    "tie": "blind_tie",
    "both_bad": "blind_both_bad",
}  # one for each of CHOICES
SURPRISES = 60  # questions to draw from
# What is pressed is off a moment later: then the keys that vote work, and a reader goes on from there.
TO_THE_BALLOT = """() => {
  const ballot = document.querySelector(".ballot");
  const named = { tabindex: "-1", role: "group", "aria-labelledby": "ballot-how" };
  Object.entries(named).forEach((attribute) => ballot.setAttribute(...attribute));
  ballot.focus({ preventScroll: true });
}"""
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Booth:
    """The parts of the tab that its events read and draw."""

    box: gr.Textbox
    ask: gr.Button
    surprise: gr.Button
    stop: gr.Button
    options: list  # how the answers are asked for: the catalogue, the sliders
    pair: gr.HTML
    choices: dict[str, gr.Button]
    keep: gr.Checkbox | None  # None: no vote is kept
    score: gr.HTML
    shelf: gr.HTML
    ballot: gr.State  # the Ballot that is shown; neither state ever leaves the server
    tally: gr.State

    @property
    def buttons(self) -> list[gr.Button]:
        """In the order of _states()."""
        return [self.ask, self.surprise, self.stop, *self.choices.values()]


def blind_tab(engine, info: dict, settings: Settings) -> None:
    votes, examples = open_votes(settings), engine.examples()
    question = gr.Textbox(
        label=label("question"),
        placeholder=label("question_hint"),
        lines=1,
        max_lines=6,
        elem_classes="question",
    )
    has_catalogue = settings.catalogue is not None
    with gr.Row(elem_classes="controls asking"):
        ask = gr.Button(label("blind_ask"), variant="primary", scale=0, min_width=112)
        surprise = gr.Button(
            label("blind_surprise"), visible=bool(examples), scale=0, min_width=112
        )
        stop = gr.Button(label("stop"), interactive=False, scale=0, min_width=80)
        use_sources = gr.Checkbox(
            has_catalogue,
            label=label("use_sources"),
            interactive=has_catalogue,
            container=False,
            info=label("use_sources_info" if has_catalogue else "no_catalogue"),
        )
    chosen = gr.Dataset(
        components=[question],
        samples=[[text] for text in examples],
        label=label("examples"),
        type="values",
        visible=bool(examples),
        elem_classes="examples",
    )
    options = [use_sources, *sliders(settings.max_new_tokens, settings)]
    with gr.Column(elem_classes="ballot"):
        shown = markup(ballot_cards.pair())
        choices, keep = _voting(votes)
        score = markup(ballot_cards.score())
    booth = Booth(
        question,
        ask,
        surprise,
        stop,
        options,
        shown,
        choices,
        keep,
        score,
        markup(cards.records()),
        gr.State(),
        gr.State(Tally()),
    )
    pool = engine.examples(SURPRISES)
    picks = [
        chosen.click(lambda sample: sample[0], chosen, question, queue=False, **QUIET),
        surprise.click(
            lambda before: random.choice([one for one in pool if one != before] or pool),
            question,
            question,
            queue=False,
            **QUIET,
        ),
    ]
    wire_answers(booth, answer_endpoint(engine, settings, html), picks)
    wire_votes(booth, info, votes)


def _voting(votes: Votes | None) -> tuple[dict[str, gr.Button], gr.Checkbox | None]:
    """Returns the buttons that vote, by choice, and the box that agrees to keep the votes, where they can be kept."""
    markup(f'<p class="hint how" id="ballot-how">{html("blind_how")}</p>')
    with gr.Row(elem_classes="controls votes"):
        choices = {
            choice: gr.Button(label(text), interactive=False, min_width=120)
            for choice, text in LABELS.items()
        }
    with gr.Row(elem_classes="consent"):
        if votes is None:
            markup(f'<p class="hint">{html("blind_keep_none")}</p>')
            return choices, None
        keep = gr.Checkbox(False, label=label("blind_keep"), container=False)
        markup(ballot_cards.consent(votes.repo, votes.private))
    return choices, keep


def wire_answers(booth: Booth, answer: Callable, picks: list) -> None:
    """Connects the question with its two answers; `picks` are events that put one in the box, which is asked at once."""

    def begin(shown, question):
        if cards.is_writing(shown) or not question.strip():
            raise refusal("busy" if question.strip() else "empty", html)
        shelf = cards.records()
        return ballot_cards.pair(waiting=True), None, shelf, *_states(busy=True)

    def stream(question, use_sources, max_new_tokens, temperature):
        options = {
            "use_sources": use_sources,
            "max_new_tokens": int(max_new_tokens),
            "temperature": float(temperature),
        }
        ballot, drawn = Ballot(question, options), None
        with closing(answer(question, use_sources, max_new_tokens, temperature)) as answers:
            for base, tuned, sources in answers:
                ballot.answers, ballot.sources = {"base": base, "tuned": tuned}, len(sources)
                marks = sources, cards.cited(base, len(sources)) | cards.cited(tuned, len(sources))
                shelf = gr.skip() if marks == drawn else cards.records(*marks)
                drawn = marks
                yield ballot_cards.pair(ballot), ballot, shelf
        ballot.ended = True

    def settle(shown, ballot):
        return cards.settled(shown), *_states(votes=ballot is not None and ballot.ended)

    drawn = [booth.pair, booth.ballot, booth.shelf]
    reads, draws = [booth.pair, booth.box], [*drawn, *booth.buttons]
    starts = [
        gr.on(
            [booth.ask.click, booth.box.submit],
            begin,
            reads,
            draws,
            concurrency_limit=None,
            **QUIET,
        )
    ]
    starts += [pick.then(begin, reads, draws, concurrency_limit=None, **QUIET) for pick in picks]
    runs = [
        start.success(
            stream,
            [booth.box, *booth.options],
            drawn,
            **MODEL,
            **WAITS,
            show_progress_on=booth.pair,
        )
        for start in starts
    ]
    for start, run in zip(starts, runs, strict=True):
        start.success(None, js=TO_THE_BALLOT)
        for after in (run.then, run.failure):
            after(
                settle,
                [booth.pair, booth.ballot],
                [booth.pair, *booth.buttons],
                queue=False,
                **QUIET,
            )
    booth.stop.click(None, cancels=runs)


def wire_votes(booth: Booth, info: Mapping, votes: Votes | None) -> None:
    """Connects the buttons that vote: names and score are told for a vote that counted, and for no other."""

    def keep(ballot: Ballot, verdict: str) -> None:
        try:
            votes.keep(line_of(ballot, verdict, info))
        except OSError as error:
            log.exception("a vote could not be kept")
            raise InputError("vote_lost") from error

    def cast(choice: str, ballot: Ballot | None, tally: Tally, agreed=False):
        with refusals(html):
            if ballot is None:
                raise InputError("vote_none")
            verdict = ballot.cast(
                choice, partial(keep, ballot) if votes and agreed is True else None
            )
        tally = tally.plus(verdict)
        score = ballot_cards.score(ballot, tally, votes.tally(info) if votes else None)
        return ballot_cards.revealed(ballot, info), score, tally, *_states()

    reads = [booth.ballot, booth.tally, *([booth.keep] if booth.keep else [])]
    for choice, button in booth.choices.items():
        voted = button.click(
            partial(cast, choice),
            reads,
            [booth.pair, booth.score, booth.tally, *booth.buttons],
            queue=False,
            **QUIET,
        )
        voted.success(None, js=TO_THE_BALLOT)


def _states(busy: bool = False, votes: bool = False) -> tuple[gr.Button, ...]:
    """Returns which buttons can be pressed: Booth.buttons, in its order."""
    return tuple(
        gr.Button(interactive=on) for on in (not busy, not busy, busy, *[votes] * len(LABELS))
    )
