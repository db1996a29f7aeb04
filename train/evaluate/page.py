"""report.html, and what compare.html shares with it: one file each, everything in it escaped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from space.evidence import (
    OUTCOMES,
    SETS,
    Change,
    Finding,
    Mark,
    dots,
    list_findings,
    metric_key,
    plot,
    principal_metric,
    read_scores,
    round_ticks,
    scale,
    thin,
)
from space.texts import words
from train.evaluate.report import (
    Names,
    cautions,
    column_names,
    difference_words,
    finding_cells,
    format_mean,
    headline,
    in_sentences,
    lead,
    rare_options,
    reported,
    sentence,
    tally,
)
from train.evaluate.samples import ScoredItem, by_set
from train.evaluate.statistics import difference, score_arrays
from train.run import AdapterRecord, Run

PAIRS = 10  # of the best and of the worst
# Escaping is the engine's, for every value; a name that a template misspells is an error.
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
SET_NAMES = {name: words(about) for name, (_, about) in SETS.items()}

Arrays = dict[str, dict[str, dict[str, np.ndarray]]]  # {set: {column: {metric: values}}}


@dataclass(frozen=True)
class Statement:
    """A finding as a page lists it."""

    set: str
    outcome: str
    label: str
    words: str


@dataclass(frozen=True)
class Table:
    """One set's part of a table of scores."""

    set: str
    n: int
    rows: list[list[str]] = field(default_factory=list)


@dataclass(frozen=True)
class Figure:
    """A picture with its heading, what to see in it and, where colours need it, {kind: name}."""

    title: str
    picture: Markup
    words: str
    legend: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AnswerPair:
    """One item with the scores of two columns."""

    item: ScoredItem
    before: float
    after: float

    @property
    def difference(self) -> float:
        return self.after - self.before


def report_page(
    run: Run,
    record: AdapterRecord,
    evaluation: Mapping[str, Any],
    metrics: Mapping[str, Any],
    samples: Sequence[ScoredItem],
) -> str:
    """Render report.html from a run's records and samples."""
    shots = evaluation["options"]["shots"]
    scores = read_scores(metrics)
    names = column_names(scores, shots)
    found = list_findings(scores)
    against_base = [each for each in found if each.against == "base"]
    against_shown = [each for each in found if each.against in names]
    told, data = reported(found), run.catalogue_report()
    arrays = gather(samples, list(names))
    best, worst = extreme_pairs(samples, "base", "tuned")
    history = run.read_history()
    return TEMPLATES.get_template("report.html").render(
        name=run.folder.resolve().name,
        record=record,
        metrics=metrics,
        names=names,
        data=data,
        done=_facts(record, data, evaluation),
        total=f"{len(samples):,}",
        lead=[*headline(scores, names), *lead(told, in_sentences(names))],
        cautions=list(cautions(scores)),
        about=SET_NAMES,
        findings=_by_set(statements(told, in_sentences(names))),
        table=tables(against_base, names),
        everything=_every_metric(metrics, names),
        figures=[
            means_figure("Before and after", arrays, names),
            differences_figure(
                "What the tuned model has more",
                against_shown,
                lambda each: (each.against, f"less {names[each.against]}"),
                "the tuned model",
            ),
            loss_figure(
                {"tuned": history},
                f"From {float(history[0]['loss']):.2f} to {float(history[-1]['loss']):.2f}, on "
                "what is trained on: a low one alone is learning by heart.",
                {},
            ),
            _lengths_figure(samples),
        ],
        best=best,
        worst=worst,
    )


def _by_set(stated: Iterable[Statement]) -> dict[str, list[Statement]]:
    sets: dict[str, list[Statement]] = {}
    for each in stated:
        sets.setdefault(each.set, []).append(each)
    return sets


