"""SOURCE -> lines: what a catalogue may come in, and its identity."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

KINDS = (".json", ".jsonl", ".json.gz", ".jsonl.gz")


class CatalogueError(Exception):
    """A catalogue cannot be prepared or read; the words are meant for the one who asked."""


class Row(NamedTuple):
    """A line of the source, numbered from 1, and its file's base name."""

    file: str
    line: int
    text: bytes


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


def identity(source: str, files: list[Path]) -> dict:
    """What tells one source from another: base name, size and digest of what is in it."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return {"name": Path(source).absolute().name, "files": [file.name for file in files],
            "bytes": sum(file.stat().st_size for file in files), "sha256": digest.hexdigest()}
