"""Time and memory of preparing the full catalogue, beside reading and cleaning it with pandas."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.figures import ROOT, Figure, Options, Outcome
from bench.fullsize import RECORDS, write_catalogue

SECONDS, MEGABYTES, GROWTH = 60, 1500, 500
INTERVAL = 0.2  # seconds between two measurements of the memory
OURS = """
import sys
from train.__main__ import main
sys.exit(main(["prepare", sys.argv[1], "--run", sys.argv[2]]))
"""
# What courses and notebooks do with this file; without catching lines that are not JSON, nothing
# is read at all.
PANDAS = """
import html, json, sys
import pandas
rows = []
with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
    for line in file:
        try:
            rows.append(json.loads(line))
        except ValueError:
            pass
frame = pandas.DataFrame(rows)[["uid", "title", "content"]]
for name in ("title", "content"):
    texts = frame[name].fillna("").map(html.unescape).str.replace(r"<[^>]+>", " ", regex=True)
    frame[name] = texts.str.replace(r"\\s+", " ", regex=True).str.strip()
frame = frame[(frame.title != "") & (frame.content.str.split().str.len() >= 3)]
frame = frame.drop_duplicates("title").drop_duplicates("content")
print(len(frame))
"""


def measure(options: Options) -> Outcome:
    """Prepare a tenth and all of an invented catalogue, and read all of it with pandas."""
    count = 20_000 if options.tiny else RECORDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tenth = write_catalogue(folder / "tenth.json", count // 10)
        full = write_catalogue(folder / "trn.json", count)
        runs = {
            "tenth": watch(OURS, tenth, folder / "tenth"),
            "whole": watch(OURS, full, folder / "whole"),
            "pandas": watch(PANDAS, full),
        }
        prepared = folder / "whole" / "catalogue"
        report = json.loads((prepared / "report.json").read_text(encoding="utf-8"))
        sizes = {}
        for part in ("records", "index"):
            sizes[part] = sum(file.stat().st_size for file in (prepared / part).rglob("*"))
        counts = ("read", "kept", "dropped", "splits", "near_duplicates", "languages")
        samples = {
            "bytes": full.stat().st_size,
            "runs": runs,
            "sizes": sizes,
            "report": {name: report[name] for name in counts},
        }
    ours, theirs = runs["whole"], runs["pandas"]
    return Outcome(
        [
            Figure("records", report["read"]),
            Figure("records kept", report["kept"]),
            Figure("prepare, split and index", ours["seconds"], "s", high=SECONDS),
            Figure("its peak memory, all processes", ours["megabytes"], "MB", high=MEGABYTES),
            Figure("a tenth of it", runs["tenth"]["seconds"], "s"),
            Figure(
                "seconds for ten times the records", ours["seconds"] / runs["tenth"]["seconds"], "x"
            ),
            Figure(
                "peak memory above that of a tenth",
                ours["megabytes"] - runs["tenth"]["megabytes"],
                "MB",
                high=GROWTH,
            ),
            Figure("pandas: read, clean, drop exact duplicates", theirs["seconds"], "s"),
            Figure("its peak memory", theirs["megabytes"], "MB"),
            Figure("ours over pandas' seconds", ours["seconds"] / theirs["seconds"], "x", high=1.0),
            Figure(
                "ours over pandas' memory", ours["megabytes"] / theirs["megabytes"], "x", high=0.2
            ),
            Figure(
                "lines that are neither a record nor counted",
                report["read"] - report["kept"] - sum(report["dropped"].values()),
                high=0,
            ),
        ],
        samples,
    )


def watch(script: str, *arguments: Path) -> dict[str, float]:
    """Run a script, and measure its seconds and the peak memory of all its processes.

    Memory is the proportional set size, which counts shared pages once, in MB of 2**20 bytes.
    Raise RuntimeError where the script fails.
    """
    begun, most = time.perf_counter(), 0
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )
        process = psutil.Process(running.pid)
        while running.poll() is None:
            most = max(most, memory(process))
            time.sleep(INTERVAL)
        seconds = time.perf_counter() - begun
        if running.returncode:
            output.seek(0)
            raise RuntimeError(output.read().decode(errors="replace")[-3000:])
    return {"seconds": round(seconds, 2), "megabytes": round(most / 2**20, 1)}


def memory(process: psutil.Process) -> int:
    """Return the bytes of a process and its children, 0 for one that has ended."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_full_info().pss
    except psutil.NoSuchProcess:
        pass
    return total
