"""Prepare a catalogue: clean records in Parquet shards, their search index and a report."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from tqdm import tqdm

from space.catalogue import Record, build_index, detect_language, replace_folder
from train.config import PrepareConfig
from train.prepare.clean import (
    EXAMPLE_LENGTH,
    EXAMPLES,
    KEYS,
    Tally,
    block_name,
    clean_block,
    hash_texts,
    read_tally,
)
from train.prepare.duplicates import (
    REASONS,
    SPLITS,
    assign_splits,
    find_duplicates,
    group_near_duplicates,
    mark_not_sampled,
    needs_uid,
)
from train.prepare.fetch import fetch, hub_dataset
from train.prepare.report import catalogue_page, count_languages, describe_lengths
from train.prepare.source import (
    Block,
    Columns,
    Part,
    SourceError,
    check_columns,
    find_parts,
    identify_source,
    read_blocks,
)
from train.run import CatalogueReport, DroppedLine, Run, SourceIdentity, to_json, to_jsonl

WORKERS = 2  # processes that clean; more would wait for the one that reads and indexes
ALONE = 32 * 2**20  # bytes of a source for which starting them takes longer than the work
SHARD = 100_000  # records in a Parquet file
LANGUAGE_SAMPLE = 10_000  # records whose language is detected, at most


class SplitRecord(Record):
    """A prepared record with its side of the split: train or unseen."""

    split: str


@dataclass(frozen=True)
class Selection:
    """Which cleaned records stay; `splits` and `needs_uid` are of those alone."""

    stays: np.ndarray
    splits: np.ndarray  # indices into SPLITS
    needs_uid: np.ndarray


def prepare_catalogue(
    source: str, run: Run, config: PrepareConfig | None = None, progress: bool = True
) -> CatalogueReport:
    """Write the run's catalogue/ folder and return its report.

    A finished one is only read. A call after a kill goes on with the blocks that were cleaned.
    Raise SourceError where the source has no usable record or a file cannot be read or written; an
    older catalogue stays.
    """
    config = config or PrepareConfig()
    building = run.folder / "catalogue.building"
    try:
        parts = find_parts(fetch(source, run.source, progress))
        identity = identify_source(source, parts)
        dataset = hub_dataset(source)
        if dataset:
            identity["dataset"] = dataset
        wanted = {"source": identity, "options": config.options()}
        saved = run.catalogue_report()
        if wanted.items() <= saved.items():
            if config.jsonl and not (run.catalogue / "prompts.jsonl").is_file():
                write_jsonl(run.catalogue)
            return saved
        _refuse_other_source(run, saved, identity)
        _start_building(building, wanted)
        report = _build(parts, building, wanted, config, progress)
        replace_folder(building, run.catalogue)
        return report
    except (OSError, pl.exceptions.PolarsError) as error:
        shutil.rmtree(building, ignore_errors=True)
        raise unusable_files(error, source, run) from error
    except Exception:  # leave nothing half-built, whatever it was
        shutil.rmtree(building, ignore_errors=True)
        raise


def _refuse_other_source(run: Run, saved: CatalogueReport, identity: SourceIdentity) -> None:
    """Raise SourceError where another source's records would be replaced."""
    before = saved.get("source")
    if not before or before["sha256"] == identity["sha256"]:
        return
    is_renewed = before["name"] == identity["name"] and not run.has_adapter()
    if not is_renewed:
        raise SourceError(
            f"{run.name} has the catalogue of {before['name']!r}, {saved['kept']:,} records, which "
            f"{identity['name']!r} would replace: choose another --run, or remove {run.catalogue}"
        )


def unusable_files(error: Exception, source: str, run: Run) -> SourceError:
    """Say which file could not be read or written."""
    path = getattr(error, "filename", None) or run.folder
    reason = getattr(error, "strerror", None) or error
    return SourceError(
        f"{path}: {reason}; {source!r} must be readable and the run folder {str(run.folder)!r} "
        "writable, with room on its disk"
    )


def require_catalogue(run: Run) -> None:
    """Raise SourceError where the run has no prepared catalogue."""
    if not run.catalogue_report():
        raise SourceError(
            f"{str(run.folder)!r} has no catalogue yet: run `python -m train prepare SOURCE "
            f"--run {run.folder}`"
        )


def load_records(run: Run) -> list[SplitRecord]:
    """Read the kept records in order, or raise SourceError."""
    require_catalogue(run)
    return list(read_records(run.catalogue))


def read_records(folder: Path) -> Iterator[SplitRecord]:
    """Yield every record of a catalogue folder, in order."""
    for shard in sorted((folder / "records").glob("*.parquet")):
        for row in pl.read_parquet(shard).iter_rows(named=True):
            yield cast(SplitRecord, row)


