"""report.html and compare.html: one file each that needs no other, where all that models and catalogues said is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import jinja2
import numpy as np
from markupsafe import Markup

from space.evidence import JUDGED
from space.model import PromptTemplate
from train.evaluate import charts
from train.evaluate import findings as verdict
from train.evaluate.statistics import by_set, difference, item_scores
from train.evaluate.tables import COLUMNS, HEADLINE, difference_words, tally, ways
from train.run import Run

PAIRS = 10  # of the best and of the worst
# Escaping is the engine's, for every value; a name that a template misspells is an error.
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).resolve().parent / "pages"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def report(
    run: Run,
    record: Mapping,
    evaluation: Mapping,
    metrics: Mapping,
    lines: Sequence[dict],
    prompt_template: PromptTemplate,
) -> str:
    """Returns report.html from a run's own files: run.json, evaluation.json, metrics.json and the lines of samples.jsonl."""
    shots = evaluation["options"]["shots"]
    names = columns(metrics, shots)
    scores = {
        name: {column: item_scores(items, column, prompt_template) for column in names}
        for name, items in by_set(lines).items()
    }
    found = verdict.findings(metrics, shots)
    data = run.catalogue_report()
    best, worst = pairs(lines, scores, ("base", "tuned"))
    history = run.read_history()
    return TEMPLATES.get_template("report.html").render(
        name=run.folder.resolve().name,
        record=record,
        evaluation=evaluation,
        metrics=metrics,
        names=names,
        data=data,
        done=done(record, data, evaluation),
        total=f"{len(lines):,}",
        lead=verdict.lead(found),
        cautions=list(verdict.cautions(metrics)),
        about=verdict.SETS,
        findings={name: [each for each in found if each.set == name] for name in metrics},
        table=table(metrics, names, HEADLINE),
        everything=everything(metrics, names),
        figures=[
            before_after(scores, names),
            differences(metrics, names),
            loss(history),
            lengths(lines, scores),
        ],
        best=best,
        worst=worst,
    )


def done(record: Mapping, data: Mapping, evaluation: Mapping) -> dict[str, dict[str, str]]:
    """Returns what was done, by part, as a person reads it: {part: {name: words}}."""
    config, checked = record["config"], evaluation["checked"]
    gone = ", ".join(f"{count:,} {reason}" for reason, count in data["dropped"].items()) or "none"
    return {
        "data": {
            "source": f"{data['source']['name']} (sha256 {data['source']['sha256']})",
            "records": f"{data['kept']:,} kept of {data['read']:,} lines; dropped: {gone}",
            "split": f"{data['splits']['train']:,} to train on, {data['splits']['unseen']:,} never seen",
            "learned by heart": f"{config['learn'] or data['splits']['train']:,}",
        },
        "training": {
            "base": f"{record['base']['name']} at {record['base']['revision']}, held in {config['precision']}",
            "adapter": f"LoRA of rank {config['rank']}, alpha {config['alpha']:g}{ways(config)}, on all linear "
            f"layers: {record['adapter_parameters']:,} parameters",
            "steps": f"{record['steps']:,}, of {config['batch_size'] * config['accumulate']} examples, learning rate "
            f"{config['learning_rate']:g}, seed {record['seed']}",
            "read": f"{record['tokens']:,} tokens of {record['examples']:,} examples; {record['left_out']:,} were too "
            "long",
            "hardware": f"{record['hardware']}, {record['seconds']:,.0f} seconds{memory(record)}",
            "libraries": ", ".join(
                f"{name} {version}" for name, version in record["libraries"].items()
            ),
        },
        "scoring": {
            "items": f"at most {evaluation['options']['items']:,} a set; what was asked has the fingerprint "
            f"{evaluation['items']}",
            "nothing leaked": f"no title or content of {checked['items']:,} items is among the {checked['records']:,} "
            "records that training may show, as normalised; seen is learned by design",
            "adapter": f"its weights are {evaluation['adapter']['adapter_model.safetensors']}",
        },
    }


def memory(record: Mapping) -> str:
    """Returns the most memory that training held, where run.json says it: that of an older version does not."""
    return f", at most {record['memory'] / 2**30:,.1f} GiB of memory" if "memory" in record else ""


def columns(metrics: Mapping, shots: int) -> dict[str, str]:
    """Returns {column: its name for a person} of those that every set has."""
    return {
        name: title.format(shots=shots)
        for name, title in COLUMNS.items()
        if all(name in scores for scores in metrics.values())
    }


def table(metrics: Mapping, names: Mapping[str, str], wanted: Sequence[str]) -> list[dict]:
    """Returns {"set", "n", "rows"} of each set: [metric, a value a column, difference, won-tied-lost, items needed]."""
    return [
        {
            "set": name,
            "n": scores["n"],
            "rows": [
                [
                    metric,
                    *(value(scores[column].get(metric)) for column in names),
                    words(change),
                    tally(change),
                    needed(change),
                ]
                for metric, change in scores["difference"].items()
                if metric in wanted
            ],
        }
        for name, scores in metrics.items()
    ]


