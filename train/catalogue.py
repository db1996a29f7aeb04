"""trn.json -> clean, de-duplicated records, their search index and a report."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import re
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
from tqdm import tqdm

from space.sources import build_index, normalise, put_in_place
from train.cleaning import clean, fault, field
from train.reading import CatalogueError, Row, identity, parse, rows, source_files

PART = 200_000  # records a parquet file, and the most that are in memory at once
EXAMPLES, BEGINNING = 3, 120  # examples a reason, characters of each
PERCENTS = (0, 5, 25, 50, 75, 95, 100)


class Record(NamedTuple):
    """A product as it is kept; `split` is "train" or "unseen"."""

    uid: str
    title: str
    content: str
    split: str


class Tally:
    """What was read, and what was dropped and why, with the first examples."""

    def __init__(self) -> None:
        self.read, self.dropped, self.examples = 0, Counter(), defaultdict(list)

    @property
    def kept(self) -> int:
        return self.read - self.dropped.total()

    def drop(self, reason: str, row: Row) -> None:
        self.dropped[reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            beginning = row.text[:4 * BEGINNING].decode("utf-8", "replace").strip()[:BEGINNING]
            self.examples[reason].append({"file": row.file, "line": row.line, "text": beginning})

    def report(self) -> dict:
        return {"read": self.read, "kept": self.kept, "dropped": dict(self.dropped.most_common()),
                "examples": dict(self.examples)}


def number(purpose: str, *parts: str) -> int:
    """Returns a reproducible 64-bit number for `parts`; those of two purposes have nothing in common."""
    text = "\0".join(parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, person=purpose.encode()).digest(), "big")


def usable(source: Iterable[Row], tally: Tally, unseen_share: float) -> Iterator[tuple[Row, Record]]:
    """Yields each line that makes a record worth keeping, with that record; `tally` learns of every other one."""
    titles, contents, uids = set(), set(), set()
    for row in source:
        tally.read += 1
        item = parse(row.text)
        if isinstance(item, str):
            tally.drop(item, row)
            continue
        title, content, uid = field(item, "title"), field(item, "content"), item.get("uid")
        key, body = number("title", normalise(title)), number("content", content)
        reason = fault(title, content) or ("duplicate_title" if key in titles else
                                           "duplicate_content" if body in contents else None)
        if reason:
            tally.drop(reason, row)
            continue
        uid = clean(str(uid)) if isinstance(uid, (str, int)) else ""
        uid = uid if uid and uid not in uids else made_uid(title, content)
        titles.add(key), contents.add(body), uids.add(uid)
        unseen = number("split", normalise(title)) < unseen_share * 2**64
        yield row, Record(uid, title, content, "unseen" if unseen else "train")


def made_uid(title: str, content: str) -> str:
    """Returns the uid of a record without one of its own: 16 hexadecimal digits."""
    return f"{number('uid', title, content):016x}"


def sample(found: Iterable[tuple[Row, Record]], limit: int | None, tally: Tally) -> Iterator[Record]:
    """Yields all records, or `limit` of them by a hash of the title, in the source's order."""
    if limit is None:
        yield from (record for _, record in found)
        return
    heap = []
    for order, (row, record) in enumerate(found):
        heapq.heappush(heap, (-number("sample", normalise(record.title)), order, row, record))
        if len(heap) > limit:
            tally.drop("not_sampled", heapq.heappop(heap)[2])
    yield from (record for *_, record in sorted(heap, key=lambda entry: entry[1]))


