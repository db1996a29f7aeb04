"""Texts with summaries to learn from: a set -> clean pairs, each on one side of the split, and their report."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from train.config import ConfigError, SummariesConfig
from train.prepare import report as account
from train.prepare.blocks import BEGINNING, EXAMPLES, KEYS, Columns, Tally
from train.prepare.catalogue import clean_all
from train.prepare.cleaning import DROPS
from train.prepare.duplicates import REASONS, SIDES, judge, mixed, near_duplicates, sides
from train.prepare.fetching import fetch, hub_dataset
from train.prepare.folders import two_folders
from train.prepare.reading import Part, SourceError, blocks, identity, parse, source_parts
from train.prepare.shards import LANGUAGES_OF, made_uid
from train.run import Run, write_atomic

LOOKED_AT = 100  # rows of a set in which its columns are looked for
# A summary is cleaned as a title is and its text as a content: what a title is dropped for, a summary is.
NAMES = {reason: reason.replace("title", "summary").replace("content", "text") for reason in DROPS}
WHY = {
    NAMES[reason]: words.replace("titles", "summaries")
    .replace("title", "summary")
    .replace("content", "text")
    for reason, words in DROPS.items()
} | {
    "longer": "a summary that is not shorter than its text",
    "junk_summary": "a summary without a letter",
}


def prepare_pairs(run: Run, config: SummariesConfig, progress: bool = True) -> dict:
    """Writes run/summaries/ from the set that `config.summaries` names and returns its report; done already, only returns it.

    A pair is {uid, text, summary, split: train | unseen}; near duplicates are on one side together. Raises SourceError
    where a column is missing, where a file cannot be read or written, or where fewer than two pairs are left.
    """
    try:
        parts = source_parts(_fetched(run, config, progress))
        # A Hub data set is named in full: its config is often its language.
        dataset = (
            {"dataset": name, "name": config.summaries}
            if (name := hub_dataset(config.summaries))
            else {}
        )
        wanted = {
            "source": identity(config.summaries, parts) | dataset,
            "options": config.options(),
            "licence": config.summaries_licence,
        }
        saved = run.summaries_report()
        if wanted.items() <= saved.items():
            return saved
        _check_columns(parts, wanted["source"]["name"], config)
        building = run.folder / "summaries.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        columns = Columns(config.summary_column, config.text_column, "")
        tally, files, keys = clean_all(
            parts, building, wanted["source"]["bytes"], columns, progress
        )
        frame = _kept(files, keys["unseen"], tally)
        if len(frame) < 2:
            raise SourceError(_too_few(wanted["source"]["name"], tally, len(frame)))
        frame, near = _split(frame, config.held_out, wanted["source"]["name"])
        report = keep(run, frame, tally, wanted, near)
        shutil.rmtree(building)
        return report
    except (OSError, pl.exceptions.PolarsError) as error:
        place, reason = (
            getattr(error, "filename", None) or run.folder,
            getattr(error, "strerror", None) or error,
        )
        raise SourceError(
            f"{place}: {reason}; {config.summaries!r} must be readable and the run folder {str(run.folder)!r} "
            "writable, with room on its disk"
        ) from error


def _fetched(run: Run, config: SummariesConfig, progress: bool) -> Path:
    folders = [Path(config.summaries, name) for name in (config.text_column, config.summary_column)]
    if all(folder.is_dir() for folder in folders):
        return two_folders(*folders, run.source, (config.text_column, config.summary_column))
    return fetch(config.summaries, run.source, progress)


def _check_columns(parts: Sequence[Part], name: str, config: SummariesConfig) -> None:
    """Raises SourceError, with the columns that there are, where no row of the beginning has both."""
    lines = itertools.chain.from_iterable(block.lines for block in blocks(parts))
    rows = [row for row in map(parse, itertools.islice(lines, LOOKED_AT)) if isinstance(row, dict)]
    wanted = {"--text-column": config.text_column, "--summary-column": config.summary_column}
    if rows and not any(set(wanted.values()) <= row.keys() for row in rows):
        there = list(dict.fromkeys(key for row in rows for key in row))
        missing = " and ".join(
            f"no column {column!r} ({option})"
            for option, column in wanted.items()
            if column not in there
        )
        raise SourceError(
            f"{name!r} has {missing or 'no row with both columns'}; it has {', '.join(there)[:300]}"
        )


def _kept(files: Sequence[Path], held_back: np.ndarray, tally: Tally) -> pl.DataFrame:
    """Returns the pairs that stay (summary, text and what is known of them); the others are counted in `tally`."""
    tally.dropped = type(tally.dropped)(
        {NAMES[reason]: count for reason, count in tally.dropped.items()}
    )
    for reason in list(tally.examples):
        tally.examples[NAMES[reason]] = tally.examples.pop(reason)
    named = [
        pl.read_ipc(file).with_columns(
            file=pl.lit(json.loads(file.with_suffix(".json").read_text("utf-8"))["name"])
        )
        for file in files
    ]
    if not named:
        return pl.DataFrame({"text": []})
    frame = (
        pl.concat(named)
        .with_columns(held_back=pl.Series(held_back))
        .rename({"title": "summary", "content": "text"})
    )
    frame = _without(frame, "junk_summary", ~frame["summary"].str.contains(r"\p{L}"), tally)
    frame = _without(frame, "longer", frame["title_characters"] >= frame["characters"], tally)
    verdicts = judge({name: frame[name].to_numpy() for name in KEYS})
    for reason in REASONS[1:]:
        at_fault = pl.Series(verdicts == REASONS.index(reason))
        frame = _without(frame, NAMES[reason], at_fault, tally)
        verdicts = verdicts[~at_fault.to_numpy()]
    return frame


def _without(frame: pl.DataFrame, reason: str, at_fault: pl.Series, tally: Tally) -> pl.DataFrame:
    gone = frame.filter(at_fault)
    if len(gone):
        tally.dropped[reason] += len(gone)
        tally.examples[reason] += [
            {
                "file": row["file"],
                "line": row["line"],
                "text": f"{row['summary']}: {row['text']}"[:BEGINNING],
            }
            for row in gone.head(EXAMPLES).iter_rows(named=True)
        ]
    return frame.filter(~at_fault)


def _split(frame: pl.DataFrame, share: float, name: str) -> tuple[pl.DataFrame, int]:
    """Returns (uid, text, summary, split), and how many have a near duplicate: a hash of the text says which side.

    Neither side is empty: where chance left one so, as it does with a handful of pairs, one group changes over.
    """
    keys = {column: frame[column].to_numpy() for column in KEYS}
    near = near_duplicates(keys)
    side = sides(keys["content_key"], near, share, frame["held_back"].to_numpy())
    if side.all() or not side.any():
        lot = mixed(keys["content_key"], "split")
        last = near == near[lot.argmax() if side.all() else lot.argmin()]
        if last.all():
            raise SourceError(
                f"all {len(frame)} pairs of {name!r} are near duplicates of one another: nothing would be "
                "left to score that was not trained on"
            )
        side[last] = 1 - side[last]
    uids = [made_uid(*pair) for pair in frame.select("summary", "text").iter_rows()]
    split = pl.Series(np.array(SIDES)[side].tolist(), dtype=pl.String)
    alike = int((np.bincount(near)[near] > 1).sum())
    return frame.select(pl.Series("uid", uids), "text", "summary", split.alias("split")), alike


def _too_few(name: str, tally: Tally, left: int) -> str:
    went = ", ".join(
        f"{count:,} {reason} ({WHY[reason]})" for reason, count in tally.dropped.most_common()
    )
    return (
        f"{name!r} has {left} usable pair{'' if left == 1 else 's'} in {tally.read:,} rows, and two are the least, one to "
        f"learn from and one to score{went and f'; dropped: {went}'}"
    )


# --- on disk ---------------------------------------------------------------------------------------------------------


def keep(
    run: Run,
    frame: pl.DataFrame,
    tally: Tally,
    wanted: Mapping,
    near: int = 0,
    why: Mapping[str, str] = WHY,
) -> dict:
    """Writes pairs.parquet (uid, text, summary, split), report.md and, last, report.json to run/summaries; returns the report.

    `wanted` says where the pairs are from and how they were made, `why` what each reason in the tally is.
    """
    folder = run.summaries
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").unlink(missing_ok=True)
    unfinished = folder / "pairs.parquet.unfinished"
    frame.write_parquet(unfinished)
    os.replace(unfinished, folder / "pairs.parquet")
    some = frame["text"].gather_every(max(1, len(frame) // LANGUAGES_OF)).to_list()
    told = "".join(json.dumps(row) for row in frame.sort("uid").iter_rows())
    report = {
        "read": tally.read,
        "kept": len(frame),
        "dropped": dict(tally.dropped.most_common()),
        "examples": dict(tally.examples),
        "repaired": {
            name: {"texts": count, "examples": tally.repairs[name]}
            for name, count in tally.repaired.items()
        },
        **wanted,
        "splits": {side: int((frame["split"] == side).sum()) for side in SIDES},
        "near_duplicates": near,
        "languages": account.languages(some),
        "sha256": hashlib.sha256(told.encode()).hexdigest(),
        "characters": {
            name: account.lengths(frame[name].str.len_chars().to_numpy())
            for name in ("summary", "text")
        },
    }
    write_atomic(folder / "report.md", account.pairs_page(report, why))
    write_atomic(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return report


def refuse_leftover(run: Run) -> None:
    """Raises ConfigError where the run was prepared with summaries that are not asked for any more."""
    report = run.summaries_report()
    if report:
        option, name = (
            ("--teacher", report["teacher"]["name"])
            if "teacher" in report
            else ("--summaries", report["source"]["name"])
        )
        raise ConfigError(
            f"{run.name} was prepared with {option} {name}: repeat it, choose another --run, or remove its "
            "summaries/ to learn from the contents' own sentences"
        )


def load_pairs(run: Run) -> dict[str, list[dict]] | None:
    """Returns {"train": pairs, "unseen": pairs}, or None where the run has none.

    A pair is like a record, {uid, title, content, split}, with the text as its content, and has a `summary`; it has no title.
    The order depends on nothing but the uids.
    """
    if not run.summaries_report():
        return None
    rows = pl.read_parquet(run.summaries / "pairs.parquet").iter_rows(named=True)
    ordered = sorted(rows, key=lambda pair: hashlib.sha256(pair["uid"].encode()).digest())
    return {
        side: [
            {
                "uid": pair["uid"],
                "title": "",
                "content": pair["text"],
                "summary": pair["summary"],
                "split": side,
            }
            for pair in ordered
            if pair["split"] == side
        ]
        for side in SIDES
    }


def origin(run: Run) -> dict:
    """Returns which summaries a run learns from, for run.json: a name, and what is known of it."""
    report = run.summaries_report()
    if not report:
        return {"from": "the contents' own principal sentences"}
    told = {"licence": report["licence"], "splits": report["splits"], "sha256": report["sha256"]}
    if "teacher" in report:
        return {
            "from": f"the teacher {report['teacher']['name']}",
            "teacher": report["teacher"],
            **told,
        }
    return {"from": f"the set {report['source']['name']}", "source": report["source"], **told}


def references(run: Run) -> str:
    """Returns in words what the `summary` set is scored against."""
    report, made = run.summaries_report(), origin(run)["from"]
    if not report:
        return f"{made} of unseen records"
    return f"summaries of {made}, of texts that training never showed"