def _facts(
    record: AdapterRecord, data: Mapping[str, Any], evaluation: Mapping[str, Any]
) -> dict[str, dict[str, str]]:
    """Say what was done, by part: {part: {name: words}}."""
    config, checked = record["config"], evaluation["checked"]
    gone = ", ".join(f"{count:,} {reason}" for reason, count in data["dropped"].items()) or "none"
    libraries = [f"{name} {version}" for name, version in record["libraries"].items()]
    step_rows = config["batch_size"] * config["accumulate"] * record.get("world_size", 1)
    base = record["base"]
    return {
        "data": {
            "source": f"{data['source']['name']} (sha256 {data['source']['sha256']})",
            "records": f"{data['kept']:,} kept of {data['read']:,} lines; dropped: {gone}",
            "split": f"{data['splits']['train']:,} to train on, "
            f"{data['splits']['unseen']:,} never seen",
            "learned by heart": f"{config['learn'] or data['splits']['train']:,}",
        },
        "training": {
            "base": f"{base['name']} at {base['revision']}, held in {config['precision']}",
            "adapter": f"LoRA of rank {config['rank']}, alpha {config['alpha']:g}"
            f"{rare_options(config)}, on all linear layers: "
            f"{record['adapter_parameters']:,} parameters",
            "steps": f"{record['steps']:,}, of {step_rows} "
            f"examples, learning rate {config['learning_rate']:g}, seed {record['seed']}",
            "read": f"{record['tokens']:,} tokens of {record['examples']:,} examples; "
            f"{record['left_out']:,} were too long",
            "hardware": f"{record['hardware']}, {record['seconds']:,.0f} seconds{memory(record)}",
            "libraries": ", ".join(libraries),
        },
        "scoring": {
            "items": f"at most {evaluation['options']['items']:,} a set; what was asked has the "
            f"digest {evaluation['items']}",
            "contamination": f"no title or content of {checked['items']:,} items is among the "
            f"{checked['records']:,} records that training may show, as normalised; seen is "
            "learned by design",
            "adapter": f"its weights are {evaluation['adapter']['adapter_model.safetensors']}",
        },
    }


def memory(record: AdapterRecord) -> str:
    """Say the most memory that training held, "" for an older run."""
    held = record.get("memory")
    return "" if held is None else f", at most {held / 2**30:,.1f} GiB of memory"


def statements(found: Iterable[Finding], names: Names) -> list[Statement]:
    """Put findings into words, as a page lists them."""
    return [
        Statement(
            each.set, each.outcome, words(OUTCOMES[each.outcome]).lower(), sentence(each, names)
        )
        for each in found
    ]


def tables(found: Iterable[Finding], names: Names) -> list[Table]:
    """Lay out findings by set, as finding_cells() and the items needed."""
    sets: dict[str, Table] = {}
    for each in found:
        part = sets.setdefault(each.set, Table(each.set, each.items))
        cells = finding_cells(each, names)
        part.rows.append([*cells[:-2], *_change_cells(each.change)])
    return list(sets.values())


def _change_cells(change: Change) -> list[str]:
    # What the interval says goes on a line of its own.
    interval = difference_words(change).replace("] no", "]\nno")
    return [interval, tally(change), "" if change.needed is None else f"{change.needed:,}"]


def _every_metric(metrics: Mapping[str, Any], names: Names) -> list[list[str]]:
    """Lay out every metric of tuned against every other column."""
    rows = []
    for name, scores in metrics.items():
        for other, changes in {"base": scores["difference"], **scores["against"]}.items():
            for metric, change in changes.items():
                means = [format_mean(scores[column].get(metric)) for column in ("tuned", other)]
                cells = _change_cells(Change(**change))
                rows.append([name, metric, means[0], names.get(other, other), means[1], *cells])
    return rows


# --- pictures ---


def gather(samples: Sequence[ScoredItem], columns: Sequence[str]) -> Arrays:
    """Gather the scores of samples by set, column and metric."""
    arrays: Arrays = {}
    for name, items in by_set(samples).items():
        arrays[name] = {column: score_arrays(items, column) for column in columns}
    return arrays


def means_figure(title: str, arrays: Arrays, names: Names) -> Figure:
    """Draw each column's principal mean by set, with the mean's own interval."""
    groups: dict[str, list[Mark]] = {}
    for name, by_column in arrays.items():
        present = {column: values for column, values in by_column.items() if values}
        metric = principal_metric(name, *present.values())
        group = groups.setdefault(_group_title(name, metric), [])
        for column, values in present.items():
            own = difference("mean", np.zeros_like(values[metric]), values[metric])
            group.append(_mark(column, names[column], own, "{:.2f}"))
    return Figure(
        title,
        _dots_by_group(groups, round_ticks(1.0)),
        "The mean over a set's items, and its own 95% interval: 0 to 1, more is better.",
    )


