"""Render the blind test: two unnamed answers, their names after the vote, and the score."""

from __future__ import annotations

import re
from html import escape

from space.engine import Info
from space.page.html import cards
from space.page.votes import Ballot, Tally, wilson
from space.texts import html

NAMES = {"base": "blind_the_base", "tuned": "blind_the_tuned"}
OUTCOMES = {
    "tuned": "blind_won_tuned",
    "base": "blind_won_base",
    "tie": "blind_won_tie",
    "both_bad": "blind_won_both_bad",
}
# What only one of the models tends to write would name it before the vote: citations, whole or
# half written, and Markdown's marks.
MARKS = re.compile(r"\s*\[[\d\s,;]*(?:\]|$)|\*\*|__|`+|^#+ ", re.MULTILINE)


def render_pair(ballot: Ballot | None = None, *, writing: bool = False) -> str:
    """Render both answers unnamed and unmarked, or idle cards."""
    texts = [hide_marks(text) for text in ballot.columns()] if ballot else [None, None]
    foot = f'<span class="model">{html("blind_unnamed")}</span>'
    columns = []
    for letter, text in zip("AB", texts, strict=True):
        if text:
            body = f'<p class="words">{escape(text)}</p>'
        elif text is None:
            body = f'<p class="hint">{html("blind_idle")}</p>'
        else:
            body = f'<p class="hint">{html("waiting" if writing else "wordless")}</p>'
        columns.append(cards.render_card("", letter, cards.render_state(), body, foot, writing))
    return f'<div class="pair">{"".join(columns)}</div>'


def render_revealed(ballot: Ballot, info: Info) -> str:
    """Render both answers with their names, after the vote."""
    names = cards.render_model_names(info)
    columns = []
    for letter, text, side in zip("AB", ballot.columns(), ballot.order, strict=True):
        body = f'<p class="hint">{html("wordless")}</p>'
        if text:
            body = f'<div class="words">{cards.mark_citations(text, ballot.sources)}</div>'
        heading = f"{letter} <small>{html(side)}, {html(side + '_note')}</small>"
        state = cards.render_state()
        if ballot.choice == letter.lower():
            state = f'<span class="chip">{html("blind_chosen")}</span>'
        foot = f'<span class="model">{names[side]}</span>'
        columns.append(cards.render_card(side, heading, state, body, foot, writing=False))
    return f'<div class="pair">{"".join(columns)}</div>'


def hide_marks(text: str) -> str:
    """Remove what could name an answer's model before the vote."""
    return MARKS.sub("", text).strip()


def render_score(
    ballot: Ballot | None = None, own: Tally | None = None, everyone: Tally | None = None
) -> str:
    """Render what the vote chose and the tuned model's win rates.

    `own` are this visitor's votes, `everyone` all that are kept, where votes are kept.
    """
    rates = _rate("blind_yours", own or Tally())
    if everyone is not None:
        rates += _rate("blind_all", everyone)
    outcome = html("blind_score_next" if own and own != Tally() else "blind_score_idle")
    if ballot:
        outcome = _outcome(ballot)
    return (
        f'<section class="score"><h2>{html("blind_score")}</h2>'
        f'<p class="verdict" role="status">{outcome}</p>'
        f'<dl>{rates}</dl><p class="hint">{html("blind_method")}</p></section>'
    )


def render_consent(repo: str | None, private: bool) -> str:
    """Render what is kept of a vote, and where."""
    where = html("blind_keep_here")
    if repo:
        where = html("blind_keep_private" if private else "blind_keep_public", repo=repo)
    return f'<p class="hint">{html("blind_keep_what", where=where)}</p>'


def _outcome(ballot: Ballot) -> str:
    a, b = (html(NAMES[side]) for side in ballot.order)
    key = OUTCOMES[ballot.verdict(ballot.choice)]
    return html(key, column=ballot.choice.upper(), a=a, b=b)


def _rate(name: str, tally: Tally) -> str:
    """Render a tally as a win rate with its interval."""
    counts = html("blind_beside", tie=tally.tie, both_bad=tally.both_bad)
    rate = html("blind_undecided")
    bar = '<i class="range none" aria-hidden="true"></i>'
    if tally.decided:
        share, (low, high) = tally.tuned / tally.decided, wilson(tally.tuned, tally.decided)
        rate = html("blind_rate", rate=f"{share:.0%}", low=f"{low:.0%}", high=f"{high:.0%}")
        style = f"--low:{low:.4f};--high:{high:.4f};--rate:{share:.4f}"
        bar = f'<i class="range" style="{style}" aria-hidden="true"></i>'
        won = html("blind_won", tuned=tally.tuned, decided=tally.decided)
        counts = f"{won} · {counts}"
    return f"<div><dt>{html(name)}</dt><dd><b>{rate}</b>{bar}<small>{counts}</small></dd></div>"