def _start_building(building: Path, wanted: dict[str, Any]) -> None:
    """Keep only what an unfinished try cleaned of the same source."""
    marker = building / "blocks" / "of.json"
    identity = {"source": wanted["source"], "columns": wanted["options"]["columns"]}
    text = json.dumps(identity)
    if not (marker.is_file() and marker.read_text(encoding="utf-8") == text):
        shutil.rmtree(building, ignore_errors=True)
        marker.parent.mkdir(parents=True)
        marker.write_text(text, encoding="utf-8")
    for name in ("records", "index", "index.building"):
        shutil.rmtree(building / name, ignore_errors=True)
    (building / "records").mkdir()


def _build(
    parts: list[Part],
    folder: Path,
    wanted: dict[str, Any],
    config: PrepareConfig,
    progress: bool,
) -> CatalogueReport:
    columns = Columns(config.title_column, config.content_column, config.uid_column)
    options = {columns.title: "--title-column", columns.content: "--content-column"}
    if columns.uid != Columns.uid:
        options[columns.uid] = "--uid-column"
    check_columns(parts, wanted["source"]["name"], options)
    size = wanted["source"]["bytes"]
    tally, files, keys = clean_parts(parts, folder / "blocks", size, columns, progress)
    codes = find_duplicates(keys)
    mark_not_sampled(keys, codes, config.limit)
    _count_dropped(files, codes, tally)
    stays = codes == 0
    if not stays.any():
        raise SourceError(_explain_no_record(wanted["source"]["name"], tally))
    kept = {name: column[stays] for name, column in keys.items()}
    labels = group_near_duplicates(kept, _read_sketches(files, stays))
    splits = assign_splits(kept["title_key"], labels, config.unseen_share, kept["test_set"])
    selection = Selection(stays, splits, needs_uid(kept["uid_key"]))
    sample: list[str] = []
    with tqdm(total=tally.kept, unit=" records", desc="indexing", disable=not progress) as bar:
        records = write_shards(files, folder / "records", selection, sample, bar)
        build_index(records, folder / "index")
    shutil.rmtree(folder / "blocks")
    report: dict[str, Any] = {
        **tally.as_report(),
        **wanted,
        "splits": {name: int((splits == index).sum()) for index, name in enumerate(SPLITS)},
        "near_duplicates": int((np.bincount(labels)[labels] > 1).sum()),
        "languages": count_languages(sample),
        "characters": {
            "title": describe_lengths(kept["title_characters"]),
            "content": describe_lengths(kept["characters"]),
        },
        "uids_made": int(selection.needs_uid.sum()),
    }
    if config.jsonl:
        write_jsonl(folder)
    made = cast(CatalogueReport, report)
    (folder / "report.md").write_text(catalogue_page(made), encoding="utf-8")
    (folder / "report.json").write_text(to_json(report), encoding="utf-8")
    return made


def _read_sketches(files: list[Path], stays: np.ndarray) -> np.ndarray:
    sketches, start = [], 0
    for file in files:
        column = pl.read_ipc(file, columns=["sketch"])["sketch"].to_numpy()
        sketches.append(column[stays[start : start + len(column)]])
        start += len(column)
    return np.concatenate(sketches)


def _explain_no_record(source: str, tally: Tally) -> str:
    if not tally.read:
        return (
            f"{source!r} is empty: give a file with a JSON object with a title and a content on "
            "each line"
        )
    reason, count = tally.dropped.most_common(1)[0]
    example = tally.examples[reason][0]
    return (
        f"{source!r} has no usable record: {count:,} of its {tally.read:,} lines are dropped as "
        f"{reason}, such as line {example['line']} ({example['text']!r}); give a JSON object with "
        "a title and a content on each line, or name the columns with --title-column and "
        "--content-column"
    )


def _count_dropped(files: list[Path], codes: np.ndarray, tally: Tally) -> None:
    """Count what only the whole catalogue could tell, with the first examples."""
    for code, reason in enumerate(REASONS[1:], start=1):
        indices = np.flatnonzero(codes == code)
        if len(indices):
            tally.dropped[reason] = len(indices)
            tally.examples[reason] = [_example(files, int(i)) for i in indices[:EXAMPLES]]


def _example(files: list[Path], index: int) -> DroppedLine:
    for file in files:
        frame = pl.read_ipc(file, columns=["line", "title", "content"])
        if index < len(frame):
            line, title, content = frame.row(index)
            text = f"{title}: {content}"[:EXAMPLE_LENGTH]
            return {"file": block_name(file), "line": line, "text": text}
        index -= len(frame)
    raise IndexError(index)


# --- cleaning every block, in parallel -------------------------------------------------------


def clean_parts(
    parts: list[Part], folder: Path, size: int, columns: Columns, progress: bool
) -> tuple[Tally, list[Path], dict[str, np.ndarray]]:
    """Clean every block of the parts, all in the source's order.

    Return the tally, the blocks' files in `folder`, and the records' KEYS with `test_set`, which
    marks the records of the source's own test set. `size` is in bytes.
    """
    tally, files, unseen = Tally(), [], []
    with tqdm(total=size, unit="B", unit_scale=True, desc="reading", disable=not progress) as bar:
        blocks = read_blocks(parts, bar, columns=columns)
        for part, file, block_tally in _clean_in_order(blocks, folder, columns, size > ALONE):
            tally.add(block_tally)
            files.append(file)
            unseen.append(part.unseen)
    frames = [pl.read_ipc(file, columns=list(KEYS)) for file in files]
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=KEYS)
    keys = {name: frame[name].to_numpy() for name in KEYS}
    keys["test_set"] = np.repeat(np.array(unseen, bool), list(map(len, frames)))
    return tally, files, keys


