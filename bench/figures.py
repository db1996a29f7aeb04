"""A measured number with its target, its conditions, and how both are written down."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "accelerate",
    "datasets",
    "trl",
    "gradio",
)


class Skipped(Exception):
    """A measurement that cannot be made here; one line that says what is missing."""


@dataclass(frozen=True)
class Options:
    """How to measure: `full` adds the long scoring; `tiny` only checks that everything runs."""

    full: bool = False
    tiny: bool = False


@dataclass(frozen=True)
class Figure:
    """A number, and the least (`low`) or the most (`high`) that it should be; neither for one that
    is only reported.
    """

    name: str
    value: float
    unit: str = ""
    low: float | None = None
    high: float | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the target is met; None without one."""
        if self.low is None and self.high is None:
            return None
        return (self.low is None or self.value >= self.low) and (
            self.high is None or self.value <= self.high
        )

    @property
    def target(self) -> str:
        """The target in words."""
        limits = ((">=", self.low), ("<=", self.high))
        return " ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)


@dataclass(frozen=True)
class Outcome:
    """What one measurement found: its figures, and every sample behind them."""

    figures: list[Figure]
    samples: dict = field(default_factory=dict)


def conditions() -> dict:
    """Describe the machine, versions, commit and load under which figures are measured."""
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": versions,
    }


def commit() -> str:
    """Returns the commit of this checkout, "+changes" where files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()

    return (git("rev-parse", "--verify", "-q", "HEAD") or "none") + (
        "+changes" if git("status", "--porcelain") else ""
    )


def processor() -> str:
    """Name the processor, with family and model, since the name alone is ambiguous."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor()
    lines = (
        line.partition(":")
        for line in path.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    )
    about = {name.strip(): value.strip() for name, _, value in lines}
    kinds = [flag for flag in ("avx512_bf16", "amx_bf16") if flag in about.get("flags", "").split()]
    named = f"{about.get('model name')} family {about.get('cpu family')} model {about.get('model')}"
    return ", ".join([named, *kinds])


def peak_memory() -> int:
    """Returns the most bytes that this process ever held; 0 where the system does not say.

    getrusage() would count the parent that started it as well.
    """
    path = Path("/proc/self/status")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def write(
    name: str, outcome: Outcome, measured: dict, folder: Path = ROOT / "bench" / "results"
) -> Path:
    """Writes <ISO date>-<name>.json in `folder`, over one of the same day, and returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{measured['date'][:10]}-{name}.json"
    figures = [
        asdict(figure) | {"target": figure.target, "passed": figure.passed}
        for figure in outcome.figures
    ]
    content = {"name": name, "conditions": measured, "figures": figures, "samples": outcome.samples}
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def table(figures: Iterable[Figure]) -> str:
    """Returns the figures as aligned lines: name, value, target, pass or miss."""
    rows = [
        (
            figure.name,
            f"{figure.value:,.4g} {figure.unit}".strip(),
            figure.target,
            {True: "pass", False: "MISS", None: ""}[figure.passed],
        )
        for figure in figures
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {target:<{widths[2]}}  {verdict}".rstrip()
        for name, value, target, verdict in rows
    )
