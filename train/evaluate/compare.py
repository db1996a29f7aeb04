"""Two or more runs on the items that all of them answered: what is better, what is worse, and how far seeds lie apart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from space.model import PromptTemplate
from train.config import CompareConfig, ConfigError, FitConfig
from train.evaluate import findings as verdict
from train.evaluate import record as evaluation
from train.evaluate import statistics
from train.evaluate.statistics import by_set, item_scores
from train.evaluate.tables import HEADLINE, as_text, difference_words, tally
from train.run import Run

SAME = (
    "reference",
    "sources",
    "evidence",
)  # of an item, beside its question, or the runs were not asked the same
PER_TOKEN = ("loss", "perplexity")  # mean nothing between two tokenizers


class CompareError(Exception):
    """These runs cannot be compared; one line that says why and what to do."""


class WorseError(Exception):
    """A later run is worse than the first, beyond its interval."""


@dataclass(frozen=True)
class Scored:
    """A run as evaluate left it; `lines` are those of samples.jsonl by (set, uid, question)."""

    name: str
    folder: Path
    record: dict
    lines: dict[tuple[str, str, str], dict]
    prompt_template: PromptTemplate
    tokenizer: str | None

    @property
    def recipe(self) -> dict:
        """All that decided what was trained but for the seed."""
        return {
            **self.record["config"],
            "seed": None,
            "base_revision": self.record["base"]["revision"],
        }


@dataclass(frozen=True)
class Comparison:
    """Runs, the first being what the others are compared with, on the items that all of them answered.

    `means` is {set: {run: {metric: mean}}}, `changes` {run: {set: {metric: difference()}}} for each but the first, `scores`
    {set: {run: {metric: one value an item}}}; a run stands there by its place among `runs`, as "run0". `notes` say what was
    left out.
    """

    runs: list[Scored]
    lines: list[dict]
    scores: dict[str, dict]
    means: dict[str, dict]
    changes: dict[str, dict]
    notes: list[str]

    @property
    def later(self) -> Iterator[tuple[str, Scored]]:
        """The runs that are compared with the first, each with its place."""
        return ((f"run{place}", run) for place, run in enumerate(self.runs) if place)

    def findings(self, metrics: Mapping[str, Sequence[str]]) -> list[verdict.Finding]:
        """Returns what of `metrics` ({set: names}) is shown of each later run, and what is not."""
        return [
            verdict.finding(
                name,
                metric,
                self.runs[0].name,
                changes[metric],
                (self.means[name][place][metric], self.means[name]["run0"][metric]),
                self.count(name),
                run.name,
            )
            for place, run in self.later
            for name, changes in self.changes[place].items()
            for metric in metrics[name]
            if metric in changes
        ]

    def count(self, name: str) -> int:
        """Returns the items of a set."""
        return len(next(iter(self.scores[name]["run0"].values())))


def compare_runs(folders: Sequence[Path], config: CompareConfig) -> str:
    """Compares runs, writes compare.html and returns the tables; raises WorseError with `gate` where a later one is worse."""
    from train.evaluate.compare_page import page

    comparison = compare(folders)
    out = Path(config.out) if config.out else folders[-1].resolve().parent / "compare.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page(comparison), encoding="utf-8")
    told = [
        *comparison.notes,
        *(
            f"{run.name} less {comparison.runs[0].name}:\n{as_text(rows(comparison, place))}"
            for place, run in comparison.later
        ),
    ]
    for group in seeds(comparison):
        told.append(
            f"What one seed does not show: {', '.join(comparison.runs[place].name for place in group)} differ in no "
            f"more, and yet their means lie this far apart:\n{as_text(spread(comparison, group))}"
        )
    text = "\n\n".join([*told, f"compare: {out}"])
    worse = [
        each
        for each in comparison.findings(dict.fromkeys(comparison.means, HEADLINE))
        if each.outcome == "worse"
    ]
    if config.gate and worse:
        print(text, flush=True)
        raise WorseError(
            "the gate is shut: "
            + " ".join(f"{each.subject} on {each.set}: {each.words}" for each in worse)
        )
    return text


def compare(folders: Sequence[Path]) -> Comparison:
    """Returns the comparison of runs that evaluate has scored; raises CompareError where it would not be a fair one."""
    if len({folder.resolve() for folder in folders}) < max(2, len(folders)):
        raise ConfigError("compare needs two or more runs, each of them once")
    runs = [load(folder, name) for folder, name in zip(folders, names(folders), strict=True)]
    for run in runs[1:]:
        check(runs[0], run)
    lines, notes = shared(runs)
    alike = len({run.tokenizer for run in runs}) == 1
    if not alike:
        notes.append("The runs' tokenizers differ: a loss per token is not compared.")
    scores = {
        name: {
            f"run{place}": {
                metric: values
                for metric, values in item_scores(
                    items, f"run{place}", runs[0].prompt_template
                ).items()
                if alike or metric not in PER_TOKEN
            }
            for place in range(len(runs))
        }
        for name, items in by_set(lines).items()
    }
    return Comparison(
        runs,
        lines,
        scores,
        {
            name: {
                place: {
                    metric: statistics.mean(metric, values) for metric, values in metrics.items()
                }
                for place, metrics in columns.items()
            }
            for name, columns in scores.items()
        },
        {
            f"run{place}": {
                name: statistics.compared(name, columns["run0"], columns[f"run{place}"])
                for name, columns in scores.items()
            }
            for place in range(1, len(runs))
        },
        notes,
    )


def names(folders: Sequence[Path]) -> list[str]:
    """Returns the folders' names, with their parents' where two are called the same."""
    short = [folder.resolve().name for folder in folders]
    return [
        name if short.count(name) == 1 else "/".join(folder.resolve().parts[-2:])
        for name, folder in zip(short, folders, strict=True)
    ]


def load(folder: Path, name: str) -> Scored:
    """Returns a run's answers; raises CompareError where its scores are not its adapter's, or of an older version."""
    if not Run(folder).has_adapter():
        raise CompareError(f"{folder} is no run with an adapter: run `python -m train fit` first")
    wrong = list(evaluation.faults(Run(folder)))
    if wrong:
        raise CompareError(f"{folder}: {'; '.join(wrong)}")
    lines = [
        json.loads(line)
        for line in (folder / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    kept = json.loads((folder / evaluation.EVALUATION).read_text(encoding="utf-8"))
    record = Run(folder).adapter_record()
    record["config"] = (
        asdict(FitConfig()) | record["config"]
    )  # an older one lacks options, which had their defaults
    return Scored(
        name,
        folder,
        record,
        {(line["set"], line["uid"], line["question"]): line for line in lines},
        PromptTemplate.load(folder / "adapter" / "prompt.json"),
        kept["adapter"].get("tokenizer.json"),
    )


def check(first: Scored, other: Scored) -> None:
    """Raises CompareError where two runs were taught other catalogues or asked in other words."""
    ours, theirs = (
        run.record["data"] | {"source": run.record["data"]["source"]["sha256"]}
        for run in (first, other)
    )
    unlike = [name for name in ours if ours[name] != theirs.get(name)]
    if unlike:
        raise CompareError(
            f"{first.name} and {other.name} have different catalogues ({', '.join(unlike)} differ): what one "
            "never saw the other may have been trained on; prepare both from the same source"
        )
    ours, theirs = asdict(first.prompt_template), asdict(other.prompt_template)
    unlike = [name for name in ours if ours[name] != theirs[name]]
    if unlike:
        raise CompareError(
            f"{first.name} and {other.name} are asked in different words ({', '.join(unlike)} of prompt.json "
            "differ): train both with the same wording"
        )


def shared(runs: Sequence[Scored]) -> tuple[list[dict], list[str]]:
    """Returns the items that all runs answered, each with their answers as columns run0, run1, ..., and what was left out."""
    lines, unlike = [], dict.fromkeys(SAME, 0)
    for key, line in runs[0].lines.items():
        answers = [run.lines[key] for run in runs if key in run.lines]
        if len(answers) < len(runs):
            continue
        other = [name for name in SAME if any(answer[name] != line[name] for answer in answers)]
        if other:
            unlike[other[0]] += 1
            continue
        merged = {name: line[name] for name in ("task", "set", "uid", "title", "question", *SAME)}
        for place, answer in enumerate(answers):
            merged |= {
                f"run{place}{name.removeprefix('tuned')}": said
                for name, said in answer.items()
                if name.startswith("tuned")
            }
        lines.append(merged)
    apart = "; ".join(f"{count} with different {name}" for name, count in unlike.items() if count)
    if not lines:
        raise CompareError(
            f"{', '.join(run.name for run in runs)} share no item{f' ({apart})' if apart else ''}: train them "
            "with the same --context, --answer-tokens and --max-length and evaluate them with the same --items"
        )
    notes = [
        f"{len(lines):,} items that all runs answered, of {', '.join(f'{len(run.lines):,}' for run in runs)}."
    ]
    return lines, [*notes, *([f"Left out: {apart}."] if apart else [])]


def rows(comparison: Comparison, place: str) -> list[list[str]]:
    """Returns a later run's table beside the first's as rows of words, the heading first."""
    made = [
        [
            "set",
            "n",
            "metric",
            comparison.runs[0].name,
            comparison.runs[int(place[3:])].name,
            "difference [95%]",
            "won-tied-lost",
        ]
    ]
    for name, changes in comparison.changes[place].items():
        first = [name, str(comparison.count(name))]
        for metric, change in changes.items():
            if metric in HEADLINE:
                means = [
                    f"{comparison.means[name][column][metric]:.3f}" for column in ("run0", place)
                ]
                made.append([*first, metric, *means, difference_words(change), tally(change)])
                first = ["", ""]
    return made


def seeds(comparison: Comparison) -> list[list[int]]:
    """Returns the places of runs that differ in nothing but the seed, group by group."""
    groups: dict[str, list[int]] = {}
    for place, run in enumerate(comparison.runs):
        groups.setdefault(json.dumps(run.recipe, sort_keys=True), []).append(place)
    return [
        group
        for group in groups.values()
        if len({comparison.runs[place].record["seed"] for place in group}) > 1
    ]


def spread(comparison: Comparison, group: Sequence[int]) -> list[list[str]]:
    """Returns how far the means of runs lie apart: set, runs, metric, mean, standard deviation, least and most."""
    made = [["set", "runs", "metric", "mean", "deviation", "least", "most"]]
    for name, columns in comparison.means.items():
        first = [name, str(len(group))]
        for metric in HEADLINE:
            values = [columns[f"run{place}"].get(metric) for place in group]
            if None not in values:
                figures = np.mean(values), np.std(values, ddof=1), min(values), max(values)
                made.append([*first, metric, *(f"{figure:.3f}" for figure in figures)])
                first = ["", ""]
    return made
