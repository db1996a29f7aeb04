"""Seconds from `python app.py` until the page and /info answer, cold and warm."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gradio_client import Client

from bench.figures import ROOT, Figure, Options, Outcome, Skipped

STARTS = 3  # of each kind
PATIENCE = 300  # seconds until a start counts as failed
SAMPLE = ROOT / "space" / "sample"
# The app's variables, beside PORT and MAX_*. They are removed from the caller's environment.
OWN = {
    "BASE_MODEL",
    "BASE_REVISION",
    "ADAPTER",
    "ADAPTER_REVISION",
    "CATALOGUE",
    "CATALOGUE_REVISION",
    "PRECISION",
    "VOTES_DIR",
    "VOTES_REPO",
    "QUEUE_SIZE",
}


@dataclass(frozen=True)
class Started:
    """A running app; `page` and `info` are the seconds until they answered."""

    url: str
    page: float
    info: float
    models: dict
    pid: int


def measure(options: Options) -> Outcome:
    """Start the app several times, each time from nothing."""
    if not options.tiny:
        need_sample()
        return start_often({}, STARTS)
    from bench.shapes import make_adapter, make_base, make_catalogue

    with tempfile.TemporaryDirectory() as folder:
        base, run = make_base(Path(folder, "base"), tiny=True), Path(folder, "run")
        make_catalogue(run, 60)
        return start_often(served(base, run, make_adapter(run, base)), 1)


def need_sample() -> None:
    """Raise Skipped where the embedded sample is missing."""
    if not (SAMPLE / "adapter" / "run.json").is_file():
        raise Skipped("space/sample is missing: python -m train sample --adapter makes it")


def served(base: Path, run: Path, adapter: Path | None = None) -> dict[str, str]:
    """Make the environment in which the app serves a run."""
    return {
        "BASE_MODEL": str(base),
        "ADAPTER": str(adapter or run / "adapter"),
        "CATALOGUE": str(run / "catalogue"),
    }


def start_often(environment: Mapping[str, str], times: int) -> Outcome:
    """Start the app `times` times cold and as often warm, and take the median seconds."""
    starts = {"cold": [], "warm": []}
    for kind, started in starts.items():
        for _ in range(times):
            if kind == "cold":
                forget()
            with running_app(environment) as app:
                started.append({"page": round(app.page, 2), "info": round(app.info, 2)})
    seconds = {
        (kind, what): median(start[what] for start in started)
        for kind, started in starts.items()
        for what in ("page", "info")
    }
    found = [
        Figure("cold start until the page answers", seconds["cold", "page"], "s", high=15),
        Figure("cold start until /info answers too", seconds["cold", "info"], "s"),
        Figure("warm start until the page answers", seconds["warm", "page"], "s"),
        Figure("warm start until /info answers too", seconds["warm", "info"], "s", high=15),
    ]
    return Outcome(found, {"starts": starts, "models": app.models})


def forget() -> None:
    """Drop Python, its packages and our files from the page cache, and delete our bytecode.

    The packages' bytecode stays: pip writes it as it installs. A file that another process has
    mapped stays, too.
    """
    for path in ROOT.glob("space/**/__pycache__"):
        shutil.rmtree(path, ignore_errors=True)
    os.sync()  # a page that is not on the disk yet cannot be forgotten
    for folder in (Path(sys.base_prefix), Path(sysconfig.get_path("purelib")), ROOT / "space"):
        for path in folder.rglob("*"):
            with contextlib.suppress(OSError):
                if path.is_file():
                    handle = os.open(path, os.O_RDONLY)
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                    os.close(handle)


def surroundings() -> dict[str, str]:
    """Copy the caller's environment without the variables that the app reads."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in OWN and not name.startswith("MAX_")
    }


@contextlib.contextmanager
def running_app(environment: Mapping[str, str]) -> Iterator[Started]:
    """Run app.py on a free port of loopback, and yield it once it answers."""
    port = free_port()
    quiet = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PORT": str(port)}
    with tempfile.TemporaryFile() as log:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=ROOT,
            env=surroundings() | quiet | dict(environment),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}/"
            wait_for_page(url, process, log)
            page = time.perf_counter() - begun
            models = Client(url, verbose=False).predict(api_name="/info")
            yield Started(url, page, time.perf_counter() - begun, models, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_for_page(url: str, process: subprocess.Popen, log) -> None:
    """Wait until the page answers 200; raise RuntimeError with the log's end if it never does."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    log.seek(0)
    raise RuntimeError(f"nothing answers at {url}:\n" + log.read().decode(errors="replace")[-3000:])


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
