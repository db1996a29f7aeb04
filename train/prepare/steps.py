"""The verb `prepare`: a catalogue, and a set of texts with summaries where one is named."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from train.config import PrepareConfig, SummariesConfig
from train.prepare.catalogue import prepare_catalogue
from train.prepare.pairs import prepare_pairs, refuse_leftover_pairs
from train.prepare.source import SourceError
from train.run import PreparationReport, Run, SummariesReport


def prepare_run(source: str, run: Run, config: PrepareConfig, summaries: SummariesConfig) -> None:
    """Prepare the catalogue, and the set of summaries if one is named.

    Raise SourceError where another process prepares the same run.
    """
    with _lock(run):
        _prepare(source, run, config, summaries)


def _prepare(source: str, run: Run, config: PrepareConfig, summaries: SummariesConfig) -> None:
    if not (summaries.summaries or summaries.teacher):
        refuse_leftover_pairs(run)
    report = prepare_catalogue(source, run, config)
    counts = f"{report['read']:,} lines read, {report['kept']:,} records kept"
    print(f"prepare: {counts}; {_list_dropped(report)}", flush=True)
    if summaries.summaries:
        print_pairs(prepare_pairs(run, summaries))


@contextlib.contextmanager
def _lock(run: Run) -> Iterator[None]:
    """Lock the run's folder.

    No file stays, and a killed process holds nothing.
    """
    try:
        import fcntl  # not on Windows

        run.folder.mkdir(parents=True, exist_ok=True)
        folder = os.open(run.folder, os.O_RDONLY)
    except (ImportError, OSError):  # a folder that cannot be made is told of when it is written
        yield
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise SourceError(
            f"another process prepares {run.name} now: wait for it, or choose another --run"
        ) from None
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(folder)


def print_pairs(report: SummariesReport) -> None:
    """Print what became of the texts with summaries."""
    counts = (
        f"{report['read']:,} texts with summaries read, {report['kept']:,} kept, "
        f"{report['splits']['unseen']:,} of them held out"
    )
    print(f"prepare: {counts}; {_list_dropped(report)}", flush=True)


def _list_dropped(report: PreparationReport) -> str:
    counts = [f"{count:,} {reason}" for reason, count in report["dropped"].items()]
    return f"dropped: {', '.join(counts) or 'nothing'}"
