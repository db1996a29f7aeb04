"""The whole catalogue prepared in a minute and little memory, beside the same file read, cleaned and cut down with pandas."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.figures import ROOT, Figure, Options, Outcome
from bench.fullsize import RECORDS, write

SECONDS, MEGABYTES, GROWTH = 60, 1500, 500
EVERY = 0.2  # seconds between two looks at the memory
OURS = "import sys; from train.__main__ import main; sys.exit(main(['prepare', sys.argv[1], '--run', sys.argv[2]]))"
# What courses and notebooks do with this file; lines that are not JSON have to be caught, or nothing is read at all.
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
    """Prepares a tenth and the whole of a made catalogue of the real one's size, and reads the whole with pandas."""
    count = 20_000 if options.tiny else RECORDS
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tenth, whole = write(folder / "tenth.json", count // 10), write(folder / "trn.json", count)
        runs = {
            "tenth": watched(OURS, tenth, folder / "tenth"),
            "whole": watched(OURS, whole, folder / "whole"),
            "pandas": watched(PANDAS, whole),
        }
        report = json.loads(
            (folder / "whole" / "catalogue" / "report.json").read_text(encoding="utf-8")
        )
        sizes = {
            part: sum(
                file.stat().st_size for file in (folder / "whole" / "catalogue" / part).rglob("*")
            )
            for part in ("records", "index")
        }
        samples = {
            "bytes": whole.stat().st_size,
            "runs": runs,
            "sizes": sizes,
            "report": {
                name: report[name]
                for name in ("read", "kept", "dropped", "splits", "near_duplicates", "languages")
            },
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


def watched(script: str, *words: Path) -> dict[str, float]:
    """Runs a script; returns its seconds and the most memory of all its processes together (PSS, in MB of 2**20 bytes).

    The proportional set counts what processes share once. Raises RuntimeError where the script fails.
    """
    begun, most = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        running = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, words)], cwd=ROOT, stdout=said, stderr=said
        )
        process = psutil.Process(running.pid)
        while running.poll() is None:
            most = max(most, memory(process))
            time.sleep(EVERY)
        seconds = time.perf_counter() - begun
        if running.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace")[-3000:])
    return {"seconds": round(seconds, 2), "megabytes": round(most / 2**20, 1)}


def memory(process: psutil.Process) -> int:
    """Returns the proportional set of a process and all its children in bytes; one that has ended holds nothing."""
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_full_info().pss
    except psutil.NoSuchProcess:
        pass
    return total
