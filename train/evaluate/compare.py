"""Runs compared on the items that all of them answered, and compare.html."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from space.evidence import JUDGED, METRICS, Finding, Scores, list_findings
from space.model import PromptTemplate
from train.config import BEFORE_OPTIONS, CompareConfig, ConfigError, FitConfig
from train.evaluate.evaluation import evaluation_problems
from train.evaluate.metrics import score_items
from train.evaluate.page import (
    SET_NAMES,
    TEMPLATES,
    Figure,
    differences_figure,
    extreme_pairs,
    gather,
    loss_figure,
    means_figure,
    memory,
    rank_figure,
    statements,
    tables,
)
from train.evaluate.report import as_text, finding_rows, headline, lead, sentence
from train.evaluate.samples import ScoredItem, read_samples
from train.evaluate.statistics import changes, means
from train.run import AdapterRecord, Run, read_json

SAME = ("reference", "sources", "evidence")  # of an item, or the runs were not asked the same
FIRST = "run0"  # the column of the run that the others are compared with


class CompareError(Exception):
    """These runs cannot be compared; one line that says why and what to do."""


class WorseError(Exception):
    """A later run is worse than the first, beyond its interval."""


@dataclass(frozen=True)
class EvaluatedRun:
    """A run as evaluate left it, with its items by (set, uid, question)."""

    name: str
    run: Run
    record: AdapterRecord
    items: dict[tuple[str, str, str], ScoredItem]
    prompt_template: PromptTemplate
    tokenizer: str | None

    @property
    def recipe(self) -> str:
        """All that decided what was trained, except the seed."""
        revision = self.record["base"]["revision"]
        recipe = self.record["config"] | {"seed": None, "base_revision": revision}
        return json.dumps(recipe, sort_keys=True)


@dataclass(frozen=True)
class Comparison:
    """Runs on the items that all of them answered; the others are compared with the first.

    In `items` and `scores` a run is a column, by its position: "run0". `scores` has, for each later
    run, those of every set, and `notes` say what was left out.
    """

    runs: list[EvaluatedRun]
    items: list[ScoredItem]
    scores: dict[str, list[Scores]]
    notes: list[str]

    @property
    def names(self) -> dict[str, str]:
        """The runs' names by column."""
        return {f"run{index}": run.name for index, run in enumerate(self.runs)}

    def findings(self, column: str) -> list[Finding]:
        """Compare a later run with the first."""
        return list_findings(self.scores[column], column)


def compare_runs(folders: Sequence[Path], config: CompareConfig) -> str:
    """Compare runs, write compare.html and return the tables.

    Raises WorseError where `gate` is set and a later run is worse.
    """
    comparison = compare(folders)
    out = Path(config.out) if config.out else folders[-1].resolve().parent / "compare.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(compare_page(comparison), encoding="utf-8")
    names, worse = comparison.names, []
    parts = list(comparison.notes)
    counts = "\n".join(headline(_all_scores(comparison), names))
    if counts:
        parts.append(counts)
    for column in comparison.scores:
        found = comparison.findings(column)
        shown = {FIRST: names[FIRST], column: names[column]}
        table = as_text(finding_rows(found, shown, against=FIRST))
        parts.append(f"{names[column]} less {names[FIRST]}:\n{table}")
        worse += [each for each in found if each.outcome == "worse"]
    for group in seed_groups(comparison):
        listed = ", ".join(names[column] for column in group)
        parts.append(
            f"What one seed does not show: {listed} differ in no more, and yet their means lie "
            f"this far apart:\n{as_text(spread(comparison, group))}"
        )
    text = "\n\n".join([*parts, f"compare: {out}"])
    if config.gate and worse:
        print(text, flush=True)
        reasons = [f"{names[each.column]} on {each.set}: {sentence(each, names)}" for each in worse]
        raise WorseError(f"the gate is shut: {' '.join(reasons)}")
    return text


def compare(folders: Sequence[Path]) -> Comparison:
    """Compare scored runs.

    Raises CompareError where that would not be fair.
    """
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ConfigError("compare needs two or more runs, each of them once")
    names = unique_names(folders)
    runs = [_load(Run(folder), name) for folder, name in zip(folders, names, strict=True)]
    for run in runs[1:]:
        _check_alike(runs[0], run)
    items, notes = _shared_items(runs)
    if len({run.tokenizer for run in runs}) > 1:
        notes.append("The runs' tokenizers differ: a loss per token is not compared.")
        items = [replace(item, scores=_without_loss(item)) for item in items]
    columns = [f"run{index}" for index in range(len(runs))]
    scores: dict[str, list[Scores]] = {column: [] for column in columns[1:]}
    for name, arrays in gather(items, columns).items():
        known = {column: _present(means(arrays[column])) for column in columns}
        count = sum(item.set == name for item in items)
        for column in scores:
            against = {FIRST: changes(name, arrays[FIRST], arrays[column])}
            scores[column].append(Scores(name, count, known, against))
    return Comparison(runs, items, scores, notes)


