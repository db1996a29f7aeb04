"""Summaries that people wrote: base against tuned, on TinyStories and on the sample's base."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from bench.figures import ROOT, Figure, Options, Outcome, Skipped
from bench.sample import read_metrics, verb
from bench.startup import need_sample
from space.settings import DEFAULT_BASE
from train.sample import CATALOGUE

SHARED = ROOT.parent / "shared"
SETS = {"temario-50": "rougeL_unicode", "xsum-25": "rougeL"}  # TeMario is Portuguese
BASES = {"TinyStories-656K": SHARED / "models" / "TinyStories-656K", "sample": DEFAULT_BASE}
HELD_OUT = 0.4  # of so few that a tenth of them would be two or four
RECIPE = (
    "--learn",
    "40",
    "--epochs",
    "4",
    "--answers",
    "0",
    "--follow-ups",
    "0",
    "--summarize",
    "1",
    "--rank",
    "16",
    "--learning-rate",
    "2e-3",
    "--batch-size",
    "8",
    "--answer-tokens",
    "160",
    "--items",
    "50",
    "--shots",
    "0",
)


def measure(options: Options) -> Outcome:
    """Train each base on each set with a small catalogue, and score what was held out."""
    need_sample()
    missing = [
        path
        for path in (*(SHARED / f"data/{name}.jsonl" for name in SETS), *BASES.values())
        if not path.exists()
    ]
    if missing:
        raise Skipped(f"{', '.join(path.name for path in missing)} are needed in ../shared")
    figures, samples = [], {"recipe": RECIPE, "held_out": HELD_OUT, "runs": {}}
    for base, folder in BASES.items():
        for name, metric in SETS.items():
            found = scored(folder, name, options)
            samples["runs"][f"{base}, {name}"] = found
            figures += list_figures(f"{base}, {name}", found["metrics"], metric)
    return Outcome(figures, samples)


def scored(base: Path, name: str, options: Options) -> dict:
    """Train and score one run; the result holds no text of the set."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        verb(
            "all",
            str(CATALOGUE),
            "--limit",
            "200",
            "--run",
            str(run),
            "--base",
            str(base),
            "--summaries",
            str(SHARED / f"data/{name}.jsonl"),
            "--text-column",
            "document",
            "--held-out",
            str(HELD_OUT),
            *RECIPE,
            *(("--max-steps", "2") if options.tiny else ()),
        )
        record = json.loads((run / "adapter" / "run.json").read_text(encoding="utf-8"))
        report = json.loads((run / "summaries" / "report.json").read_text(encoding="utf-8"))
        lines = [
            json.loads(line)
            for line in (run / "samples.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        return {
            "metrics": read_metrics(run)["summary"],
            "splits": report["splits"],
            "dropped": report["dropped"],
            "fit_seconds": record["seconds"],
            "steps": record["steps"],
            "tokens": record["tokens"],
            "characters": {
                "text": report["characters"]["text"]["p50"],
                "asked": _median(lines, "question"),
                "summary": report["characters"]["summary"]["p50"],
                "reference": _median(lines, "reference"),
            },
        }


def list_figures(title: str, metrics: dict, metric: str) -> list[Figure]:
    """List the figures of one run: items, base, tuned, no model, difference and interval."""
    found = [Figure(f"{title}, items", metrics["n"])]
    for column, words in (
        ("base", "base"),
        ("tuned", "tuned"),
        ("retrieved", "the text's first sentences"),
    ):
        found.append(Figure(f"{title}, {metric} {words}", metrics[column][metric]))
    for measure_of in (metric, "loss"):
        change = metrics["difference"][measure_of]
        found += [
            Figure(f"{title}, {measure_of} difference{end}", change[value])
            for end, value in (("", "mean"), (", low", "low"), (", high", "high"))
        ]
    return found


def _median(lines: list[dict], field: str) -> int:
    lengths = sorted(len(line[field]) for line in lines if line["set"] == "summary")
    return lengths[len(lengths) // 2]
