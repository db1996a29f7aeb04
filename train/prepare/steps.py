"""The verb `prepare`: a catalogue, and a set of texts with summaries where one is named."""

from __future__ import annotations

from collections.abc import Mapping

from train.config import PrepareConfig, SummariesConfig
from train.prepare import pairs
from train.prepare.catalogue import prepare
from train.run import Run


def prepare_run(source: str, run: Run, config: PrepareConfig, summaries: SummariesConfig) -> None:
    """Prepare the catalogue and the set of `summaries`; a teacher writes its own afterwards."""
    if not (summaries.summaries or summaries.teacher):
        pairs.refuse_leftover(run)
    report = prepare(source, run, config)
    counts = f"{report['read']:,} lines read, {report['kept']:,} records kept"
    print(f"prepare: {counts}; {dropped_words(report)}", flush=True)
    if summaries.summaries:
        print_pairs(pairs.prepare_pairs(run, summaries))


def print_pairs(report: Mapping) -> None:
    """Print what became of the texts with summaries."""
    counts = (
        f"{report['read']:,} texts with summaries read, {report['kept']:,} kept, "
        f"{report['splits']['unseen']:,} of them held out"
    )
    print(f"prepare: {counts}; {dropped_words(report)}", flush=True)


def dropped_words(report: Mapping) -> str:
    """Say what a report counts as dropped."""
    counts = [f"{count:,} {reason}" for reason, count in report["dropped"].items()]
    return f"dropped: {', '.join(counts) or 'nothing'}"