def everything(metrics: Mapping, names: Mapping[str, str]) -> list[list[str]]:
    """Returns [set, metric, tuned, other, its value, difference, won-tied-lost, items needed] of all that was compared."""
    return [
        [
            name,
            metric,
            value(scores["tuned"].get(metric)),
            names.get(other, other),
            value(scores[other].get(metric)),
            words(change),
            tally(change),
            needed(change),
        ]
        for name, scores in metrics.items()
        for other, changes in {"base": scores["difference"], **scores["against"]}.items()
        for metric, change in changes.items()
    ]


def value(number: float | None) -> str:
    """Returns a mean as a table shows it."""
    return "" if number is None else f"{number:.3f}"


def words(change: Mapping) -> str:
    """Returns a difference as a table shows it: what the interval says goes on a line of its own."""
    return difference_words(change).replace("] no", "]\nno")


def needed(change: Mapping) -> str:
    """Returns the items that a difference of this size needs."""
    return "" if change["needed"] is None else f"{change['needed']:,}"


# --- pictures --------------------------------------------------------------------------------------------------------


def figure(
    title: str, picture: Markup, words: str, legend: Mapping[str, str] = MappingProxyType({})
) -> dict:
    """Returns a picture with its heading, what to see in it and, where its colours need it, {kind: name}."""
    return {"title": title, "picture": picture, "words": words, "legend": legend}


def before_after(scores: Mapping, names: Mapping[str, str]) -> dict:
    """Returns each column's mean of what a set is judged by, with the mean's own interval."""
    groups = {}
    for name, by_column in scores.items():
        metric = JUDGED[name][0]
        groups[f"{name}: {verdict.metric_words(name, metric)}"] = [
            mark(column, names[column], own(values[metric]), "{:.2f}")
            for column, values in by_column.items()
        ]
    picture = charts.marks(
        groups, "The mean score of each column on each set", "0 to 1, more is better"
    )
    return figure(
        "Before and after", picture, "The mean over a set's items, and its own 95% interval."
    )


def differences(metrics: Mapping, names: Mapping[str, str]) -> dict:
    """Returns the tuned model less each other column, on what a set is judged by, with the paired interval."""
    groups = {}
    for name, scores in metrics.items():
        metric, others = JUDGED[name][0], {"base": scores["difference"], **scores["against"]}
        groups[f"{name}: {verdict.metric_words(name, metric)}"] = [
            mark(other, f"less {names[other]}", changes[metric], "{:+.2f}")
            for other, changes in others.items()
            if metric in changes and other in names
        ]
    picture = charts.marks(
        groups,
        "The tuned model's score less that of each other column",
        "difference, paired by item",
        zero=True,
    )
    return figure(
        "What the tuned model has more",
        picture,
        "An interval that holds zero shows no difference; to the left of it, the tuned model is worse.",
    )


def own(values: np.ndarray) -> dict:
    """Returns the mean of one value an item and its interval."""
    return difference("mean", np.zeros_like(values), values)


def mark(kind: str, name: str, change: Mapping, form: str) -> charts.Mark:
    """Returns one value with its interval, as a plot shows it."""
    return charts.Mark(
        kind, name, change["mean"], change["low"], change["high"], form.format(change["mean"])
    )


def loss(history: Sequence[Mapping]) -> dict:
    """Returns the training loss by step."""
    steps = [(entry["step"], float(entry["loss"])) for entry in history]
    picture = charts.lines(
        {"tuned": steps},
        f"The loss, from {steps[0][1]:.2f} to {steps[-1][1]:.2f}",
        ("optimizer step", "nats per answer token"),
    )
    return figure(
        "Loss while training",
        picture,
        "On what is trained on: a low one alone is learning by heart.",
    )


def lengths(lines: Sequence[dict], scores: Mapping) -> dict:
    """Returns each answer's length over its reference's against its score, base and tuned."""
    series = {
        column: [
            (length, score)
            for values in (each[column] for each in scores.values())
            for length, score in zip(
                values["length_ratio"].tolist(), closeness(values).tolist(), strict=True
            )
            if not np.isnan(length)
        ]
        for column in ("base", "tuned")
    }
    picture = charts.points(
        series,
        f"The length of {2 * len(lines)} answers against their score",
        ("words of the answer, over the reference's", "ROUGE-L"),
    )
    return figure(
        "Length against score",
        picture,
        "Each dot is an answer. Were long answers to score by their length alone, the dots would rise to the right.",
        {"base": "base", "tuned": "tuned"},
    )


# --- pairs of answers ------------------------------------------------------------------------------------------------


def closeness(scores: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns how close each answer of a column is to its reference: ROUGE-L, of Portuguese over words without accents."""
    unicode = scores.get("rougeL_unicode", np.full_like(scores["rougeL"], np.nan))
    return np.where(np.isnan(unicode), scores["rougeL"], unicode)


def pairs(
    lines: Sequence[dict], scores: Mapping, two: tuple[str, str]
) -> tuple[list[dict], list[dict]]:
    """Returns the PAIRS best and the PAIRS worst lines by what the second column has more than the first; none is in both.

    Each is {"line", "before", "after", "difference"}.
    """
    found = [
        {"line": line, "before": before, "after": after, "difference": after - before}
        for name, items in by_set(lines).items()
        for line, before, after in zip(
            items, *(closeness(scores[name][column]).tolist() for column in two), strict=True
        )
    ]
    found.sort(key=lambda each: each["difference"], reverse=True)
    count = min(PAIRS, (len(found) + 1) // 2)
    return found[:count], found[count:][-PAIRS:][::-1]