def _group_title(name: str, metric: str) -> str:
    return f"{name}: {words(metric_key(name, metric))}"


def _mark(kind: str, name: str, change: Change, form: str) -> Mark:
    label = form.format(change.mean)
    return Mark(kind, name, change.mean, label, low=change.low, high=change.high)


def _dots_by_group(groups: Mapping[str, Sequence[Mark]], ticks: Sequence[float]) -> Markup:
    """Draw groups of marks under their titles, on one scale."""
    drawn = Markup()
    for title, marks in groups.items():
        drawn += Markup("<h4>{}</h4>{}").format(title, Markup(dots(marks, ticks)))
    return drawn + Markup(scale(ticks, _number))


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"


def differences_figure(
    title: str, found: Iterable[Finding], name_of: Callable[[Finding], tuple[str, str]], worse: str
) -> Figure:
    """Draw the principal differences by set, each with its paired interval.

    `name_of` gives a finding's (kind, name), `worse` says what lies to the left of zero.
    """
    groups: dict[str, list[Mark]] = {}
    ends = [0.0]
    for each in found:
        if each.principal:
            kind, name = name_of(each)
            group = groups.setdefault(_group_title(each.set, each.metric), [])
            group.append(_mark(kind, name, each.change, "{:+.2f}"))
            change = each.change
            ends += [end for end in (change.mean, change.low, change.high) if end is not None]
    return Figure(
        title,
        _dots_by_group(groups, round_ticks(max(ends), min(ends))),
        "The difference, paired by item. An interval that holds zero shows no difference; to the "
        f"left of it, {worse} is worse.",
    )


def loss_figure(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], caption: str, legend: Names
) -> Figure:
    """Draw the training loss by step, a line for each history."""
    series = {}
    for kind, history in histories.items():
        series[kind] = thin([(entry["step"], float(entry["loss"])) for entry in history])
    picture = plot(series, ("optimizer step", "nats per answer token"), _number)
    return Figure("Loss while training", Markup(picture), caption, legend)


def _lengths_figure(samples: Sequence[ScoredItem]) -> Figure:
    """Draw each answer's relative length against its score."""
    series: dict[str, list[tuple[float, float]]] = {"base": [], "tuned": []}
    for item in samples:
        for column, points in series.items():
            scores = item.scores[column]
            if "length_ratio" in scores:
                points.append((scores["length_ratio"], closeness(scores)))
    axes = "words of the answer, over the reference's", "ROUGE-L"
    return Figure(
        "Length against score",
        Markup(plot(series, axes, _number, "dot")),
        f"Each dot is one of {2 * len(samples):,} answers. Were long answers to score by their "
        "length alone, the dots would rise to the right.",
        {"base": "base", "tuned": "tuned"},
    )


def rank_figure(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], unit: str, legend: Names
) -> Figure:
    """Draw an amount by rank, a dot for each run."""
    parts = []
    for kind, points in series.items():
        parts += [f"{legend[kind]} {amount:,.2f} at rank {rank:g}" for rank, amount in points]
    picture = plot(series, ("LoRA rank", unit), _number, "spot")
    return Figure(title, Markup(picture), f"{unit}: {', '.join(parts)}.", legend)


# --- pairs of answers ---


def closeness(scores: Mapping[str, float]) -> float:
    """Return an answer's ROUGE-L, in Portuguese that over words without accents."""
    return scores.get("rougeL_unicode", scores["rougeL"])


def extreme_pairs(
    samples: Sequence[ScoredItem], before: str, after: str
) -> tuple[list[AnswerPair], list[AnswerPair]]:
    """Choose the PAIRS most improved and the PAIRS least.

    No item is in both.
    """
    found = [
        AnswerPair(item, closeness(item.scores[before]), closeness(item.scores[after]))
        for item in samples
        if "rougeL" in item.scores[before] and "rougeL" in item.scores[after]
    ]
    found.sort(key=lambda pair: pair.difference, reverse=True)
    count = min(PAIRS, (len(found) + 1) // 2)
    return found[:count], found[count:][-PAIRS:][::-1]
