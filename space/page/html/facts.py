"""Mark an answer's facts and citations as HTML, and count what its records support."""

from __future__ import annotations

from collections.abc import Sequence

from space.evidence import CITATION, Fact, FactCheck
from space.page.html.markdown import Document, Mark, render_markdown
from space.texts import LANGUAGES, html, words


def mark_facts(document: Document, check: FactCheck, records: int) -> str:
    """Render an answer with its facts marked, and its citations as buttons.

    A button opens one of the answer's `records` records; page.js does it. A disproved citation is
    struck. Supported facts stay as they are.
    """
    marks = []
    for fact in _join_unmentioned(document.text, check.facts):
        if fact.verdict != "supported":
            marks.append(_mark_fact(fact))
    for found in CITATION.finditer(document.text):
        position = int(found[1])
        if 1 <= position <= records:
            button = _citation(position, found.start() in check.disproved)
            marks.append(Mark(found.start(), found.end(), button, replaces=True))
    return render_markdown(document, marks)


def _mark_fact(fact: Fact) -> Mark:
    """Make a fact's mark, with the record's value beside it."""
    if fact.verdict == "unmentioned":
        spoken = f'</span><span class="spoken"> {html("fact_unmentioned")}</span>'
        return Mark(fact.start, fact.end, '<span class="fact unmentioned">', spoken)
    beside = html("fact_record", position=fact.record, value=fact.value)
    closing = f'</span> <span class="beside">{beside}</span>'
    return Mark(fact.start, fact.end, '<span class="fact contradicted">', closing)


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
        between = text[last.end : fact.start] if last else ""
        if last and both and not between.strip() and "\n" not in between:
            joined[-1] = Fact(last.start, fact.end, last.kind, last.verdict)
        else:
            joined.append(fact)
    return joined
