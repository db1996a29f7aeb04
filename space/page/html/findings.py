"""What an adapter's scores show, as HTML: a verdict in words and a chart a set, what got worse included, and its loss."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from space.evidence import (
    JUDGED,
    Change,
    Evidence,
    Row,
    Scores,
    curve,
    dots,
    interval_shows,
    less_is_better,
    share,
)
from space.texts import LANGUAGES, Html, decimal, html, words

FEW = 30  # items, below which a bootstrap's interval is itself rough
SETS = {
    "seen": ("set_seen", "about_seen"),
    "unseen": ("set_unseen", "about_unseen"),
    "grounded": ("set_grounded", "about_grounded"),
    "absent": ("set_absent", "about_absent"),
    "summary": ("set_summary", "about_summary"),
}
METRICS = {
    "rougeL": "metric_rouge",
    "token_f1": "metric_f1",
    "supported": "metric_supported",
    "invented_numbers": "metric_numbers",
    "invented_names": "metric_names",
    "source_right": "metric_source",
    "says_absent": "metric_absent",
    "loss": "metric_loss",
}
COLUMNS = {
    "base": "column_base",
    "few_shot": "column_few_shot",
    "retrieved": "column_retrieved",
    "tuned": "column_tuned",
}
OUTCOMES = {"better": "outcome_better", "worse": "outcome_worse", "unclear": "outcome_unclear"}


def verdicts(evidence: Evidence) -> Html:
    """Returns what the scores show: in a sentence, then by set, then what the words mean; where there are none, that."""
    if not evidence.scores:
        return Html(f'<p class="hint none">{html("evidence_none")}</p>')
    few = [scores.name for scores in evidence.scores if scores.items < FEW]
    caution = (
        f'<p class="hint">{html("evidence_few", sets=listed(few), few=FEW)}</p>' if few else ""
    )
    cards = "".join(_card(scores) for scores in evidence.scores)
    return Html(
        f'<p class="gist">{lead(evidence.scores)}</p>{caution}<div class="sets">{cards}{_meanings()}</div>'
    )


def lead(every: Sequence[Scores]) -> Html:
    """Returns, in a sentence or two, on which sets tuned is better than base, worse, or not shown to differ, and what else is
    worse."""
    said, judged = [], {scores.name: outcome(scores, JUDGED[scores.name][0]) for scores in every}
    for key, found in (
        ("lead_better", "better"),
        ("lead_worse", "worse"),
        ("lead_unclear", "unclear"),
    ):
        if sets := [name for name, each in judged.items() if each == found]:
            said.append(html(key, sets=listed(sets), count=len(sets), of=len(every)))
    for scores in every:
        if worse := [
            metric for metric in JUDGED[scores.name][1:] if outcome(scores, metric) == "worse"
        ]:
            names = Html(", ".join(metric_name(scores.name, metric) for metric in worse))
            said.append(html("lead_beside", metrics=names, set=listed([scores.name])))
    return Html(" ".join(said))


def outcome(scores: Scores, metric: str) -> str:
    """Returns "better", "worse", or "unclear" where the interval holds zero or there is none."""
    change = scores.changes.get(metric)
    if change is None or not interval_shows(change.low, change.high):
        return "unclear"
    return "better" if (change.mean < 0) == bool(less_is_better(scores.name, metric)) else "worse"


def metric_name(name: str, metric: str) -> Html:
    """Returns what a metric of a set is, for a person."""
    return html(
        "metric_wrongly_absent"
        if (name, metric) == ("grounded", "says_absent")
        else METRICS[metric]
    )


def listed(sets: Iterable[str]) -> dict[str, str]:
    """Returns the names of sets in a row, for html()."""
    said = {}
    for language in LANGUAGES:
        names = [words(SETS[name][0], language) for name in sets]
        names = [name[:1].lower() + name[1:] for name in names]
        joined = ", ".join(names[:-1]), words("and", language), names[-1]
        said[language] = " ".join(joined) if joined[0] else names[-1]
    return said


# --- a set -----------------------------------------------------------------------------------------------------------


def _card(scores: Scores) -> str:
    title, about = SETS[scores.name]
    metric = JUDGED[scores.name][0]
    change = scores.changes.get(metric)
    found = outcome(scores, metric)
    return (
        f'<article class="set {found}"><header><h3>{html(title)}</h3>'
        f"<small>{html('items', count=scores.items)}</small></header>"
        f'<p class="hint">{html(about)}</p><p class="finding"><strong>{html(OUTCOMES[found])}.</strong> '
        f"{_finding(scores, metric, change, found)}</p>{dots(_rows(scores, metric, change))}{_tally(change)}"
        f"{_beside(scores)}{_figures(scores)}</article>"
    )


def _finding(scores: Scores, metric: str, change: Change | None, found: str) -> Html:
    values = {
        "metric": metric_name(scores.name, metric),
        "base": figure(scores.means["base"][metric]),
        "tuned": figure(scores.means["tuned"][metric]),
    }
    if change is None or change.low is None:
        return html("finding_plain", **values)
    ends = {"mean": signed(change.mean), "low": signed(change.low), "high": signed(change.high)}
    return html("finding_unclear" if found == "unclear" else "finding_shown", **values, **ends)


def _rows(scores: Scores, metric: str, change: Change | None) -> list[Row]:
    rows = []
    for column, key in COLUMNS.items():
        value = scores.means.get(column, {}).get(metric)
        if value is None:
            continue
        if column != "tuned" or change is None or change.low is None:
            rows.append(
                Row(
                    column,
                    html(key),
                    value,
                    scores.means["base"][metric] if column == "tuned" else None,
                )
            )
        else:
            start = scores.means["base"][metric]
            rows.append(
                Row(column, html(key), value, start, start + change.low, start + change.high)
            )
    return rows


def _tally(change: Change | None) -> str:
    if change is None or change.wins is None:
        return ""
    bar = share((("wins", change.wins), ("ties", change.ties), ("losses", change.losses)))
    return f'<p class="tally">{bar}{html("tally", wins=change.wins, ties=change.ties, losses=change.losses)}</p>'


def _beside(scores: Scores) -> str:
    """Returns what else the set is judged by, a line each."""
    lines = "".join(
        f'<li class="{outcome(scores, metric)}"><span>{metric_name(scores.name, metric)}</span> '
        f'<span class="numbers">{_from_to(scores, metric)} <em>{html(OUTCOMES[outcome(scores, metric)])}</em></span></li>'
        for metric in JUDGED[scores.name][1:]
        if metric in scores.changes
    )
    return f'<ul class="beside">{lines}</ul>' if lines else ""


def _from_to(scores: Scores, metric: str) -> Html:
    return html(
        "from_to",
        base=figure(scores.means["base"][metric]),
        tuned=figure(scores.means["tuned"][metric]),
    )


def _figures(scores: Scores) -> str:
    """Returns every figure of a set, folded away."""
    heads = "".join(
        f'<th scope="col">{html(key)}</th>'
        for key in ("measure", "column_base", "column_tuned", "difference")
    )
    rows = "".join(
        f'<tr><th scope="row">{metric_name(scores.name, metric)}</th><td>{figure3(scores.means["base"][metric])}</td>'
        f"<td>{figure3(scores.means['tuned'][metric])}</td><td>{_interval(change)}</td></tr>"
        for metric, change in scores.changes.items()
    )
    return (
        (
            f"<details><summary>{html('all_figures')}</summary><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
            "</table></details>"
        )
        if rows
        else ""
    )


def _interval(change: Change) -> Html:
    if change.low is None:
        return html("number", number=signed(change.mean))
    return html(
        "interval", mean=signed(change.mean), low=signed(change.low), high=signed(change.high)
    )


def figure(value: float) -> dict[str, str]:
    """Returns a mean as a sentence has it, for html()."""
    return decimal(f"{value:.2f}")


def figure3(value: float) -> Html:
    """Returns a mean as a table has it."""
    return html("number", number=decimal(f"{value:.3f}"))


def signed(value: float) -> dict[str, str]:
    """Returns a difference with its sign, for html()."""
    return decimal(f"{value:+.3f}".replace("-", "−"))


def _meanings() -> str:
    texts = (
        ("mean_rouge", "mean_rouge_is"),
        ("mean_interval", "mean_interval_is"),
        ("mean_tally", "mean_tally_is"),
        ("mean_supported", "mean_supported_is"),
        ("mean_source", "mean_source_is"),
        ("mean_few_shot", "mean_few_shot_is"),
        ("mean_retrieved", "mean_retrieved_is"),
        ("mean_not", "mean_not_is"),
    )
    terms = "".join(
        f"<details><summary>{html(term)}</summary><p>{html(meaning)}</p></details>"
        for term, meaning in texts
    )
    return f'<article class="set meanings"><h3>{html("meanings")}</h3>{terms}</article>'


# --- the loss --------------------------------------------------------------------------------------------------------


def loss(evidence: Evidence) -> Html:
    """Returns how the loss fell while it was trained, in words, as a curve and in numbers; where nothing is known, that."""
    points = evidence.history
    if len(points) < 2:
        return Html(f'<p class="hint none">{html("loss_none")}</p>')
    tenth = max(1, len(points) // 10)
    first, last = (
        sum(y for _, y in part) / len(part) for part in (points[:tenth], points[-tenth:])
    )
    said = html(
        "loss_fell" if last < first else "loss_rose",
        steps=points[-1][0],
        first=figure(first),
        last=figure(last),
    )
    picture = curve(points, (html("axis_steps"), html("axis_loss")), said)
    places = sorted({round(part * (len(points) - 1) / 8) for part in range(9)})
    rows = "".join(
        f"<tr><td>{html('number', number=points[place][0])}</td><td>{figure3(points[place][1])}</td></tr>"
        for place in places
    )
    table = (
        f'<table><thead><tr><th scope="col">{html("axis_steps")}</th><th scope="col">{html("axis_loss")}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    return Html(
        f"{picture}<details><summary>{html('loss_about')}</summary><p>{html('loss_is')}</p>{table}</details>"
    )