def _present(values: dict[str, float | None]) -> dict[str, float]:
    return {metric: value for metric, value in values.items() if value is not None}


def _without_loss(item: ScoredItem) -> dict[str, dict[str, float]]:
    """Leave out the loss, which means nothing between two tokenizers."""
    kept = {}
    for column, scores in item.scores.items():
        kept[column] = {metric: value for metric, value in scores.items() if metric != "loss"}
    return kept


def unique_names(folders: Sequence[Path]) -> list[str]:
    """Name runs by their folders, and the parents that tell them apart."""
    paths = [folder.resolve() for folder in folders]
    depths = [1] * len(paths)
    while True:
        names = [
            Path(*path.parts[-depth:]).as_posix() for path, depth in zip(paths, depths, strict=True)
        ]
        repeated = [names.count(name) > 1 for name in names]
        if not any(repeated):
            return names
        depths = [depth + again for depth, again in zip(depths, repeated, strict=True)]


def _load(run: Run, name: str) -> EvaluatedRun:
    """Read a run.

    Raises CompareError where its scores are not its adapter's, or of an older version.
    """
    if not run.has_adapter():
        raise CompareError(
            f"{run.folder} is no run with an adapter: run `python -m train fit` first"
        )
    problems = list(evaluation_problems(run))
    if problems:
        raise CompareError(f"{run.folder}: {'; '.join(problems)}")
    record = run.adapter_record()
    # An older record lacks options, which had their defaults.
    record["config"] = asdict(FitConfig()) | BEFORE_OPTIONS | record["config"]
    prompt_template = PromptTemplate.load(run.adapter / "prompt.json")
    samples = read_samples(run)
    if not all(_is_scored(item) for item in samples):  # by an older version
        samples = score_items(samples, prompt_template)
    return EvaluatedRun(
        name,
        run,
        record,
        {(item.set, item.uid, item.question): item for item in samples},
        prompt_template,
        read_json(run.evaluation)["adapter"].get("tokenizer.json"),
    )


def _is_scored(item: ScoredItem) -> bool:
    """Tell whether an item has its set's principal metric in every column."""
    principal = JUDGED.get(item.set, ("",))[0]
    return all(principal in scores for scores in item.scores.values()) and bool(item.scores)


def _check_alike(first: EvaluatedRun, other: EvaluatedRun) -> None:
    """Raise CompareError where two runs' catalogues or prompt templates differ."""
    unlike = _different(_known_data(first), _known_data(other))
    if unlike:
        raise CompareError(
            f"{first.name} and {other.name} have different catalogues ({', '.join(unlike)} "
            "differ): what one never saw the other may have been trained on; prepare both from the "
            "same source"
        )
    unlike = _different(asdict(first.prompt_template), asdict(other.prompt_template))
    if unlike:
        raise CompareError(
            f"{first.name} and {other.name} are asked in different words ({', '.join(unlike)} of "
            "prompt.json differ): train both with the same prompt template"
        )


def _known_data(run: EvaluatedRun) -> dict[str, Any]:
    data = run.record["data"]
    return data | {"source": data["source"]["sha256"]}


def _different(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one if one[name] != other.get(name)]


def _shared_items(runs: Sequence[EvaluatedRun]) -> tuple[list[ScoredItem], list[str]]:
    """Return the items that all runs answered, and what was left out.

    Each run is a column of an item.
    """
    items: list[ScoredItem] = []
    unlike: dict[str, int] = dict.fromkeys(SAME, 0)
    for key, item in runs[0].items.items():
        own = [run.items[key] for run in runs if key in run.items]
        if len(own) < len(runs):
            continue
        different = [name for name in SAME if _differ(own, name)]
        if different:
            unlike[different[0]] += 1
            continue
        answers = {f"run{index}": other.answers["tuned"] for index, other in enumerate(own)}
        scores = {f"run{index}": other.scores["tuned"] for index, other in enumerate(own)}
        items.append(replace(item, answers=answers, scores=scores))
    left_out = "; ".join(
        f"{count} with different {name}" for name, count in unlike.items() if count
    )
    if not items:
        listed = ", ".join(run.name for run in runs)
        raise CompareError(
            f"{listed} share no item{f' ({left_out})' if left_out else ''}: train them with the "
            "same --context, --answer-tokens and --max-length and evaluate them with the same "
            "--items"
        )
    counts = ", ".join(f"{len(run.items):,}" for run in runs)
    notes = [f"{len(items):,} items that all runs answered, of {counts}."]
    return items, [*notes, *([f"Left out: {left_out}."] if left_out else [])]


