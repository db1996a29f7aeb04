"""An adapter's findings as HTML: in words, a chart a set, and the training loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from space.evidence import (
    COLUMNS,
    COUNTED,
    FEW,
    OUTCOMES,
    SETS,
    Change,
    Evidence,
    Finding,
    Mark,
    dots,
    list_findings,
    metric_key,
    plot,
    scale,
    share,
    smooth,
    thin,
)
from space.texts import LANGUAGES, Html, decimal, html, words

TICKS = (0.0, 0.5, 1.0)  # of a chart: every principal metric is a share
MEANINGS = {
    "mean_right": "mean_right_is",
    "mean_rouge": "mean_rouge_is",
    "mean_interval": "mean_interval_is",
    "mean_tally": "mean_tally_is",
    "mean_supported": "mean_supported_is",
    "mean_source": "mean_source_is",
    "mean_few_shot": "mean_few_shot_is",
    "mean_retrieved": "mean_retrieved_is",
    "mean_not": "mean_not_is",
}


def show_findings(evidence: Evidence) -> Html:
    """Render the findings.

    A sentence, a card for each set, and what the words mean.
    """
    found = [each for each in list_findings(evidence.scores) if each.against == "base"]
    if not found:
        return Html(f'<p class="hint none">{html("evidence_none")}</p>')
    few = [scores.name for scores in evidence.scores if scores.items < FEW]
    caution = ""
    if few:
        caution = f'<p class="hint">{html("evidence_few", sets=list_sets(few), few=FEW)}</p>'
    cards = "".join(_card(each) for each in _by_set(found).values())
    return Html(
        f'<p class="gist">{lead(found)}</p>{caution}<div class="sets">{cards}{_meanings()}</div>'
    )


def _by_set(found: Iterable[Finding]) -> dict[str, list[Finding]]:
    sets: dict[str, list[Finding]] = {}
    for each in found:
        sets.setdefault(each.set, []).append(each)
    return sets


def lead(found: Sequence[Finding]) -> Html:
    """Say on which sets tuned is better or worse."""
    principal = [each for each in found if each.principal]
    sentences = [_count(each) for each in principal if each.metric in COUNTED]
    for outcome in OUTCOMES:
        sets = [each.set for each in principal if each.outcome == outcome]
        if sets:
            key = {"better": "lead_better", "worse": "lead_worse", "unclear": "lead_unclear"}
            sentences.append(html(key[outcome], sets=list_sets(sets)))
    worse = [
        each for each in found if each.judged and not each.principal and each.outcome == "worse"
    ]
    for name, losses in _by_set(worse).items():
        names = Html(", ".join(metric_name(each) for each in losses))
        sentences.append(html("lead_beside", metrics=names, set=list_sets([name])))
    return Html(" ".join(sentences))


def _count(finding: Finding) -> Html:
    return html(
        "lead_count",
        set=list_sets([finding.set]),
        metric=metric_name(finding),
        base=value_of(finding, "base"),
        tuned=value_of(finding, "tuned"),
    )


def metric_name(finding: Finding) -> Html:
    """Name a finding's metric for a person."""
    return html(metric_key(finding.set, finding.metric))


def list_sets(sets: Iterable[str]) -> dict[str, str]:
    """List the names of sets in both languages, for html()."""
    listed = {}
    for language in LANGUAGES:
        names = [words(SETS[name][0], language) for name in sets]
        names = [name[:1].lower() + name[1:] for name in names]
        listed[language] = names[-1]
        if names[:-1]:
            listed[language] = f"{', '.join(names[:-1])} {words('and', language)} {names[-1]}"
    return listed


# --- a set ---


def _card(found: Sequence[Finding]) -> str:
    """Render the findings of one set."""
    principal = next(each for each in found if each.principal)
    title, about = SETS[principal.set]
    return (
        f'<article class="set {principal.outcome}"><header><h3>{html(title)}</h3>'
        f"<small>{html('items', count=principal.items)}</small></header>"
        f'<p class="hint">{html(about)}</p>'
        f'<p class="finding"><strong>{html(OUTCOMES[principal.outcome])}.</strong> '
        f"{_sentence(principal)}</p>{dots(_marks(principal), TICKS)}"
        f"{scale(TICKS, _tick)}{_tally(principal.change)}"
        f"{_beside(found)}{_figures(found)}</article>"
    )


def _sentence(finding: Finding) -> Html:
    values = {
        "metric": metric_name(finding),
        "base": value_of(finding, "base"),
        "tuned": value_of(finding, "tuned"),
    }
    change = finding.change
    if change.low is None or change.high is None:
        return html("finding_plain", **values)
    ends = {"mean": signed(change.mean), "low": signed(change.low), "high": signed(change.high)}
    key = "finding_unclear" if finding.outcome == "unclear" else "finding_shown"
    return html(key, **values, **ends)


