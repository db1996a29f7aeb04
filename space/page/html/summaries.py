"""What two summaries rest on, as HTML: sentences with numbers, and the text with the same ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from space.catalogue import Span
from space.evidence import NUMBER, SummarySentence, attribute_summary
from space.model import COLUMNS
from space.texts import Html, decimal, html


def render_idle() -> str:
    """Render the section before there are summaries."""
    return f'<section class="source">{_head()}<p class="hint">{html("source_idle")}</p></section>'


def mark_sources(text: str, read: int, base: str, tuned: str) -> tuple[tuple[Html, Html], str]:
    """Render ((base summary, tuned summary), section with the text).

    Equal numbers name what a sentence rests on. The models read the text's first `read` characters.
    """
    sides = [attribute_summary(summary, text[:read]) for summary in (base, tuned)]
    users: dict[Span, list[str]] = {}  # a sentence of the text -> the columns that rest on it
    for column, summary in zip(COLUMNS, sides, strict=True):
        for sentence in summary:
            for span in sentence.sources:
                columns = users.setdefault(span, [])
                if column not in columns:
                    columns.append(column)
    numbers = {span: number for number, span in enumerate(sorted(users), start=1)}
    base_html = Html(_summary(base, sides[0], numbers))
    tuned_html = Html(_summary(tuned, sides[1], numbers))
    return (base_html, tuned_html), _section(text, read, numbers, users)


def render_lengths(summary: str, text: str) -> str:
    """Render a summary's length and its share of the text."""
    percent = 100 * len(summary) / len(text)
    share = decimal(f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.1f}%")
    return (
        f'<p class="figures" aria-live="off">{_lengths(summary)} · '
        f"{html('summary_share', percent=share)}</p>"
    )


def _lengths(text: str) -> Html:
    words = len(text.split())
    key = "text_length_of_one" if words == 1 else "text_lengths"
    return html(key, words=words, characters=len(text))


def _summary(
    summary: str, sentences: Sequence[SummarySentence], numbers: Mapping[Span, int]
) -> str:
    """Render a summary with the numbers of what its sentences rest on."""
    parts, end = [], 0
    for sentence in sentences:
        chip = ""
        if sentence.missing_numbers:
            chip = html("rests_without", numbers=", ".join(sentence.missing_numbers))
        elif sentence.has_content and not sentence.sources:
            chip = html("rests_on_nothing")
        chip = f'<span class="none">{chip}</span>' if chip else ""
        links = "".join(_link(numbers[span]) for span in sentence.sources)
        words = _sentence(summary[sentence.start : sentence.end], sentence)
        parts += [escape(summary[end : sentence.start]), words]
        if links or chip:
            parts.append(f' <span class="rests">{links}{chip}</span>')
        end = sentence.end
    return "".join([*parts, escape(summary[end:])])


def _sentence(words: str, sentence: SummarySentence) -> str:
    """Underline what the text lacks: the sentence, or some numbers."""
    if sentence.has_content and not sentence.sources:
        return f'<span class="unfounded">{escape(words)}</span>'
    shown = []
    for piece in re.split(f"({NUMBER.pattern})", words):
        unfounded = piece in sentence.missing_numbers
        shown.append(f'<span class="unfounded">{piece}</span>' if unfounded else escape(piece))
    return "".join(shown)


def _link(number: int) -> str:
    return (
        f'<a href="#source-{number}"><span class="spoken">{html("rests_on", number=number)}</span>'
        f'<span aria-hidden="true">{number}</span></a>'
    )


def _section(
    text: str, read: int, numbers: Mapping[Span, int], users: Mapping[Span, Sequence[str]]
) -> str:
    parts, end = [], 0
    for span, number in numbers.items():
        start, stop = span
        parts += [escape(text[end:start]), _mark(text[start:stop], number, users[span])]
        end = stop
    parts.append(escape(text[end:read]))
    if read < len(text):
        parts.append(
            f'<span class="stopped">{html("source_stopped")}</span>'
            f'<span class="unread">{escape(text[read:])}</span>'
        )
    gist = "source_gist"
    if not numbers:
        gist = "source_nothing"
    elif len(numbers) == 1:
        gist = "source_gist_of_one"
    return (
        f'<section class="source">{_head()}<p class="figures">{_lengths(text)}</p>'
        f'<p class="hint" role="status">{html(gist, count=len(numbers))}</p>'
        '<div class="text" dir="auto" tabindex="0" role="region" aria-labelledby="source-title">'
        f"{''.join(parts)}</div>{_key()}</section>"
    )


def _mark(sentence: str, number: int, sides: Sequence[str]) -> str:
    names = ", ".join(html(side) for side in sides)
    return (
        f'<mark id="source-{number}" class="{" ".join(sides)}" tabindex="-1"><b>{number}</b>'
        f'<span class="spoken"> {names}: </span>{escape(sentence)}</mark>'
    )


def _head() -> str:
    return f'<h2 id="source-title">{html("source_title")}</h2>'


def _key() -> str:
    samples = (
        f'<mark class="base">{html("source_by_base")}</mark>'
        f'<mark class="tuned">{html("source_by_tuned")}</mark>'
        f'<mark class="base tuned">{html("source_by_both")}</mark>'
    )
    note = html("source_note")
    return f'<div class="key"><p class="samples">{samples}</p><p class="hint">{note}</p></div>'
