"""Prepare texts with summaries: clean pairs, each on one side of the split, and their report."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl

from train.config import ConfigError, SummariesConfig
from train.prepare.catalogue import (
    LANGUAGE_SAMPLE,
    SplitRecord,
    clean_parts,
    make_uid,
    unusable_files,
)
from train.prepare.clean import (
    DROPS,
    KEYS,
    Tally,
    block_name,
)
from train.prepare.duplicates import (
    REASONS,
    SPLITS,
    assign_splits,
    find_duplicates,
    group_near_duplicates,
    rehash,
)
from train.prepare.fetch import fetch, hub_dataset
from train.prepare.report import count_languages, describe_lengths, summaries_page
from train.prepare.source import (
    Columns,
    SourceError,
    check_columns,
    find_parts,
    identify_source,
)
from train.run import Run, SummariesReport, to_json, to_jsonl, write_atomic


def _of_pairs(words: str) -> str:
    words = words.replace("titles", "summaries").replace("title", "summary")
    return words.replace("content", "text")


# A summary is cleaned as a title is and its text as a content, and dropped for the same reasons.
NAMES = {reason: _of_pairs(reason) for reason in DROPS}
PAIR_DROPS = {NAMES[reason]: _of_pairs(description) for reason, description in DROPS.items()}
PAIR_DROPS["longer"] = "a summary that is not shorter than its text"
PAIR_DROPS["junk_summary"] = "a summary without a letter"


class SummaryPair(SplitRecord):
    """A text, as the content of a record without a title, and its summary."""

    summary: str


def prepare_pairs(run: Run, config: SummariesConfig, progress: bool = True) -> SummariesReport:
    """Write run/summaries/ from the set `config.summaries` and return its report.

    A finished one is only read. A stored pair is {uid, text, summary, split}, and near duplicates
    are on one side of the split. Raise SourceError where a column is missing, where a file cannot
    be read or written, or where fewer than two pairs are left.
    """
    try:
        parts = find_parts(_fetch_set(run, config, progress))
        identity = identify_source(config.summaries, parts)
        dataset = hub_dataset(config.summaries)
        if dataset:
            # Named in full: the config of a Hub dataset is often its language.
            identity.update(dataset=dataset, name=config.summaries)
        wanted = {
            "source": identity,
            "options": config.options(),
            "licence": config.summaries_licence,
        }
        saved = run.summaries_report()
        if wanted.items() <= saved.items():
            return saved
        name = identity["name"]
        columns = Columns(config.summary_column, config.text_column, "")
        check_columns(
            parts,
            name,
            {config.text_column: "--text-column", config.summary_column: "--summary-column"},
        )
        building = run.folder / "summaries.building"
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        tally, files, keys = clean_parts(parts, building, identity["bytes"], columns, progress)
        frame = _drop_pairs(files, keys["test_set"], tally)
        if len(frame) < 2:
            raise SourceError(_explain_too_few(name, tally, len(frame)))
        frame, near = _split_pairs(frame, config.held_out, name)
        report = write_pairs(run, frame, tally, wanted, near)
        shutil.rmtree(building)
        return report
    except (OSError, pl.exceptions.PolarsError) as error:
        raise unusable_files(error, config.summaries, run) from error


def _fetch_set(run: Run, config: SummariesConfig, progress: bool) -> Path:
    texts, summaries = (
        Path(config.summaries, name) for name in (config.text_column, config.summary_column)
    )
    if texts.is_dir() and summaries.is_dir():
        return join_folders(texts, summaries, run.source, config)
    return fetch(config.summaries, run.source, progress)


def _drop_pairs(files: Sequence[Path], test_set: np.ndarray, tally: Tally) -> pl.DataFrame:
    """Return the pairs that stay, and count the others."""
    tally.dropped = Counter({NAMES[reason]: n for reason, n in tally.dropped.items()})
    for reason in list(tally.examples):
        tally.examples[NAMES[reason]] = tally.examples.pop(reason)
    if not files:
        return pl.DataFrame({"text": []})
    blocks = [pl.read_ipc(file).with_columns(file=pl.lit(block_name(file))) for file in files]
    frame = pl.concat(blocks).with_columns(test_set=pl.Series(test_set))
    frame = frame.rename({"title": "summary", "content": "text"})
    frame = _drop(frame, "junk_summary", ~frame["summary"].str.contains(r"\p{L}"), tally)
    frame = _drop(frame, "longer", frame["title_characters"] >= frame["characters"], tally)
    codes = find_duplicates({name: frame[name].to_numpy() for name in KEYS})
    for code, reason in enumerate(REASONS[1:], start=1):
        faulty = codes == code
        frame = _drop(frame, NAMES[reason], pl.Series(faulty), tally)
        codes = codes[~faulty]
    return frame


def _drop(frame: pl.DataFrame, reason: str, faulty: pl.Series, tally: Tally) -> pl.DataFrame:
    for row in frame.filter(faulty).iter_rows(named=True):
        tally.drop(reason, row["file"], row["line"], f"{row['summary']}: {row['text']}")
    return frame.filter(~faulty)


def _split_pairs(frame: pl.DataFrame, share: float, name: str) -> tuple[pl.DataFrame, int]:
    """Split the pairs, and count those with a near duplicate.

    The columns are uid, text, summary and split. A hash of the text decides the side. Where that
    leaves one side empty, as it does with a handful of pairs, one group changes over.
    """
    keys = {column: frame[column].to_numpy() for column in KEYS}
    labels = group_near_duplicates(keys, frame["sketch"].to_numpy())
    splits = assign_splits(keys["content_key"], labels, share, frame["test_set"].to_numpy())
    if splits.all() or not splits.any():
        lots = rehash(keys["content_key"], "split")
        moved = labels == labels[lots.argmax() if splits.all() else lots.argmin()]
        if moved.all():
            raise SourceError(
                f"all {len(frame)} pairs of {name!r} are near duplicates of one another: nothing "
                "would be left to score that was not trained on"
            )
        splits[moved] = 1 - splits[moved]
    uids = [make_uid(*pair) for pair in frame.select("summary", "text").iter_rows()]
    sides = pl.Series("split", np.array(SPLITS)[splits].tolist(), dtype=pl.String)
    near = int((np.bincount(labels)[labels] > 1).sum())
    return frame.select(pl.Series("uid", uids), "text", "summary", sides), near


def _explain_too_few(name: str, tally: Tally, left: int) -> str:
    counts = tally.dropped.most_common()
    dropped = [f"{count:,} {reason} ({PAIR_DROPS[reason]})" for reason, count in counts]
    return (
        f"{name!r} has {left} usable pair{'' if left == 1 else 's'} in {tally.read:,} rows, and "
        "two are the least, one to learn from and one to score"
        f"{'; dropped: ' if dropped else ''}{', '.join(dropped)}"
    )


# --- two folders as a set --------------------------------------------------------------------


def join_folders(texts: Path, summaries: Path, cache: Path, config: SummariesConfig) -> Path:
    """Write a row for each text file and its summary.

    A summary belongs to the text whose name its own ends with, as in TeMario: "Sum-ce94ab10-a.txt"
    to "ce94ab10-a.txt". A text or summary alone gets a row with an empty other column, to be
    counted. Files are UTF-8 or else Windows-1252. Raise SourceError where a folder has none.
    """
    text_files, summary_files = _text_files(texts), _text_files(summaries)
    by_ending = {}
    for name in summary_files:
        for separator in re.finditer(r"[-_. ]", name):
            by_ending[name[separator.end() :]] = name
    by_ending.update(zip(summary_files, summary_files, strict=True))
    rows = []
    for name, path in text_files.items():
        partner = by_ending.get(name)
        summary = _read_text(summary_files[partner]) if partner else ""
        rows.append((name, _read_text(path), summary))
    partners = {by_ending.get(name) for name in text_files}
    for name, path in summary_files.items():
        if name not in partners:
            rows.append((name, "", _read_text(path)))
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"{texts.parent.resolve().name}.jsonl"
    columns = ("id", config.text_column, config.summary_column)
    write_atomic(file, to_jsonl(dict(zip(columns, row, strict=True)) for row in rows))
    return file


def _text_files(folder: Path) -> dict[str, Path]:
    paths = sorted(folder.glob("**/*.[tT][xX][tT]"))
    found = {path.stem.casefold(): path for path in paths if path.is_file()}
    if not found:
        raise SourceError(f"the folder {str(folder)!r} has no .txt file")
    return found


def _read_text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


# --- pairs of a run --------------------------------------------------------------------------


def write_pairs(
    run: Run,
    frame: pl.DataFrame,
    tally: Tally,
    wanted: Mapping[str, Any],
    near_duplicates: int = 0,
    reasons: Mapping[str, str] = PAIR_DROPS,
) -> SummariesReport:
    """Write pairs.parquet (uid, text, summary, split), report.md and, last, report.json.

    `wanted` says where the pairs are from and how they were made, `reasons` describes each reason
    in the tally.
    """
    folder = run.summaries
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").unlink(missing_ok=True)
    unfinished = folder / "pairs.parquet.unfinished"
    frame.write_parquet(unfinished)
    os.replace(unfinished, folder / "pairs.parquet")
    sample = frame["text"].gather_every(max(1, len(frame) // LANGUAGE_SAMPLE)).to_list()
    rows = "".join(json.dumps(row) for row in frame.sort("uid").iter_rows())
    lengths = {name: frame[name].str.len_chars().to_numpy() for name in ("summary", "text")}
    made = {
        **tally.as_report(),
        **wanted,
        "splits": {side: int((frame["split"] == side).sum()) for side in SPLITS},
        "near_duplicates": near_duplicates,
        "languages": count_languages(sample),
        "sha256": hashlib.sha256(rows.encode()).hexdigest(),
        "characters": dict(zip(lengths, map(describe_lengths, lengths.values()), strict=True)),
    }
    report = cast(SummariesReport, made)
    write_atomic(folder / "report.md", summaries_page(report, reasons))
    write_atomic(folder / "report.json", to_json(report))
    return report


def refuse_leftover_pairs(run: Run) -> None:
    """Raise ConfigError where the run has summaries not asked for."""
    report = run.summaries_report()
    if not report:
        return
    if "teacher" in report:
        option, name = "--teacher", report["teacher"]["name"]
    else:
        option, name = "--summaries", report.get("source", {}).get("name")
    raise ConfigError(
        f"{run.name} was prepared with {option} {name}: repeat it, choose another --run, or remove "
        "its summaries/ to learn from the contents' own sentences"
    )


def load_pairs(run: Run) -> dict[str, list[SummaryPair]] | None:
    """Return {"train": pairs, "unseen": pairs}, or None where the run has none.

    The order depends on nothing but the uids.
    """
    if not run.summaries_report():
        return None
    rows = pl.read_parquet(run.summaries / "pairs.parquet").iter_rows(named=True)
    pairs: dict[str, list[SummaryPair]] = {side: [] for side in SPLITS}
    for row in sorted(rows, key=lambda row: hashlib.sha256(row["uid"].encode()).digest()):
        pair: SummaryPair = {
            "uid": row["uid"],
            "title": "",
            "content": row["text"],
            "summary": row["summary"],
            "split": row["split"],
        }
        pairs[row["split"]].append(pair)
    return pairs


def summaries_origin(run: Run) -> dict[str, Any]:
    """Describe the summaries that a run learns from, for run.json."""
    report = run.summaries_report()
    if not report:
        return {"from": "the contents' own principal sentences"}
    known = {name: report[name] for name in ("licence", "splits", "sha256")}
    if "teacher" in report:
        teacher = report["teacher"]
        return {"from": f"the teacher {teacher['name']}", "teacher": teacher, **known}
    source = report.get("source", {})
    return {"from": f"the set {source.get('name')}", "source": source, **known}


def describe_references(run: Run) -> str:
    """Say what the `summary` set is scored against."""
    origin = summaries_origin(run)["from"]
    if not run.summaries_report():
        return f"{origin} of unseen records"
    return f"summaries of {origin}, of texts that training never showed"
