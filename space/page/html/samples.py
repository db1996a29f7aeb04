"""The scored answers as cards of HTML: chosen, sorted, searched and paged."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from space.evidence import JUDGED, SETS, Evidence, Sample
from space.page.html.cards import fold_text
from space.page.html.findings import signed
from space.texts import Html, decimal, html

PAGE = 10  # samples
EXCERPT = 360  # characters of a text that show before it is opened
SEARCH = 200  # characters of what is looked for
OUTCOMES = {"any": "any_outcome", "wins": "won", "ties": "tied", "losses": "lost"}
ORDERS = {"asked": "order_asked", "gains": "order_gains", "losses": "order_losses"}


def are_scored(samples: Sequence[Sample]) -> bool:
    """Tell whether any sample has scores, unlike those of older adapters."""
    return any(sample.change is not None for sample in samples)


def choose(
    samples: Sequence[Sample], name: str, outcome: str, order: str, search: str
) -> list[Sample]:
    """Choose samples by set, outcome and words.

    The set may be "all", the outcome "any".
    """
    wanted = search[:SEARCH].casefold().split()
    found = [
        sample
        for sample in samples
        if name in ("all", sample.set)
        and outcome in ("any", outcome_of(sample))
        and _holds(sample, wanted)
    ]
    if order == "gains":
        found.sort(key=lambda sample: -_change(sample))
    elif order == "losses":
        found.sort(key=_change)
    return found


def _change(sample: Sample) -> float:
    return sample.change or 0.0


def outcome_of(sample: Sample) -> str | None:
    """Return "wins", "ties" or "losses" of the tuned answer, None without scores."""
    if sample.change is None:
        return None
    if sample.change == 0:
        return "ties"
    return "wins" if sample.change > 0 else "losses"


def _holds(sample: Sample, wanted: Sequence[str]) -> bool:
    texts = "\n".join((sample.question, sample.reference, sample.base, sample.tuned)).casefold()
    return all(word in texts for word in wanted)


def count_pages(count: int) -> int:
    """Return how many pages so many samples fill, at least one."""
    return max(1, -(-count // PAGE))


def show_page(evidence: Evidence, found: Sequence[Sample], page: int) -> Html:
    """Render one page of samples.

    Pages count from 0; a line above says which it is.
    """
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
    outcome, change = outcome_of(sample), ""
    if outcome and sample.change is not None:
        number = html("number", number=signed(sample.change))
        change = (
            f'<b class="outcome">{html(OUTCOMES[outcome])} <span class="change">{number}</span></b>'
        )
    sources = ""
    if sample.sources:
        named = escape(", ".join(sample.sources))
        sources = f'<p class="facts">{html("sample_sources")} {named}</p>'
    asked = "sample_text" if sample.set == "summary" else "sample_question"
    return (
        f'<article class="sample {outcome or ""}"><header><small>{html(SETS[sample.set][0])} · '
        f"{html('sample', number=sample.number)}</small>{change}</header>"
        f'<div class="asked"><h3>{html(asked)}</h3>{_long(sample.question)}</div>'
        f'<div class="three">{_answer("reference", "sample_reference", sample.reference)}'
        f"{_answer('base', 'column_base', sample.base, sample.before)}"
        f"{_answer('tuned', 'column_tuned', sample.tuned, sample.after)}</div>{sources}</article>"
    )


def _answer(kind: str, key: str, text: str, score: float | None = None) -> str:
    number = ""
    if score is not None:
        number = f" <small>{html('number', number=decimal(f'{score:.2f}'))}</small>"
    return f'<section class="{kind}"><h4>{html(key)}{number}</h4>{_long(text)}</section>'


def _long(text: str) -> str:
    if not text.strip():
        return f'<p class="hint">{html("sample_wordless")}</p>'
    return fold_text(text, EXCERPT, "sample-text", ' dir="auto"')


def how_measured(evidence: Evidence) -> Html:
    """Say by what a sample is won or lost."""
    if not are_scored(evidence.samples):
        return html("samples_unmeasured")
    absent = any(JUDGED[sample.set][0] == "says_absent" for sample in evidence.samples)
    return html("samples_measured_absent" if absent else "samples_measured")
