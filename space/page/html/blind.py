"""The blind test as HTML: two answers without names, the same with them after the vote, and how often the tuned model wins."""

from __future__ import annotations

from collections.abc import Mapping

from space.page.ballot import Ballot, Tally, wilson
from space.page.html import cards
from space.texts import html

NAMES = {"base": "blind_the_base", "tuned": "blind_the_tuned"}
SAID = {
    "tuned": "blind_won_tuned",
    "base": "blind_won_base",
    "tie": "blind_won_tie",
    "both_bad": "blind_won_both_bad",
}


def pair(ballot: Ballot | None = None, waiting: bool = False) -> str:
    """Returns the two answers without a word of whose they are: idle, `waiting` for their first words, or being written."""
    texts = ballot.columns() if ballot else (("", "") if waiting else (None, None))
    sources = ballot.sources if ballot else 0
    foot = f'<span class="model">{html("blind_unnamed")}</span>'
    return _pair(
        _card(letter, text, sources, foot) for letter, text in zip("AB", texts, strict=True)
    )


def revealed(ballot: Ballot, info: Mapping) -> str:
    """Returns the two answers with their names, after the vote; `info` is the engine's."""
    base = cards.model_id(info["base"], info["base_revision"])
    names = {
        "base": base,
        "tuned": f"{base}<br>+ {cards.model_id(info['adapter'], info['adapter_revision'])}",
    }
    return _pair(
        _card(
            letter,
            text,
            ballot.sources,
            f'<span class="model">{names[side]}</span>',
            side,
            ballot.choice == letter.lower(),
        )
        for letter, text, side in zip("AB", ballot.columns(), ballot.order, strict=True)
    )


def score(
    ballot: Ballot | None = None, yours: Tally | None = None, everybody: Tally | None = None
) -> str:
    """Returns what the vote chose, and the tuned model's win rate in this visitor's votes and in all that are kept."""
    rows = [_rate("blind_yours", yours or Tally())] + (
        [_rate("blind_all", everybody)] if everybody is not None else []
    )
    verdict = _verdict(ballot) if ballot else html("blind_score_idle")
    return (
        f'<section class="score"><h2>{html("blind_score")}</h2><p class="verdict" role="status">{verdict}</p>'
        f'<dl>{"".join(rows)}</dl><p class="hint">{html("blind_method")}</p></section>'
    )


def consent(repo: str | None, private: bool) -> str:
    """Returns what is kept of a vote, and where: in a file here, or in the Hub dataset `repo` too."""
    where = html("blind_keep_here")
    if repo:
        where = html("blind_keep_private" if private else "blind_keep_public", repo=repo)
    return f'<p class="hint">{html("blind_keep_what", where=where)}</p>'


def _pair(columns) -> str:
    return f'<div class="pair">{"".join(columns)}</div>'


def _card(
    letter: str, text: str | None, sources: int, foot: str, side: str = "", chosen: bool = False
) -> str:
    """Returns one answer; `side` is whose it is, once that is known."""
    if text:
        body = f'<p class="words">{cards.marked(text, sources)}</p>'
    else:
        body = f'<p class="hint">{html("blind_idle" if text is None else "wordless" if side else "waiting")}</p>'
    name = f" <small>{html(side)}, {html(side + '_note')}</small>" if side else ""
    mark = f'<span class="chip">{html("blind_chosen")}</span>' if chosen else cards.state()
    busy = text is not None and not side
    return (
        f'<article class="card {side}" aria-busy="{str(busy).lower()}">'
        f"<header><h2>{letter}{name}</h2>{mark}</header>"
        f'<div class="answer" aria-live="polite">{body}</div><footer>{foot}</footer></article>'
    )


def _verdict(ballot: Ballot) -> str:
    a, b = (html(NAMES[side]) for side in ballot.order)
    return html(SAID[ballot.verdict(ballot.choice)], column=ballot.choice.upper(), a=a, b=b)


def _rate(name: str, tally: Tally) -> str:
    """Returns a tally as its rate and interval, in words and as a bar."""
    counts, style = html("blind_beside", tie=tally.tie, both_bad=tally.both_bad), ""
    if tally.decided:
        rate, (low, high) = tally.tuned / tally.decided, wilson(tally.tuned, tally.decided)
        said = html("blind_rate", rate=f"{rate:.0%}", low=f"{low:.0%}", high=f"{high:.0%}")
        style = f' style="--low:{low:.4f};--high:{high:.4f};--rate:{rate:.4f}"'
        counts = f"{html('blind_won', tuned=tally.tuned, decided=tally.decided)} · {counts}"
    else:
        said = html("blind_undecided")
    bar = f'<i class="range{"" if style else " none"}"{style} aria-hidden="true"></i>'
    return f"<div><dt>{html(name)}</dt><dd><b>{said}</b>{bar}<small>{counts}</small></dd></div>"
