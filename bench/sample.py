"""Seconds to fine-tune the sample, score it and answer in the browser."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import ROOT, Figure, Options, Outcome
from bench.startup import need_sample, running_app, served
from space.settings import DEFAULT_BASE

ITEMS, FULL_ITEMS = 50, 200  # of each scored set


def measure(options: Options) -> Outcome:
    """Time `train sample` and the app's start, as in `make run`."""
    with tempfile.TemporaryDirectory() as name:
        run, base, extra = Path(name, "sample"), DEFAULT_BASE, []
        items, full_items = (2, 3) if options.tiny else (ITEMS, FULL_ITEMS)
        if options.tiny:
            from bench.shapes import make_base

            base = make_base(Path(name, "out", "base"), tiny=True)
            extra = ["--out", str(base.parent), "--max-steps", "2"]
        else:
            need_sample()
        begun = time.perf_counter()
        printed = verb("sample", "--run", str(run), "--items", str(items), *extra)
        tuned = time.perf_counter() - begun
        with running_app(served(base, run)) as app:
            total = time.perf_counter() - begun
            # The base is scored before; its last score is written where fine-tuning begins.
            tuning = time.time() - max(
                file.stat().st_mtime for file in (run / "scores").glob("[!t]*.jsonl")
            )
        record = json.loads((run / "adapter" / "run.json").read_text(encoding="utf-8"))
        metrics, parts = (
            read_metrics(run),
            {
                "fit": record["seconds"],
                "sample": round(tuned, 1),
                "page": round(app.page, 1),
                "tuning_to_page": round(tuning, 1),
                "total": round(total, 1),
            },
        )
        found = [
            Figure("start of fine-tuning to answering page", tuning, "s", high=150),
            Figure("command to answering page", total, "s"),
            Figure("of it the command", tuned, "s"),
            Figure("of it fit alone", record["seconds"], "s"),
            Figure("of it the app's start", app.info, "s"),
        ]
        samples = {
            "seconds": parts,
            "items": items,
            "metrics": metrics,
            "printed": printed.splitlines(),
        }
        if options.full:
            verb("evaluate", "--run", str(run), "--limit", str(full_items))
            samples["full"] = metrics = read_metrics(run)
        found += scores(metrics, judged=options.full)
    return Outcome(found, samples)


def verb(*words: str) -> str:
    """Run a verb of train and return what it printed; raise RuntimeError where it fails."""
    done = subprocess.run(
        [sys.executable, "-m", "train", *words], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"train {words[0]} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def read_metrics(run: Path) -> dict:
    """Read the run's metrics.json."""
    return json.loads((run / "metrics.json").read_text(encoding="utf-8"))


def scores(metrics: dict, judged: bool) -> list[Figure]:
    """List the scores that have a target; it is judged only where there are enough items."""

    def at_least(name: str, value: float, low: float) -> Figure:
        return Figure(name, value, low=low if judged else None)

    seen = metrics["seen"]
    found = [
        at_least("seen, ROUGE-L tuned", seen["tuned"]["rougeL"], 0.90),
        at_least(
            "seen, ROUGE-L tuned over base", seen["tuned"]["rougeL"] - seen["base"]["rougeL"], 0.50
        ),
    ]
    if "grounded" in metrics:
        found.append(
            at_least("grounded, ROUGE-L tuned", metrics["grounded"]["tuned"]["rougeL"], 0.85)
        )
    found += [
        Figure(
            f"{name}, loss of tuned less base",
            entry["tuned"]["loss"] - entry["base"]["loss"],
            "nats",
            high=0.0 if judged else None,
        )
        for name, entry in metrics.items()
    ]
    return found
