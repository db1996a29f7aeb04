"""trn.json -> clean, de-duplicated records, their search index and a report."""

from __future__ import annotations

import gzip
import hashlib
import heapq
import html
import itertools
import json
import re
import shutil
import unicodedata
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl
from tqdm import tqdm

from space.sources import build_index, normalise, put_in_place

KINDS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
PART = 200_000  # records a parquet file, and the most that are in memory at once
EXAMPLES, BEGINNING = 3, 120  # examples a reason, characters of each
PERCENTS = (0, 5, 25, 50, 75, 95, 100)
SHORTEST = 3  # words of content
LONGEST_PHRASE, REPEATS = 8, 3  # content that is one phrase of up to 8 words, three times or more, is junk


class CatalogueError(Exception):
    """A catalogue cannot be prepared or read; the words are meant for the one who asked."""


class Row(NamedTuple):
    """A line of the source, numbered from 1, and its file's base name."""

    file: str
    line: int
    text: bytes


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


# Only HTML's own names are tags: "5 < 6 > 4" and "<3" stay. The first kind parts words, the second does not.
PARTING = "address|article|blockquote|br|d[dlt]|div|h[1-6r]|li|[ou]l|p|pre|section|table|tbody|t[dhr]|thead"
OTHER = ("a|abbr|b|big|body|center|cite|code|em|font|head|html|i|iframe|img|input|ins|link|meta|object|param|s|small"
         "|span|strike|strong|su[bp]|tt|u")
# What is looked for, and what takes its place, in this order; entities are undone before.
RULES = [(re.compile(pattern, re.IGNORECASE | re.DOTALL), instead) for pattern, instead in (
    (r"<!--.*?-->|<(script|style)\b[^<>]*>.*?</\1\s*>", " "),
    (rf"</?(?:{PARTING})(?:\s[^<>]*)?/?>", " "),
    (rf"</?(?:{OTHER})(?:\s[^<>]*)?/?>", ""),
    (r"&([a-z]);", r"&\1"),  # "R&B;" was R&B before a parser closed the entity
    ("[\u00c2\u00c3][\u00a1-\u00ba\u00bc-\u00bf]", lambda pair: pair[0].encode("latin-1").decode()),  # "Ã©" was "é"
    (r"-{0,2}\s{0,2}This text refers to [^.]{1,80}?edition(?: of this title)?\.", " "),  # the shop's own note
    ("[\u00ad\u200b\u2060\ufeff\ufdd0-\ufdef\ud800-\udfff]", ""),
    (r"[\s\x00-\x1f\x7f-\x9f]+", " "),
)]


def clean(text: str) -> str:
    """Returns `text` as one line of plain NFC text, without entities (up to three times escaped) and tags."""
    for _ in range(3):
        text = html.unescape(text)
    for pattern, instead in RULES:
        text = pattern.sub(instead, text)
    return unicodedata.normalize("NFC", text).strip()


def field(item: dict, name: str) -> str:
    """Returns the clean text of a field, a list of strings joined; empty where there is no text."""
    value = item.get(name)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = " ".join(value)
    return clean(value) if isinstance(value, str) else ""


def fault(title: str, content: str) -> str | None:
    """Returns the reason to drop a record for what it says, or None."""
    words = re.findall(r"\w+", content.casefold())
    if not title:
        return "no_title"
    if not content:
        return "no_content"
    if (not any(map(str.isalpha, content)) or content.casefold() == title.casefold() or any(
            len(words) >= REPEATS * size and words[size:] == words[:-size] for size in range(1, LONGEST_PHRASE + 1))):
        return "junk"
    return "too_short" if len(words) < SHORTEST else None


def number(purpose: str, *parts: str) -> int:
    """Returns a reproducible 64-bit number for `parts`; those of two purposes have nothing in common."""
    text = "\0".join(parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8, person=purpose.encode()).digest(), "big")


def source_files(source: str) -> list[Path]:
    """Returns the catalogue files that `source` names; raises CatalogueError where it names none."""
    path, kinds = Path(source), ", ".join(KINDS)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(KINDS) and not file.name.startswith("."))
        if not files:
            raise CatalogueError(f"the folder {source!r} has no catalogue file: put one that ends in {kinds} into it")
        return files
    if "://" in source or not path.exists():
        raise CatalogueError(f"there is no file or folder {source!r}; download what is at a URL or on the Hub first")
    if not path.name.endswith(KINDS):
        raise CatalogueError(f"{source!r} is not of a kind that can be read ({kinds}): unpack or convert it first")
    return [path]


def rows(files: list[Path], bar: tqdm) -> Iterator[Row]:
    """Yields every line of the files, moving `bar` by the bytes read; raises CatalogueError where one breaks off."""
    for file in files:
        line, before = 0, bar.n
        try:
            with file.open("rb") as raw, gzip.open(raw) if file.suffix == ".gz" else raw as stream:
                for line, text in enumerate(stream, start=1):
                    bar.update(before + raw.tell() - bar.n)
                    yield Row(file.name, line, text.removeprefix(b"\xef\xbb\xbf"))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CatalogueError(f"{file.name} is truncated or damaged after {line:,} lines ({error}): copy or "
                                 "download it again") from error


def parse(text: bytes) -> dict | str:
    """Returns a line's JSON object, or the reason to drop it."""
    if not text.strip():
        return "blank"
    try:
        item = json.loads(text.decode())
    except (ValueError, RecursionError):
        return "broken"
    return item if isinstance(item, dict) else "broken"


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
        wanted = {"source": _identity(source, files), "options": {"limit": limit, "unseen_share": unseen_share}}
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


def _identity(source: str, files: list[Path]) -> dict:
    """What tells one source from another: base name, size and digest of what is in it."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return {"name": Path(source).absolute().name, "files": [file.name for file in files],
            "bytes": sum(file.stat().st_size for file in files), "sha256": digest.hexdigest()}


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
        text = re.sub(r"[`|\s]+", " ", example["text"])
        lines.append(f"| {reason} | {count:,} | {example['file']}, line {example['line']}: ` {text} ` |")
    lines += ["", "Lengths in characters; half of the records are at p50 or below:", "",
              "| | " + " | ".join(f"p{percent}" for percent in PERCENTS) + " |", "|---|" + "---:|" * len(PERCENTS)]
    lines += [f"| {name} | " + " | ".join(f"{value:,}" for value in values.values()) + " |"
              for name, values in report["characters"].items()]
    return "\n".join(lines) + "\n"