def _clean_in_order(
    blocks: Iterator[Block], folder: Path, columns: Columns, parallel: bool
) -> Iterator[tuple[Part, Path, Tally]]:
    pending: list[tuple[Part, Path, Future[Tally]]] = []
    pool: Executor = ThreadPoolExecutor(1)
    if parallel:
        # Spawned, since a fork would copy the locks of threads that it does not have. One thread
        # of polars in each: more wait for one another half of the time.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(WORKERS, context, os.putenv, ("POLARS_MAX_THREADS", "1"))
    with pool:
        for number, block in enumerate(blocks):
            file = folder / f"{number:06}.arrow"
            pending.append((block.part, file, pool.submit(_clean_once, block, columns, file)))
            if len(pending) > 2 * WORKERS:
                part, file, done = pending.pop(0)
                yield part, file, done.result()
        for part, file, done in pending:
            yield part, file, done.result()


def _clean_once(block: Block, columns: Columns, file: Path) -> Tally:
    return read_tally(file) or clean_block(block, columns, file)


# --- writing records -------------------------------------------------------------------------


def write_shards(
    files: list[Path], folder: Path, selection: Selection, sample: list[str], bar: tqdm
) -> Iterator[tuple[str, str, str]]:
    """Write the records that stay, and yield them for the index.

    SHARD records go in a file. Yield uid, title and content. `sample` gets the contents of about
    LANGUAGE_SAMPLE records, evenly spread.
    """
    pending: list[pl.DataFrame] = []
    shards: list[Future] = []
    start = kept = 0
    every = max(1, len(selection.splits) // LANGUAGE_SAMPLE)
    # A shard is written while the records after it are indexed.
    with ThreadPoolExecutor(1) as writer:
        for file in files:
            frame = pl.read_ipc(file, columns=["uid", "title", "content"])
            stays = selection.stays[start : start + len(frame)]
            start += len(frame)
            frame = _add_split(frame.filter(pl.Series(stays)), selection, kept)
            sample += frame["content"].to_list()[-kept % every :: every]
            kept += len(frame)
            pending.append(frame)
            while (rows := sum(map(len, pending))) >= SHARD or (rows and file == files[-1]):
                joined = pl.concat(pending)
                pending = [joined[SHARD:]]
                if shards:
                    shards[-1].result()
                path = folder / f"part-{len(shards):05}.parquet"
                shard = joined[:SHARD]
                shards.append(writer.submit(shard.write_parquet, path, compression_level=1))
            columns = (frame[name].to_list() for name in ("uid", "title", "content"))
            yield from zip(*columns, strict=True)
            bar.update(len(frame))
    if shards:
        shards[-1].result()


def _add_split(frame: pl.DataFrame, selection: Selection, first: int) -> pl.DataFrame:
    """Add the split, and a uid where one is needed.

    `first` is the number of the frame's first record among those that stay.
    """
    here = slice(first, first + len(frame))
    indices = np.flatnonzero(selection.needs_uid[here]).tolist()
    if indices:
        uids = frame["uid"].to_list()
        for index in indices:
            uids[index] = make_uid(frame["title"][index], frame["content"][index])
        frame = frame.with_columns(pl.Series("uid", uids, pl.String))
    splits = np.array(SPLITS)[selection.splits[here]]
    return frame.with_columns(pl.Series("split", splits.tolist(), pl.String))


def make_uid(title: str, content: str) -> str:
    """Return the uid of a record without one: 16 hexadecimal digits."""
    (number,) = hash_texts([f"{title}\0{content}".encode()])
    return f"{int(number):016x}"


def write_jsonl(folder: Path) -> None:
    """Write records.jsonl and prompts.jsonl, one conversation a record, for other trainers."""
    from space.model import (
        PromptTemplate,
        build_messages,
    )  # loads torch, which cleaning does not need

    template = PromptTemplate()
    unfinished = [folder / "records.jsonl.unfinished", folder / "prompts.jsonl.unfinished"]
    with (
        unfinished[0].open("w", encoding="utf-8") as records,
        unfinished[1].open("w", encoding="utf-8") as prompts,
    ):
        for index, record in enumerate(read_records(folder)):
            questions = template.questions[detect_language(record["content"])]
            question = questions[index % len(questions)].format(title=record["title"])
            conversation = [
                *build_messages(template, "describe", question),
                {"role": "assistant", "content": record["content"]},
            ]
            prompt = {"messages": conversation, "uid": record["uid"], "split": record["split"]}
            records.write(to_jsonl([record]))
            prompts.write(to_jsonl([prompt]))
    for file in unfinished:
        file.replace(file.with_suffix(""))
