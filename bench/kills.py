"""Kill prepare, fit and publish at random moments, and check that the same command recovers."""

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
from pathlib import Path

from bench.figures import ROOT, Figure, Options, Outcome
from bench.fullsize import write_catalogue
from tests.hub.hub import Hub

KILLS, LINES, REPO = 20, 30_000, "ana/lamps"
VERBS = ("prepare", "fit", "publish")
# What a verb makes in the run, as patterns; what publish makes is on the Hub.
MADE = {
    "prepare": ("catalogue/records/*", "catalogue/report.json"),
    "fit": (
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "adapter/tokenizer.json",
    ),
}
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
IMPORTS = 0.3  # share of a verb's time; before it nothing could be lost


def measure(options: Options) -> Outcome:
    """Kill each verb in turn, repeat it, and compare the result with an undisturbed one."""
    kills, generator = (3 if options.tiny else KILLS), random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), 2_000 if options.tiny else LINES)
        expected, seconds = {}, {}
        for verb in VERBS:
            begun = time.perf_counter()
            expected[verb] = bench.digests(verb, bench.begin(verb, "undisturbed"))
            seconds[verb] = time.perf_counter() - begun
        trials = []
        while len(trials) < kills:
            verb = VERBS[len(trials) % len(VERBS)]
            trial = bench.trial(verb, generator.uniform(IMPORTS, 1) * seconds[verb], expected[verb])
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
        self.folder = folder
        self.source = write_catalogue(folder / "trn.json", lines)
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
        """Return a verb's arguments."""
        more = {
            "prepare": [str(self.source), "--limit", "2000"],
            "fit": ["--base", str(ROOT / "space/sample/base"), *FIT],
            "publish": ["--to", REPO],
        }
        return [verb, *more[verb], "--run", str(run)]

    def begin(self, verb: str, name: str) -> Path:
        """Make a run's folder that is ready for a verb."""
        run = self.folder / verb / name / "run"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(self.ready[verb], run)
        return run

    def run_verb(
        self, call: list[str], environ: dict[str, str] | None = None, after: float | None = None
    ) -> int:
        """Run a verb, kill it `after` as many seconds, and return its exit code.

        Raise RuntimeError where it fails.
        """
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "train", *call],
                cwd=ROOT,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                # With the processes that it started, as when a machine goes down.
                os.killpg(process.pid, signal.SIGKILL)
            if process.wait() not in (0, -signal.SIGKILL):
                output.seek(0)
                raise RuntimeError(output.read().decode(errors="replace")[-2000:])
        return process.returncode

    def digests(
        self,
        verb: str,
        run: Path,
        after: float | None = None,
        codes: list[int] | None = None,
    ) -> dict[str, str]:
        """Run a verb and return the digest of each file it made.

        With `after` it is killed first, after as many seconds, and `codes` gets its exit code.
        """
        with Hub() as hub:
            environ = hub.environ(self.folder / "home") if verb == "publish" else None
            if after is not None and codes is not None:
                codes.append(self.run_verb(self.call(verb, run), environ, after))
            self.run_verb(self.call(verb, run), environ)
            files = {}
            for (kind, _), repo in hub.repos.items():
                for path, content in repo.files.items():
                    files[f"{kind}/{path}"] = content
        for pattern in MADE.get(verb, ()):
            for path in run.glob(pattern):
                files[str(path.relative_to(run))] = path.read_bytes()
        return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}

    def trial(self, verb: str, after: float, expected: dict) -> dict:
        """Kill a verb once and compare its result."""
        codes: list[int] = []
        digests = self.digests(verb, self.begin(verb, "undisturbed"), after, codes)
        return {
            "verb": verb,
            "after": round(after, 2),
            "killed": codes[0] == -signal.SIGKILL,
            "correct": digests == expected,
        }
