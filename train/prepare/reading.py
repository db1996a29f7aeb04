"""SOURCE -> lines: what a catalogue may come in, and its identity."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import orjson
from tqdm import tqdm

from train.prepare.tables import parquet_rows, separated_rows
from train.prepare.unpacking import (
    BOM,
    BROKEN,
    HEAD,
    LONGEST_LINE,
    OVERSIZED,
    Part,
    SourceError,
    line_blocks,
)

__all__ = [
    "BROKEN",
    "HEAD",
    "KINDS",
    "LONGEST_LINE",
    "OVERSIZED",
    "Block",
    "Part",
    "SourceError",
    "blocks",
    "identity",
    "parse",
    "source_parts",
]

LINES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
TABLES = (".csv", ".csv.gz", ".tsv")
KINDS = (*LINES, ".zip", *TABLES, ".parquet")
BLOCK = 8 * 2**20  # bytes
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1  # the flag of a zip's member


class Block(NamedTuple):
    """Lines of a part that follow one another."""

    part: Part
    line: int  # the number of the first, from 1
    lines: list[bytes]  # without their ends


def source_parts(path: Path) -> list[Part]:
    """Returns what is to be read of a file, a folder of files or a zip, the unseen set last.

    Raises SourceError where there is nothing, or nothing that can be read.
    """
    kinds = ", ".join(KINDS)
    if not os.path.exists(path):
        raise SourceError(
            f"there is no file or folder {str(path)!r}: check its spelling, or give a URL or a Hub dataset's "
            "user/name"
        )
    if path.is_dir():
        files = sorted(
            file for file in path.iterdir() if _is_catalogue(file.name) and file.is_file()
        )
        if not files:
            raise SourceError(
                f"the folder {str(path)!r} has no catalogue file: put one that ends in {kinds} into it"
            )
    elif not path.name.lower().endswith(KINDS) or not path.is_file():
        raise SourceError(
            f"{str(path)!r} is not of a kind that can be read ({kinds}): unpack or convert it first"
        )
    else:
        files = [path]
    found = [
        part
        for file in files
        for part in (
            _members(file)
            if file.name.lower().endswith(".zip")
            else [Part(file, None, file.name, file.stat().st_size, _begins(file.name, "tst"))]
        )
    ]
    if any(_begins(part.name, "trn") for part in found):
        found = [
            part for part in found if not _begins(part.name, "lbl")
        ]  # the labels' own texts are no catalogue
    return sorted(found, key=lambda part: part.unseen)


def _begins(name: str, beginning: str) -> bool:
    return name.lower().startswith(beginning)


def _is_catalogue(name: str) -> bool:
    return name.lower().endswith(KINDS) and not name.startswith(
        "."
    )  # "._trn.json" is a Mac's note about trn.json


def _members(path: Path) -> list[Part]:
    """Returns the parts in a zip, in the order of their names; raises SourceError where it has none or is unsound."""
    with path.open("rb") as raw:
        try:
            with zipfile.ZipFile(raw) as archive:
                return _checked(path, archive)
        except SourceError:
            raise
        except (
            Exception
        ) as error:  # zipfile raises whatever the numbers in a damaged file make it trip over
            raise SourceError(
                f"{path.name} is no zip file or is damaged ({error}): copy or download it again"
            ) from error


def _checked(path: Path, archive: zipfile.ZipFile) -> list[Part]:
    parts = []
    for name, info in sorted({info.filename: info for info in archive.infolist()}.items()):
        inner = PurePosixPath(name.replace("\\", "/"))
        if inner.is_absolute() or ".." in inner.parts or re.match(r"[A-Za-z]:", name):
            raise SourceError(
                f"{path.name} has a member {name[:100]!r} that points outside of it: do not trust this file, "
                "get it from where it was first published"
            )
        if info.is_dir() or not _is_catalogue(inner.name) or inner.suffix.lower() == ".zip":
            continue
        if info.flag_bits & ENCRYPTED:
            raise SourceError(
                f"{path.name} is encrypted: unpack it with its password and give the folder"
            )
        if info.compress_type not in PACKINGS:
            raise SourceError(
                f"{path.name} is packed by a rare method ({info.compress_type}): unpack it, give the folder"
            )
        archive.open(info).close()  # raises where the directory points to nothing
        parts.append(Part(path, name, inner.name, info.compress_size, _begins(inner.name, "tst")))
    if not parts:
        kinds = ", ".join(kind for kind in KINDS if kind != ".zip")
        raise SourceError(
            f"{path.name} has no catalogue file in it: one ends in {kinds}; unpack a zip that is in a zip"
        )
    return parts


def blocks(parts: Iterable[Part], bar: tqdm | None = None, size: int = BLOCK) -> Iterator[Block]:
    """Yields every line of the parts once, about `size` bytes at a time, moving `bar` by the packed bytes read.

    A table's row is a line of JSON, its number that of the line it begins on, and its header is none. A line that is too
    long and a row that cannot be read are marked, for `parse` to say so. Raises SourceError where a part breaks off.
    """
    for part in parts:
        kind = part.name.lower()
        if kind.endswith(LINES):
            yield from (
                Block(part, number, lines) for number, lines in line_blocks(part, bar, size)
            )
        elif kind.endswith(TABLES):
            yield from _gathered(part, separated_rows(part, bar, size), size)
        else:
            yield from _gathered(part, parquet_rows(part, bar), size)


def _gathered(part: Part, numbered: Iterator[tuple[int, bytes]], size: int) -> Iterator[Block]:
    """Yields rows as blocks; one ends where the next row's number is not the next number, after a row of several lines."""
    first, lines, weight = 0, [], 0
    for number, line in numbered:
        if lines and (weight >= size or number != first + len(lines)):
            yield Block(part, first, lines)
            lines, weight = [], 0
        first = first if lines else number
        lines.append(line)
        weight += len(line)
    if lines:
        yield Block(part, first, lines)


def parse(line: bytes) -> dict | str:
    """Returns a line's JSON object, or the reason to drop it: "blank", "broken" or "oversized"."""
    try:
        item = orjson.loads(line)
    except (ValueError, RecursionError):
        return _parse_anew(line)
    if not isinstance(item, dict):
        return "broken"
    # orjson makes a float of an integer that has more than 64 bits, and a uid may be one.
    for (
        value
    ) in item.values():  # every line comes here: any() and its generator would take twice the time
        if type(value) is float and abs(value) >= 2**63:
            return _parse_anew(line)
    return item


def _parse_anew(line: bytes) -> dict | str:
    """The same with the standard library, which takes NaN, half a surrogate pair and integers of any length."""
    if not line.strip():
        return "blank"
    if line.startswith(OVERSIZED):
        return "oversized"
    try:
        item = json.loads(line.removeprefix(BOM).decode())
    except (ValueError, RecursionError):
        return "broken"
    return item if isinstance(item, dict) else "broken"


def identity(source: str, parts: list[Part]) -> dict:
    """What tells one source from another: base name, size and digest of what is in it."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(part.path for part in parts):  # a zip's parts share its digest
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    address = (
        source.partition("?")[0].partition("#")[0] if "://" in source else source
    )  # a query may hold a token
    return {
        "name": Path(address).absolute().name,
        "files": [part.name for part in parts],
        "bytes": sum(part.bytes for part in parts),
        "sha256": digest.hexdigest(),
    }
