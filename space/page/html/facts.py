"""Mark an answer's facts and citations as HTML, and count what its records support."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from space.evidence import CITATION, Fact, FactCheck
from space.texts import LANGUAGES, html, words


def mark_facts(text: str, check: FactCheck, records: int) -> str:
    """Render an answer with its facts marked, and its citations as buttons.

    A button opens one of the answer's `records` records; page.js does it. A disproved citation is
    struck. Supported facts stay as they are.
    """
    marks: list[tuple[int, int, str]] = []
    for fact in _join_unmentioned(text, check.facts):
        marks.append((fact.start, fact.end, render_fact(text[fact.start : fact.end], fact)))
    for found in CITATION.finditer(text):
        position = int(found[1])
        if 1 <= position <= records:
            disproved = found.start() in check.disproved
            marks.append((found.start(), found.end(), _citation(position, disproved)))
    parts, end = [], 0
    for start, stop, shown in sorted(marks):
        if start >= end:
            parts += [escape(text[end:start]), shown]
            end = stop
    return "".join([*parts, escape(text[end:])])


def render_fact(text: str, fact: Fact) -> str:
    """Render a fact with its mark, and the record's value beside it."""
    if fact.verdict == "supported":
        return escape(text)
    if fact.verdict == "unmentioned":
        spoken = f'<span class="spoken"> {html("fact_unmentioned")}</span>'
        return f'<span class="fact unmentioned">{escape(text)}</span>{spoken}'
    beside = html("fact_record", position=fact.record, value=fact.value)
    return (
        f'<span class="fact contradicted">{escape(text)}</span>'
        f' <span class="beside">{beside}</span>'
    )


def render_count(check: FactCheck) -> str:
    """Render how many of an answer's facts stand in its records."""
    count, positions = len(check.facts), check.records
    if not count:
        return f'<p class="count none">{html("facts_none")}</p>'
    name, values = "fact_records", {}
    if len(positions) == 1:
        name, values = "fact_one_record", {"position": positions[0]}
    elif check.cited:
        first = ", ".join(map(str, positions[:-1]))
        name, values = "fact_some_records", {"first": first, "last": positions[-1]}
    where = {language: words(name, language, **values) for language in LANGUAGES}
    key = "facts_count" if count > 1 else "facts_count_one"
    kind = "count" if check.supported == count else "count some"
    return f'<p class="{kind}">{html(key, supported=check.supported, count=count, where=where)}</p>'


def _citation(position: int, disproved: bool) -> str:
    key = "fact_open_disproved" if disproved else "fact_open"
    shown = f'<span aria-hidden="true">[{position}]</span>'
    if disproved:
        shown = f"<s>{shown}</s>"
    return (
        f'<button type="button" class="cite" data-record="{position}" aria-expanded="false">'
        f'{shown}<span class="spoken">{html(key, position=position)}</span></button>'
    )


def _join_unmentioned(text: str, facts: Sequence[Fact]) -> list[Fact]:
    """Join neighbouring unmentioned facts, to mark and speak them as one."""
    joined: list[Fact] = []
    for fact in facts:
        last = joined[-1] if joined else None
        both = last is not None and last.verdict == fact.verdict == "unmentioned"
        if last and both and not text[last.end : fact.start].strip():
            joined[-1] = Fact(last.start, fact.end, last.kind, last.verdict)
        else:
            joined.append(fact)
    return joined