def prepare(source: str, run: Path, limit: int | None = None, unseen_share: float = 0.1, progress: bool = True) -> dict:
    """Writes the catalogue/ folder of `run` and returns its report; where that is done already, only returns it.

    `limit` is the most records to keep, `unseen_share` the share of titles (0 to 1) held back from training. Raises
    CatalogueError where the source has no usable record or a file cannot be read or written; an older catalogue stays.
    """
    if limit is not None and limit < 1:
        raise CatalogueError(f"the limit is {limit}: give 1 or more, or none to keep every record")
    if not 0 <= unseen_share < 1:
        raise CatalogueError(f"the unseen share is {unseen_share}: give a number from 0 to below 1")
    files, folder, building = source_files(source), run / "catalogue", run / "catalogue.building"
    try:
        wanted = {"source": identity(source, files), "options": {"limit": limit, "unseen_share": unseen_share}}
        saved = _saved_report(folder)
        if wanted.items() <= saved.items():
            return saved
        shutil.rmtree(building, ignore_errors=True)
        report = _build(files, building, wanted, progress)
        put_in_place(building, folder)
        return report
    except OSError as error:
        raise CatalogueError(f"{error.filename or run}: {error.strerror or error}; {source!r} must be readable and the "
                             f"run folder {str(run)!r} writable, with room on its disk") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _build(files: list[Path], folder: Path, wanted: dict, progress: bool) -> dict:
    """Writes all of a catalogue folder and returns its report."""
    source, options, tally = wanted["source"], wanted["options"], Tally()
    (folder / "records").mkdir(parents=True)
    with tqdm(total=source["bytes"], unit="B", unit_scale=True, desc="reading", disable=not progress) as bar:
        found = usable(rows(files, bar), tally, options["unseen_share"])
        _write_records(sample(found, options["limit"], tally), folder)
    if tally.kept == 0:
        raise CatalogueError(_no_record(source["name"], tally))
    stored = tqdm(_stored(folder), total=tally.kept, unit=" records", desc="indexing", disable=not progress)
    build_index(((record["uid"], record["title"], record["content"]) for record in stored), folder / "index")
    report = tally.report() | wanted | _figures(folder)
    (folder / "report.md").write_text(_page(report), encoding="utf-8")
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def load_records(run: Path) -> list[dict]:
    """Returns the kept records (uid, title, content, split) in order; raises CatalogueError where there are none."""
    folder = run / "catalogue"
    if not _saved_report(folder):
        raise CatalogueError(f"{str(run)!r} has no catalogue yet: run `python -m train prepare SOURCE --run {run}`")
    return list(_stored(folder))


def _saved_report(folder: Path) -> dict:
    try:
        return json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_records(records: Iterator[Record], folder: Path) -> None:
    for part in itertools.count():
        batch = list(itertools.islice(records, PART))
        if not batch:
            return
        table = pl.DataFrame(batch, schema=dict.fromkeys(Record._fields, pl.String), orient="row")
        table.write_parquet(folder / "records" / f"part-{part:05}.parquet")


def _stored(folder: Path) -> Iterator[dict]:
    for part in sorted((folder / "records").glob("*.parquet")):
        yield from pl.read_parquet(part).iter_rows(named=True)


def _figures(folder: Path) -> dict:
    """Splits, lengths in characters and made uids of the records that were written."""
    splits, made = Counter(train=0, unseen=0), 0
    lengths = {"title": [], "content": []}
    for record in _stored(folder):
        splits[record["split"]] += 1
        made += record["uid"] == made_uid(record["title"], record["content"])
        for name, values in lengths.items():
            values.append(len(record[name]))
    quantiles = {name: {f"p{percent}": sorted(values)[(len(values) - 1) * percent // 100] for percent in PERCENTS}
                 for name, values in lengths.items()}
    return {"splits": dict(splits), "characters": quantiles, "uids_made": made}


def _no_record(source: str, tally: Tally) -> str:
    if not tally.read:
        return f"{source!r} is empty: give a file with a JSON object with a title and a content on each line"
    reason, count = tally.dropped.most_common(1)[0]
    example = tally.examples[reason][0]
    return (f"{source!r} has no usable record: {count:,} of its {tally.read:,} lines are dropped as {reason}, such as "
            f"line {example['line']} ({example['text']!r}); give a JSON object with a title and a content on each line")


def _page(report: dict) -> str:
    """report.md: the same for a reader."""
    lines = [f"# The catalogue from {report['source']['name']}", "",
             f"{report['read']:,} lines came in, {report['kept']:,} records were kept: {report['splits']['train']:,} "
             f"to train on and {report['splits']['unseen']:,} unseen. {report['uids_made']:,} uids were made.", "",
             "| dropped as | lines | such as |", "|---|---:|---|"]
    for reason, count in report["dropped"].items():
        example = report["examples"][reason][0]
        text = re.sub(r"[`|\s]+", " ", example["text"]).strip()
        lines.append(f"| {reason} | {count:,} | {example['file']}, line {example['line']}: ` {text} ` |")
    lines += ["", "Lengths in characters; half of the records are at p50 or below:", "",
              "| | " + " | ".join(f"p{percent}" for percent in PERCENTS) + " |", "|---|" + "---:|" * len(PERCENTS)]
    lines += [f"| {name} | " + " | ".join(f"{value:,}" for value in values.values()) + " |"
              for name, values in report["characters"].items()]
    return "\n".join(lines) + "\n"
