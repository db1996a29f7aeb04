"""Twenty kills at random moments of prepare, fit and publish, and what the same command makes of it afterwards."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from bench.figures import ROOT, Figure, Options, Outcome
from bench.fullsize import write
from tests.hub.hub import Hub

KILLS, LINES, REPO = 20, 30_000, "ana/lamps"
VERBS = ("prepare", "fit", "publish")
FIT = [
    "--learn",
    "40",
    "--epochs",
    "2",
    "--rank",
    "4",
    "--batch-size",
    "8",
    "--save-steps",
    "2",
    "--answer-tokens",
    "60",
]
IMPORTS = 0.3  # of a verb's time, at least, is over before it does anything that could be lost


def measure(options: Options) -> Outcome:
    """Kills each verb in turn with SIGKILL, starts it again, and compares all it made with what it makes undisturbed."""
    kills, generator = (3 if options.tiny else KILLS), random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), 2_000 if options.tiny else LINES)
        wanted, seconds = {}, {}
        for verb in VERBS:
            begun = time.perf_counter()
            wanted[verb] = bench.made(verb, bench.begin(verb, "undisturbed"))
            seconds[verb] = time.perf_counter() - begun
        trials = []
        while len(trials) < kills:
            verb = VERBS[len(trials) % len(VERBS)]
            trial = bench.trial(verb, generator.uniform(IMPORTS, 1) * seconds[verb], wanted[verb])
            trials += [trial] if trial["killed"] else []
    correct = Counter(trial["verb"] for trial in trials if trial["correct"])
    figures = [
        Figure(f"kills of {verb}, of them gone on with correctly", correct[verb]) for verb in VERBS
    ]
    return Outcome(
        [
            Figure("kills", len(trials)),
            *figures,
            Figure("correct continuations", correct.total(), low=len(trials)),
        ],
        {"undisturbed_seconds": seconds, "trials": trials},
    )


class Bench:
    """A folder with a catalogue and, for each verb, a run that is ready for it."""

    def __init__(self, folder: Path, lines: int) -> None:
        self.folder, self.source = folder, write(folder / "trn.json", lines)
        self.ready = {
            "prepare": folder / "empty",
            "fit": folder / "prepared",
            "publish": folder / "scored",
        }
        self.ready["prepare"].mkdir()
        self.run_verb(self.call("prepare", folder / "prepared"))
        shutil.copytree(folder / "prepared", folder / "scored")
        self.run_verb(self.call("fit", folder / "scored"))
        self.run_verb(["evaluate", "--run", str(folder / "scored"), "--items", "4", "--shots", "0"])

    def call(self, verb: str, run: Path) -> list[str]:
        """Returns a verb's arguments."""
        more = {
            "prepare": [str(self.source), "--limit", "2000"],
            "fit": ["--base", str(ROOT / "space/sample/base"), *FIT],
            "publish": ["--to", REPO],
        }
        return [verb, *more[verb], "--run", str(run)]

    def begin(self, verb: str, name: str) -> Path:
        """Returns a new run's folder, ready for a verb; runs of one name are of one name on the Hub too."""
        run = self.folder / verb / name / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.ready[verb], run)
        return run

    def run_verb(
        self, call: list[str], environ: dict[str, str] | None = None, after: float | None = None
    ) -> int:
        """Runs a verb, killed `after` so many seconds, and returns its exit code; raises RuntimeError where it fails."""
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "train", *call],
                cwd=ROOT,
                stdout=said,
                stderr=said,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                os.killpg(
                    process.pid, signal.SIGKILL
                )  # with the processes that it started, as when a machine goes down
            if process.wait() not in (0, -signal.SIGKILL):
                said.seek(0)
                raise RuntimeError(said.read().decode(errors="replace")[-2000:])
        return process.returncode

    def made(
        self,
        verb: str,
        run: Path,
        after: float | None = None,
        killed: Callable[[int], None] = lambda code: None,
    ) -> dict:
        """Runs a verb, first killed `after` so many seconds where that is given, and returns a digest of each thing it made."""
        with Hub() as hub:
            environ = hub.environ(self.folder / "home") if verb == "publish" else None
            if after is not None:
                killed(self.run_verb(self.call(verb, run), environ, after))
            self.run_verb(self.call(verb, run), environ)
            if verb == "publish":
                files = {
                    f"{kind}/{path}": content
                    for (kind, _), repo in hub.repos.items()
                    for path, content in repo.files.items()
                }
            else:
                things = (
                    ("catalogue/records", "catalogue/report.json")
                    if verb == "prepare"
                    else (
                        "adapter/adapter_model.safetensors",
                        "adapter/adapter_config.json",
                        "adapter/tokenizer.json",
                    )
                )
                files = {
                    str(path.relative_to(run)): path.read_bytes()
                    for thing in things
                    for path in (
                        sorted((run / thing).rglob("*"))
                        if (run / thing).is_dir()
                        else [run / thing]
                    )
                }
        return {
            path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())
        }

    def trial(self, verb: str, after: float, wanted: dict) -> dict:
        """Kills a verb once and returns what came of it."""
        codes: list[int] = []
        made = self.made(verb, self.begin(verb, "undisturbed"), after, codes.append)
        return {
            "verb": verb,
            "after": round(after, 2),
            "killed": codes[0] == -signal.SIGKILL,
            "correct": made == wanted,
        }
