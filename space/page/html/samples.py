"""The answers behind the scores, to be leafed through: chosen, sorted and searched, and each as a card of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from space.evidence import JUDGED, Evidence, Sample
from space.page.html.cards import fold_text
from space.page.html.findings import SETS, signed
from space.texts import Html, decimal, html

PAGE = 10  # samples
EXCERPT = 360  # characters of a text that show before it is opened
SEARCH = 200  # characters of what is looked for
OUTCOMES = {"any": "any_outcome", "wins": "won", "ties": "tied", "losses": "lost"}
ORDERS = {"asked": "order_asked", "gains": "order_gains", "losses": "order_losses"}


def chosen(
    samples: Sequence[Sample], name: str, outcome: str, order: str, search: str
) -> list[Sample]:
    """Returns the samples of a set ("all": of every one) with an outcome that hold the words, in an order."""
    wanted = search[:SEARCH].casefold().split()
    found = [
        sample
        for sample in samples
        if name in ("all", sample.set)
        and outcome in ("any", outcome_of(sample))
        and _holds(sample, wanted)
    ]
    if order != "asked":
        found.sort(key=lambda sample: sample.change, reverse=order == "gains")
    return found


def outcome_of(sample: Sample) -> str:
    """Returns "wins", "ties" or "losses", from the tuned answer's side."""
    return "ties" if not sample.change else "wins" if sample.change > 0 else "losses"


def _holds(sample: Sample, wanted: Sequence[str]) -> bool:
    if not wanted:
        return True
    texts = "\n".join((sample.question, sample.reference, sample.base, sample.tuned)).casefold()
    return all(word in texts for word in wanted)


def pages(count: int) -> int:
    """Returns how many pages so many samples fill; one at least."""
    return max(1, -(-count // PAGE))


def leaf(evidence: Evidence, found: Sequence[Sample], page: int) -> Html:
    """Returns one page of what was found, the first being 0, under a line that says what it is."""
    if not evidence.samples:
        return Html(f'<p class="hint none">{html("samples_none")}</p>')
    start = page * PAGE
    shown = found[start : start + PAGE]
    if shown:
        where = html("samples_shown", first=start + 1, last=start + len(shown), count=len(found))
    else:
        where = html("samples_not_found")
    more = f" {html('samples_more', count=len(evidence.samples))}" if evidence.more else ""
    cards = "".join(map(_card, shown))
    return Html(
        f'<p class="found" role="status">{where}{more}</p><div class="samples">{cards}</div>'
    )


def _card(sample: Sample) -> str:
    outcome = outcome_of(sample)
    change = html("number", number=signed(sample.change))
    sources = (
        f'<p class="facts">{html("sample_sources")} {escape(", ".join(sample.sources))}</p>'
        if sample.sources
        else ""
    )
    asked = "sample_text" if sample.set == "summary" else "sample_question"
    return (
        f'<article class="sample {outcome}"><header><small>{html(SETS[sample.set][0])} · {html("sample", number=sample.number)}'
        f'</small><b class="outcome">{html(OUTCOMES[outcome])} <span class="change">{change}</span></b></header>'
        f'<div class="asked"><h3>{html(asked)}</h3>{_long(sample.question)}</div><div class="three">'
        f"{_said('reference', 'sample_reference', sample.reference)}{_said('base', 'column_base', sample.base, sample.before)}"
        f"{_said('tuned', 'column_tuned', sample.tuned, sample.after)}</div>{sources}</article>"
    )


def _said(kind: str, key: str, text: str, score: float | None = None) -> str:
    number = (
        "" if score is None else f" <small>{html('number', number=decimal(f'{score:.2f}'))}</small>"
    )
    return f'<section class="{kind}"><h4>{html(key)}{number}</h4>{_long(text)}</section>'


def _long(text: str) -> str:
    if not text.strip():
        return f'<p class="hint">{html("sample_wordless")}</p>'
    return fold_text(text, EXCERPT, "said", ' dir="auto"')


def measured(evidence: Evidence) -> Html:
    """Returns by what a sample is won or lost."""
    absent = any(JUDGED[sample.set][0] == "says_absent" for sample in evidence.samples)
    return html("samples_measured_absent" if absent else "samples_measured")
