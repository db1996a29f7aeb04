"""What two summaries rest on, as HTML: their sentences numbered, the text with the same numbers marked, and their lengths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from space.evidence import NUMBER, SummarySentence, attribute_summary
from space.texts import Html, decimal, html

SIDES = ("base", "tuned")


def idle() -> str:
    """Returns the section before there are summaries."""
    return f'<section class="source">{_head()}<p class="hint">{html("source_idle")}</p></section>'


def marked(text: str, read: int, base: str, tuned: str) -> tuple[tuple[Html, Html], str]:
    """Returns ((base summary, tuned summary), section with the text), where equal numbers name what a sentence rests on.

    The models read the text's first `read` characters.
    """
    rests = [attribute_summary(summary, text[:read]) for summary in (base, tuned)]
    used: set[tuple[int, int]] = set()
    for sentence in (*rests[0], *rests[1]):
        used.update(sentence.sources)
    numbers = {span: number for number, span in enumerate(sorted(used), start=1)}
    both = Html(_summary(base, rests[0], numbers)), Html(_summary(tuned, rests[1], numbers))
    return both, _section(text, read, numbers, rests)


def figures(summary: str, text: str) -> str:
    """Returns how long a summary is and what share of the text that makes, for the foot of its card; `text` is not blank."""
    percent = 100 * len(summary) / len(text)
    share = decimal(f"{percent:.0f}%" if percent >= 9.95 else f"{percent:.1f}%")
    return f'<p class="figures" aria-live="off">{_lengths(summary)} · {html("summary_share", percent=share)}</p>'


def _lengths(text: str) -> Html:
    words = len(text.split())
    return html(
        "text_lengths" if words != 1 else "text_length_of_one", words=words, characters=len(text)
    )


def _summary(
    summary: str, rests: Sequence[SummarySentence], numbers: dict[tuple[int, int], int]
) -> str:
    """Returns a summary, each sentence with the numbers of those that it rests on; what is not in the text is called that."""
    parts, end = [], 0
    for sentence in rests:
        words, none = _sentence(summary[sentence.start : sentence.end], sentence), ""
        if sentence.missing_numbers:
            none = html("rests_without", numbers=", ".join(sentence.missing_numbers))
        elif sentence.has_content and not sentence.sources:
            none = html("rests_on_nothing")
        links = "".join(_link(numbers[span]) for span in sentence.sources)
        chip = f'<span class="none">{none}</span>' if none else ""
        shown = f' <span class="rests">{links}{chip}</span>' if links or chip else ""
        parts += [escape(summary[end : sentence.start]), words, shown]
        end = sentence.end
    return "".join([*parts, escape(summary[end:])])


def _sentence(words: str, sentence: SummarySentence) -> str:
    """Returns a sentence with what the text does not have underlined: all of it, or some numbers."""
    if sentence.has_content and not sentence.sources:
        return f'<span class="unfounded">{escape(words)}</span>'
    pieces = re.split(f"({NUMBER.pattern})", words)
    return "".join(
        f'<span class="unfounded">{piece}</span>'
        if piece in sentence.missing_numbers
        else escape(piece)
        for piece in pieces
    )


def _link(number: int) -> str:
    return (
        f'<a href="#source-{number}"><span class="spoken">{html("rests_on", number=number)}</span><span aria-hidden="true">'
        f"{number}</span></a>"
    )


def _section(
    text: str,
    read: int,
    numbers: dict[tuple[int, int], int],
    rests: Sequence[Sequence[SummarySentence]],
) -> str:
    parts, end = [], 0
    for span, number in numbers.items():
        sides = []
        for side, summary in zip(SIDES, rests, strict=True):
            if any(span in sentence.sources for sentence in summary):
                sides.append(side)
        start, stop = span
        parts += [escape(text[end:start]), _mark(text[start:stop], number, sides)]
        end = stop
    parts.append(escape(text[end:read]))
    if read < len(text):
        parts.append(
            f'<span class="stopped">{html("source_stopped")}</span><span class="unread">{escape(text[read:])}</span>'
        )
    gist = (
        "source_nothing"
        if not numbers
        else "source_gist"
        if len(numbers) > 1
        else "source_gist_of_one"
    )
    return (
        f'<section class="source">{_head()}<p class="figures">{_lengths(text)}</p><p class="hint" role="status">'
        f"{html(gist, count=len(numbers))}</p>"
        f'<div class="text" dir="auto" tabindex="0" role="region" aria-labelledby="source-title">{"".join(parts)}</div>'
        f"{_key()}</section>"
    )


def _mark(sentence: str, number: int, sides: Sequence[str]) -> str:
    names = Html(", ".join(html(side) for side in sides))
    return (
        f'<mark id="source-{number}" class="{" ".join(sides)}" tabindex="-1"><b>{number}</b>'
        f'<span class="spoken"> {names}: </span>{escape(sentence)}</mark>'
    )


def _head() -> str:
    return f'<h2 id="source-title">{html("source_title")}</h2>'


def _key() -> str:
    samples = "".join(
        f'<mark class="{" ".join(sides)}">{html(name)}</mark>'
        for sides, name in (
            (("base",), "source_by_base"),
            (("tuned",), "source_by_tuned"),
            (SIDES, "source_by_both"),
        )
    )
    return f'<div class="key"><p class="samples">{samples}</p><p class="hint">{html("source_note")}</p></div>'