def _differ(items: Sequence[ScoredItem], name: str) -> bool:
    return any(getattr(item, name) != getattr(items[0], name) for item in items)


def seed_groups(comparison: Comparison) -> list[list[str]]:
    """Group the columns of runs that differ in nothing but the seed."""
    groups: dict[str, list[str]] = {}
    seeds: dict[str, set[int]] = {}
    for column, run in zip(comparison.names, comparison.runs, strict=True):
        groups.setdefault(run.recipe, []).append(column)
        seeds.setdefault(run.recipe, set()).add(run.record["seed"])
    return [group for recipe, group in groups.items() if len(seeds[recipe]) > 1]


def spread(comparison: Comparison, group: Sequence[str]) -> list[list[str]]:
    """Lay out the mean, deviation, least and most of several runs' means."""
    rows = [["set", "runs", "metric", "mean", "deviation", "least", "most"]]
    for scores in _all_scores(comparison):
        first = [scores.name, str(len(group))]
        for metric in METRICS:
            values = [scores.means[column].get(metric) for column in group]
            known = [value for value in values if value is not None]
            if len(known) == len(group):
                figures = np.mean(known), np.std(known, ddof=1), min(known), max(known)
                rows.append([*first, metric, *(f"{figure:.3f}" for figure in figures)])
                first = ["", ""]
    return rows


# --- compare.html ---


def compare_page(comparison: Comparison) -> str:
    """Render compare.html."""
    names = comparison.names
    judged, found_by_run, table_by_run, pairs = [], {}, {}, {}
    for column in comparison.scores:
        name, found = names[column], comparison.findings(column)
        own = [each for each in found if each.judged]
        judged += own
        found_by_run[name] = statements(own, names)
        table_by_run[name] = tables(found, {FIRST: names[FIRST], column: name})
        pairs[name] = column, extreme_pairs(comparison.items, FIRST, column)
    spreads = []
    for group in seed_groups(comparison):
        listed = ", ".join(names[column] for column in group)
        spreads.append((listed, spread(comparison, group)))
    return TEMPLATES.get_template("compare.html").render(
        names=names,
        notes=comparison.notes,
        lead=[*headline(_all_scores(comparison), names), *lead(judged, names)],
        about=SET_NAMES,
        runs={run.name: _facts(run, comparison.runs[0]) for run in comparison.runs},
        findings=found_by_run,
        tables=table_by_run,
        spreads=spreads,
        figures=list(_figures(comparison, judged)),
        pairs=pairs,
    )


def _all_scores(comparison: Comparison) -> list[Scores]:
    """Return the scores by set, with every run's means."""
    return next(iter(comparison.scores.values()))


def _facts(run: EvaluatedRun, first: EvaluatedRun) -> dict[str, str]:
    """Describe a run, and the options in which the first differs."""
    record, config = run.record, run.record["config"]
    unlike = _different(config, first.record["config"])
    options = ", ".join(f"--{name.replace('_', '-')} {config[name]}" for name in unlike) or "none"
    base = record["base"]
    return {
        "base": f"{base['name']} at {base['revision'][:19]}, held in {config['precision']}",
        "adapter": f"rank {config['rank']}, {_megabytes(run):,.1f} MB",
        "training": f"{record['steps']:,} steps, {record['tokens']:,} tokens, seed "
        f"{record['seed']}, {record['hardware']}, {record['seconds']:,.0f} seconds{memory(record)}",
        "options unlike the first's": "" if run is first else options,
    }


def _megabytes(run: EvaluatedRun) -> float:
    return (run.run.adapter / "adapter_model.safetensors").stat().st_size / 1e6


def _figures(comparison: Comparison, judged: Sequence[Finding]) -> Iterator[Figure]:
    names, runs = comparison.names, dict(zip(comparison.names, comparison.runs, strict=True))
    yield means_figure("The runs", gather(comparison.items, list(names)), names)
    yield differences_figure(
        f"Each later run less {names[FIRST]}",
        judged,
        lambda each: (each.column, names[each.column]),
        "the later run",
    )
    yield loss_figure(
        {column: run.run.read_history() for column, run in runs.items()},
        "Each on what it was trained on: comparable where the data and the recipe are the same.",
        names,
    )
    ranks = {column: run.record["config"]["rank"] for column, run in runs.items()}
    if len(set(ranks.values())) > 1:
        sizes = {column: [(ranks[column], _megabytes(run))] for column, run in runs.items()}
        yield rank_figure("Rank against size", sizes, "adapter, MB", names)
        held = {}
        for column, run in runs.items():
            memory_of_run = run.record.get("memory")  # an older run does not say it
            if memory_of_run:
                held[column] = [(ranks[column], memory_of_run / 2**30)]
        if len(held) == len(runs):
            unit = "most memory in training, GiB"
            yield rank_figure("Rank against memory", held, unit, names)
