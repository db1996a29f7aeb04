"""trn.json -> clean, de-duplicated records, their search index and a report."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import tqdm

from space.catalogue import build_index, put_in_place
from train.config import PrepareConfig
from train.prepare import report as account
from train.prepare.blocks import KEYS, Columns, Tally, cleaned, stored
from train.prepare.duplicates import SIDES, choose, judge, made_uids, near_duplicates, sides
from train.prepare.fetching import fetch, hub_dataset
from train.prepare.reading import Block, Part, SourceError, blocks, identity, source_parts
from train.prepare.shards import count_dropped, stored_records, write_lines, write_records
from train.run import Run

WORKERS = 2  # processes that clean; more would only wait for the one that reads and indexes
ALONE = 32 * 2**20  # bytes of a source for which starting them takes longer than the work


def prepare(
    source: str, run: Run, config: PrepareConfig | None = None, progress: bool = True
) -> dict:
    """Writes the catalogue/ folder of `run` and returns its report; where that is done already, only returns it.

    Killed and called again it goes on with the blocks that were cleaned. Raises SourceError where the source has no
    usable record or a file cannot be read or written; an older catalogue stays.
    """
    config = config or PrepareConfig()
    folder, building = run.catalogue, run.folder / "catalogue.building"
    try:
        parts = source_parts(fetch(source, run.source, progress))
        dataset = {"dataset": name} if (name := hub_dataset(source)) else {}
        wanted = {"source": identity(source, parts) | dataset, "options": config.options()}
        saved = run.catalogue_report()
        if wanted.items() <= saved.items():
            if config.jsonl and not (folder / "prompts.jsonl").is_file():
                write_lines(folder)
            return saved
        report = _build(parts, _begin(building, wanted), wanted, config, progress)
        put_in_place(building, folder)
        return report
    except (OSError, pl.exceptions.PolarsError) as error:
        shutil.rmtree(building, ignore_errors=True)
        place, reason = (
            getattr(error, "filename", None) or run.folder,
            getattr(error, "strerror", None) or error,
        )
        raise SourceError(
            f"{place}: {reason}; {source!r} must be readable and the run folder {str(run.folder)!r} writable, "
            "with room on its disk"
        ) from error
    except Exception:
        shutil.rmtree(building, ignore_errors=True)
        raise


def require_catalogue(run: Run) -> None:
    """Raise SourceError where the run has no prepared catalogue; reads no record."""
    if not run.catalogue_report():
        raise SourceError(
            f"{str(run.folder)!r} has no catalogue yet: run `python -m train prepare SOURCE --run {run.folder}`"
        )


def load_records(run: Run) -> list[dict]:
    """Read the kept records in order; raise SourceError where there is no catalogue."""
    require_catalogue(run)
    return list(stored_records(run.catalogue))


def _begin(building: Path, wanted: dict) -> Path:
    """Returns the folder to build in, with the blocks of an unfinished try for the same source."""
    mark = building / "blocks" / "of.json"
    told = json.dumps({"source": wanted["source"], "columns": wanted["options"]["columns"]})
    if not (mark.is_file() and mark.read_text(encoding="utf-8") == told):
        shutil.rmtree(building, ignore_errors=True)
        mark.parent.mkdir(parents=True)
        mark.write_text(told, encoding="utf-8")
    for name in ("records", "index", "index.building"):
        shutil.rmtree(building / name, ignore_errors=True)
    (building / "records").mkdir()
    return building


def _build(
    parts: list[Part], folder: Path, wanted: dict, config: PrepareConfig, progress: bool
) -> dict:
    """Writes all of a catalogue folder and returns its report."""
    columns = Columns(config.title_column, config.content_column, config.uid_column)
    tally, files, keys = clean_all(
        parts, folder / "blocks", wanted["source"]["bytes"], columns, progress
    )
    verdicts = judge(keys)
    choose(keys, verdicts, config.limit)
    count_dropped(files, verdicts, tally)
    stay = verdicts == 0
    if not stay.any():
        raise SourceError(_no_record(wanted["source"]["name"], tally))
    kept = {name: column[stay] for name, column in keys.items()}
    near = near_duplicates(kept)
    split = sides(kept["title_key"], near, config.unseen_share, kept["unseen"])
    own = made_uids(kept["uid_key"])
    told: list[str] = []
    with tqdm(total=tally.kept, unit=" records", desc="indexing", disable=not progress) as bar:
        build_index(
            write_records(files, folder / "records", stay, split, own, told, bar), folder / "index"
        )
    shutil.rmtree(folder / "blocks")
    report = {
        "read": tally.read,
        "kept": tally.kept,
        "dropped": dict(tally.dropped.most_common()),
        "examples": dict(tally.examples),
        "repaired": {
            name: {"texts": count, "examples": tally.repairs[name]}
            for name, count in tally.repaired.items()
        },
        **wanted,
        "splits": {side: int((split == place).sum()) for place, side in enumerate(SIDES)},
        "near_duplicates": int((np.bincount(near)[near] > 1).sum()),
        "languages": account.languages(told),
        "characters": {
            "title": account.lengths(kept["title_characters"]),
            "content": account.lengths(kept["characters"]),
        },
        "uids_made": int(own.sum()),
    }
    if config.jsonl:
        write_lines(folder)
    (folder / "report.md").write_text(account.page(report), encoding="utf-8")
    (folder / "report.json").write_text(
        json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return report


def _no_record(source: str, tally: Tally) -> str:
    if not tally.read:
        return f"{source!r} is empty: give a file with a JSON object with a title and a content on each line"
    reason, count = tally.dropped.most_common(1)[0]
    example = tally.examples[reason][0]
    return (
        f"{source!r} has no usable record: {count:,} of its {tally.read:,} lines are dropped as {reason}, such as "
        f"line {example['line']} ({example['text']!r}); give a JSON object with a title and a content on each line, or "
        "name the columns with --title-column and --content-column"
    )


# --- every block, in parallel ----------------------------------------------------------------------------------------


def clean_all(parts: list[Part], folder: Path, size: int, columns: Columns, progress: bool):
    """Returns (the tally, the blocks' files in `folder`, their numbers by name), all in the source's order."""
    tally, files, held_back = Tally(), [], []
    with tqdm(total=size, unit="B", unit_scale=True, desc="reading", disable=not progress) as bar:
        for unseen, (part_tally, file) in _in_order(
            blocks(parts, bar), folder, columns, size > ALONE
        ):
            tally.add(part_tally)
            files.append(file)
            held_back.append(unseen)
    frames = [pl.read_ipc(file, columns=list(KEYS)) for file in files]
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=KEYS)
    keys = {name: frame[name].to_numpy() for name in KEYS}
    keys["unseen"] = np.repeat(np.array(held_back, bool), [len(frame) for frame in frames])
    return tally, files, keys


def _in_order(
    found: Iterator[Block], folder: Path, columns: Columns, parallel: bool
) -> Iterator[tuple[bool, tuple[Tally, Path]]]:
    """Yields (whether it is held back, its tally and file) of every block; a few are in work at a time."""
    if not parallel:
        for number, block in enumerate(found):
            yield block.part.unseen, _one(block, columns, folder / f"{number:06}.arrow")
        return
    waiting: list[tuple[bool, Future]] = []
    # A process of its own that never held our threads: what a fork would copy of them is broken.
    # One thread of polars in each: with one a core in every process they wait for one another, half as long as they work.
    with ProcessPoolExecutor(
        WORKERS, multiprocessing.get_context("spawn"), os.putenv, ("POLARS_MAX_THREADS", "1")
    ) as pool:
        for number, block in enumerate(found):
            waiting.append(
                (
                    block.part.unseen,
                    pool.submit(_one, block, columns, folder / f"{number:06}.arrow"),
                )
            )
            if len(waiting) > 2 * WORKERS:
                unseen, done = waiting.pop(0)
                yield unseen, done.result()
        for unseen, done in waiting:
            yield unseen, done.result()


def _one(block: Block, columns: Columns, file: Path) -> tuple[Tally, Path]:
    tally = stored(file)
    return (tally, file) if tally else cleaned(block, columns, file)
