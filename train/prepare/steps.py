"""The verb `prepare`: a catalogue, and a set of texts with summaries where one is named."""

from __future__ import annotations

from train.config import PrepareConfig, SummariesConfig
from train.prepare.catalogue import prepare_catalogue
from train.prepare.pairs import prepare_pairs, refuse_leftover_pairs
from train.run import PreparationReport, Run, SummariesReport


def prepare_run(source: str, run: Run, config: PrepareConfig, summaries: SummariesConfig) -> None:
    """Prepare the catalogue, and the set of summaries if one is named."""
    if not (summaries.summaries or summaries.teacher):
        refuse_leftover_pairs(run)
    report = prepare_catalogue(source, run, config)
    counts = f"{report['read']:,} lines read, {report['kept']:,} records kept"
    print(f"prepare: {counts}; {_list_dropped(report)}", flush=True)
    if summaries.summaries:
        print_pairs(prepare_pairs(run, summaries))


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
