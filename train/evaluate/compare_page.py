"""compare.html: what `compare` found between runs, as a page that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping

from space.evidence import JUDGED
from train.evaluate import charts
from train.evaluate import findings as verdict
from train.evaluate.compare import Comparison, Scored, seeds, spread
from train.evaluate.page import TEMPLATES, figure, mark, memory, needed, own, pairs, value, words
from train.evaluate.tables import HEADLINE, tally

WEIGHTS = "adapter/adapter_model.safetensors"


def page(comparison: Comparison) -> str:
    """Returns compare.html."""
    found = comparison.findings(JUDGED)
    names = {f"run{place}": run.name for place, run in enumerate(comparison.runs)}
    groups = seeds(comparison)
    return TEMPLATES.get_template("compare.html").render(
        names=names,
        notes=comparison.notes,
        lead=verdict.lead(found),
        about=verdict.SETS,
        runs={run.name: about(run, comparison.runs[0]) for run in comparison.runs},
        findings={
            run.name: [each for each in found if each.subject == run.name]
            for _, run in comparison.later
        },
        tables={run.name: table(comparison, place) for place, run in comparison.later},
        spreads=[
            ([comparison.runs[place].name for place in group], spread(comparison, group))
            for group in groups
        ],
        figures=[
            means(comparison, names),
            differences(comparison, names),
            losses(comparison, names),
            *sizes(comparison, names),
        ],
        pairs={
            run.name: (place, pairs(comparison.lines, comparison.scores, ("run0", place)))
            for place, run in comparison.later
        },
    )


def about(run: Scored, first: Scored) -> dict[str, str]:
    """Returns what a run is, and by which options it differs from the first."""
    record, config = run.record, run.record["config"]
    unlike = {
        name: option for name, option in config.items() if option != first.record["config"][name]
    }
    return {
        "base": f"{record['base']['name']} at {record['base']['revision'][:19]}, held in {config['precision']}",
        "adapter": f"rank {config['rank']}, {(run.folder / WEIGHTS).stat().st_size / 1e6:,.1f} MB",
        "training": f"{record['steps']:,} steps, {record['tokens']:,} tokens, seed {record['seed']}, {record['hardware']}, "
        f"{record['seconds']:,.0f} seconds{memory(record)}",
        "options unlike the first's": ""
        if run is first
        else ", ".join(f"--{name.replace('_', '-')} {option}" for name, option in unlike.items())
        or "none",
    }


def table(comparison: Comparison, place: str) -> list[dict]:
    """Returns {"set", "n", "rows"} of each set: [metric, first's mean, later's, difference, won-tied-lost, items needed]."""
    return [
        {
            "set": name,
            "n": comparison.count(name),
            "rows": [
                [
                    metric,
                    *(value(comparison.means[name][column][metric]) for column in ("run0", place)),
                    words(change),
                    tally(change),
                    needed(change),
                ]
                for metric, change in changes.items()
                if metric in HEADLINE
            ],
        }
        for name, changes in comparison.changes[place].items()
    ]


# --- pictures --------------------------------------------------------------------------------------------------------


def means(comparison: Comparison, names: Mapping[str, str]) -> dict:
    """Returns each run's mean of what a set is judged by, with the mean's own interval."""
    groups = {
        title(name): [
            mark(column, names[column], own(values[JUDGED[name][0]]), "{:.2f}")
            for column, values in columns.items()
        ]
        for name, columns in comparison.scores.items()
    }
    picture = charts.marks(
        groups, "The mean score of each run on each set", "0 to 1, more is better"
    )
    return figure("The runs", picture, "The mean over a set's items, and its own 95% interval.")


def differences(comparison: Comparison, names: Mapping[str, str]) -> dict:
    """Returns each later run less the first, on what a set is judged by, with the paired interval."""
    groups = {
        title(name): [
            mark(place, run.name, comparison.changes[place][name][JUDGED[name][0]], "{:+.2f}")
            for place, run in comparison.later
        ]
        for name in comparison.scores
    }
    picture = charts.marks(
        groups,
        f"Each later run's score less that of {names['run0']}",
        "difference, paired by item",
        zero=True,
    )
    return figure(
        f"Each later run less {names['run0']}",
        picture,
        "An interval that holds zero shows no difference; to the left of it, the later run is worse.",
    )


def title(name: str) -> str:
    """Returns a set and what it is judged by."""
    return f"{name}: {verdict.metric_words(name, JUDGED[name][0])}"


def losses(comparison: Comparison, names: Mapping[str, str]) -> dict:
    """Returns the training loss of each run by step."""
    series = {}
    for place, run in enumerate(comparison.runs):
        history = [
            json.loads(line)
            for line in (run.folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        series[f"run{place}"] = [(entry["step"], float(entry["loss"])) for entry in history]
    picture = charts.lines(
        series, "The loss of each run", ("optimizer step", "nats per answer token")
    )
    return figure(
        "Loss while training",
        picture,
        "Each on what it was trained on: comparable where the data and the recipe are the same.",
        names,
    )


def sizes(comparison: Comparison, names: Mapping[str, str]) -> list[dict]:
    """Returns rank against the adapter's size, and against memory; nothing for runs of one rank."""
    ranks = {
        f"run{place}": run.record["config"]["rank"] for place, run in enumerate(comparison.runs)
    }
    if len(set(ranks.values())) == 1:
        return []
    figures = []
    for head, unit, amounts in (
        (
            "Rank against size",
            "adapter, MB",
            [(run.folder / WEIGHTS).stat().st_size / 1e6 for run in comparison.runs],
        ),
        (
            "Rank against memory",
            "most memory in training, GiB",
            [run.record.get("memory", 0) / 2**30 for run in comparison.runs],
        ),
    ):
        if all(amounts):  # a run of an older version does not say its memory
            told = f"{unit}: " + ", ".join(
                f"{names[place]} {amount:,.2f} at rank {ranks[place]}"
                for place, amount in zip(ranks, amounts, strict=True)
            )
            series = {
                place: [(ranks[place], amount)]
                for place, amount in zip(ranks, amounts, strict=True)
            }
            figures.append(
                figure(
                    head,
                    charts.points(series, told, ("LoRA rank", unit), "spot"),
                    f"{told}.",
                    names,
                )
            )
    return figures