def _marks(finding: Finding) -> list[Mark]:
    """Mark each column's mean, and the tuned one's gain and interval."""
    marks = []
    base, change = finding.values["base"], finding.change
    for column, value in finding.values.items():
        label = html("number", number=value_of(finding, column))
        mark = Mark(column, html(COLUMNS[column]), value, label)
        if column == "tuned":
            mark = mark._replace(start=base)
            if change.low is not None and change.high is not None:
                mark = mark._replace(low=base + change.low, high=base + change.high)
        marks.append(mark)
    return marks


def _tally(change: Change) -> str:
    if change.wins is None or change.ties is None or change.losses is None:
        return ""
    bar = share((("wins", change.wins), ("ties", change.ties), ("losses", change.losses)))
    counts = html("tally", wins=change.wins, ties=change.ties, losses=change.losses)
    return f'<p class="tally">{bar}{counts}</p>'


def _beside(found: Sequence[Finding]) -> str:
    """Render what else the set is judged by, a line each."""
    lines = ""
    for each in found:
        if each.judged and not each.principal:
            pair = html("from_to", base=value_of(each, "base"), tuned=value_of(each, "tuned"))
            lines += (
                f'<li class="{each.outcome}"><span>{metric_name(each)}</span> '
                f'<span class="numbers">{pair} <em>{html(OUTCOMES[each.outcome])}</em></span></li>'
            )
    return f'<ul class="beside">{lines}</ul>' if lines else ""


def _figures(found: Sequence[Finding]) -> str:
    """Render every figure of a set, folded away."""
    keys = ("measure", "column_base", "column_tuned", "difference")
    heads = "".join(f'<th scope="col">{html(key)}</th>' for key in keys)
    rows = "".join(
        f'<tr><th scope="row">{metric_name(each)}</th><td>{figure3(each.values["base"])}</td>'
        f"<td>{figure3(each.values['tuned'])}</td><td>{_interval(each.change)}</td></tr>"
        for each in found
    )
    return (
        f"<details><summary>{html('all_figures')}</summary><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )


def _interval(change: Change) -> Html:
    if change.low is None or change.high is None:
        return html("number", number=signed(change.mean))
    return html(
        "interval", mean=signed(change.mean), low=signed(change.low), high=signed(change.high)
    )


def value_of(finding: Finding, column: str) -> dict[str, str]:
    """Format a column's mean or count, for html()."""
    value = finding.values[column]
    if finding.metric not in COUNTED:
        return figure(value)
    count = round(value * finding.items)
    return {name: words("count_of", name, count=count, total=finding.items) for name in LANGUAGES}


def figure(value: float) -> dict[str, str]:
    """Format a mean as a sentence has it, for html()."""
    return decimal(f"{value:.2f}")


def figure3(value: float) -> Html:
    """Format a mean as a table has it."""
    return html("number", number=decimal(f"{value:.3f}"))


def signed(value: float) -> dict[str, str]:
    """Format a difference with its sign, for html()."""
    return decimal(f"{value:+.3f}".replace("-", "−"))


def _meanings() -> str:
    terms = "".join(
        f"<details><summary>{html(term)}</summary><p>{html(meaning)}</p></details>"
        for term, meaning in MEANINGS.items()
    )
    return f'<article class="set meanings"><h3>{html("meanings")}</h3>{terms}</article>'


# --- the loss ---


def loss(evidence: Evidence) -> Html:
    """Render the training loss in words, as a curve and in numbers."""
    points = evidence.history
    if len(points) < 2:
        return Html(f'<p class="hint none">{html("loss_none")}</p>')
    tenth = max(1, len(points) // 10)
    first, last = _mean_loss(points[:tenth]), _mean_loss(points[-tenth:])
    caption = html(
        "loss_fell" if last < first else "loss_rose",
        steps=points[-1][0],
        first=figure(first),
        last=figure(last),
    )
    few = thin(points)
    picture = plot(
        {"raw": few, "smooth": smooth(few)}, (html("axis_steps"), html("axis_loss")), _tick
    )
    shown = sorted({round(part * (len(points) - 1) / 8) for part in range(9)})
    rows = "".join(
        f"<tr><td>{html('number', number=points[index][0])}</td>"
        f"<td>{figure3(points[index][1])}</td></tr>"
        for index in shown
    )
    table = (
        f'<table><thead><tr><th scope="col">{html("axis_steps")}</th>'
        f'<th scope="col">{html("axis_loss")}</th></tr></thead><tbody>{rows}</tbody></table>'
    )
    return Html(
        f'<figure class="curve"><figcaption>{caption}</figcaption>{picture}</figure>'
        f"<details><summary>{html('loss_about')}</summary>"
        f"<p>{html('loss_is')}</p>{table}</details>"
    )


def _tick(value: float) -> Html:
    if value == int(value):
        return html("number", number=int(value))
    return html("number", number=decimal(f"{value:.3g}"))


def _mean_loss(points: Sequence[tuple[int, float]]) -> float:
    return sum(loss for _, loss in points) / len(points)
