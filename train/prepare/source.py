"""Find and read a catalogue's files: JSON lines, CSV, TSV and Parquet, gzipped or zipped."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import itertools
import json
import os
import re
import tempfile
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import orjson
from tqdm import tqdm

from train.run import SourceIdentity

if TYPE_CHECKING:
    import pyarrow as pa

JSON_LINES = (".json", ".jsonl", ".json.gz", ".jsonl.gz")
TABLES = (".csv", ".csv.gz", ".tsv")
KINDS = (*JSON_LINES, ".zip", *TABLES, ".parquet")

# Sizes are in bytes.
BLOCK = 8 * 2**20
PACKED_READ, PIECE = 2**18, 2**20  # read of a packed file at a time, and unpacked at a time
LONGEST_LINE, HEAD = 16 * 2**20, 2**12  # of a longer line only its head is kept
BOMB_FACTOR, BOMB_SIZE = 200, 8 * 2**30  # what unpacks to more than both is refused
ROW_LINES, ROW_BYTES = 1000, 2**20  # the most of a CSV row; beyond, its quote counts as torn
FEWEST_ROW_LINES = 8
PARQUET_BATCH = 256  # rows

# Marks before a line that is not as it was read. No JSON begins with these, and str.strip()
# removes them where the beginning of a line is shown.
OVERSIZED, BROKEN = b"\x1c\x1d\x1e\x1f", b"\x1c\x1d\x1f\x1e"
BOM = b"\xef\xbb\xbf"
NOT_TEXT = {
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
    b"\x1f\x8b": "a gzip file: add .gz to its name",
    b"PK\x03\x04": "a zip file: let its name end in .zip",
}
# zipfile raises NotImplementedError for a compression that it does not know.
DAMAGE = (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError)
ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ZIP_ENCRYPTED = 0x1  # the flag of a member

NO_BAR = tqdm(disable=True)

csv.field_size_limit(ROW_BYTES * 32)  # the csv module's own limit, 128 KB, would break rows


class SourceError(Exception):
    """A catalogue cannot be prepared or read; the message is meant for the user."""


class Part(NamedTuple):
    """A file of the source, or a member of a zip."""

    path: Path
    member: str | None  # its name inside the zip
    name: str  # its base name, for messages
    bytes: int  # as it lies on the disk, packed
    unseen: bool  # it is the source's own test set


class Block(NamedTuple):
    """Consecutive lines of a part."""

    part: Part
    line: int  # the number of the first, from 1
    lines: list[bytes]  # without line ends


# --- which files there are -------------------------------------------------------------------


def find_parts(path: Path) -> list[Part]:
    """List the parts of a source, its test set last.

    Raise SourceError where there is nothing, or nothing that can be read.
    """
    kinds = ", ".join(KINDS)
    if not os.path.exists(path):
        raise SourceError(
            f"there is no file or folder {str(path)!r}: check its spelling, or give a URL or a "
            "Hub dataset's user/name"
        )
    files = [path]
    if path.is_dir():
        entries = sorted(path.iterdir())
        files = [file for file in entries if is_catalogue_name(file.name) and file.is_file()]
        if not files:
            raise SourceError(
                f"the folder {str(path)!r} has no catalogue file: put one that ends in {kinds} "
                "into it"
            )
    elif not path.name.lower().endswith(KINDS) or not path.is_file():
        raise SourceError(
            f"{str(path)!r} is not of a kind that can be read ({kinds}): unpack or convert it first"
        )
    parts: list[Part] = []
    for file in files:
        name = file.name.lower()
        if name.endswith(".zip"):
            parts += _zip_parts(file)
        else:
            size = file.stat().st_size
            parts.append(Part(file, None, file.name, size, name.startswith("tst")))
    names = [part.name.lower() for part in parts]
    if any(name.startswith("trn") for name in names):
        # The texts of the labels are no catalogue.
        parts = [part for part in parts if not part.name.lower().startswith("lbl")]
    return sorted(parts, key=lambda part: part.unseen)


def is_catalogue_name(name: str) -> bool:
    """Tell a catalogue's file by its name.

    "._trn.json" is a Mac's note about trn.json.
    """
    return name.lower().endswith(KINDS) and not name.startswith(".")


def _zip_parts(path: Path) -> list[Part]:
    try:
        with zipfile.ZipFile(path) as archive:
            parts = list(_zip_members(path, archive))
    except SourceError:
        raise
    except Exception as error:  # zipfile raises errors of any type over a damaged file
        raise SourceError(
            f"{path.name} is no zip file or is damaged ({error}): copy or download it again"
        ) from error
    if not parts:
        kinds = ", ".join(kind for kind in KINDS if kind != ".zip")
        raise SourceError(
            f"{path.name} has no catalogue file in it: one ends in {kinds}; unpack a zip that is "
            "in a zip"
        )
    return parts


def _zip_members(path: Path, archive: zipfile.ZipFile) -> Iterator[Part]:
    members = {info.filename: info for info in archive.infolist()}
    for name, info in sorted(members.items()):
        inner = PurePosixPath(name.replace("\\", "/"))
        if inner.is_absolute() or ".." in inner.parts or re.match(r"[A-Za-z]:", name):
            raise SourceError(
                f"{path.name} has a member {name[:100]!r} that points outside of it: do not trust "
                "this file, get it from where it was first published"
            )
        if info.is_dir() or not is_catalogue_name(inner.name) or inner.suffix.lower() == ".zip":
            continue
        if info.flag_bits & ZIP_ENCRYPTED:
            raise SourceError(
                f"{path.name} is encrypted: unpack it with its password and give the folder"
            )
        if info.compress_type not in ZIP_METHODS:
            raise SourceError(
                f"{path.name} is packed by a rare method ({info.compress_type}): unpack it, give "
                "the folder"
            )
        archive.open(info).close()  # raises where the directory points to nothing
        unseen = inner.name.lower().startswith("tst")
        yield Part(path, name, inner.name, info.compress_size, unseen)


def identify_source(source: str, parts: list[Part]) -> SourceIdentity:
    """Return the base name, size and SHA-256 of a source's contents."""
    digest = hashlib.sha256()
    for path in dict.fromkeys(part.path for part in parts):  # a zip's parts share its digest
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    # The query of an address may hold a token.
    address = re.split("[?#]", source, maxsplit=1)[0] if "://" in source else source
    names = [part.name for part in parts]
    return {
        "name": Path(address).absolute().name,
        "files": names,
        "bytes": sum(part.bytes for part in parts),
        "sha256": digest.hexdigest(),
    }


# --- lines -----------------------------------------------------------------------------------


def read_blocks(parts: Iterable[Part], bar: tqdm = NO_BAR, size: int = BLOCK) -> Iterator[Block]:
    """Yield every line of the parts once, in blocks.

    A block has about `size` bytes. `bar` moves by the packed bytes. A table's row becomes a line of
    JSON with the number of the line it begins on. A line that is too long and a row that cannot be
    read are marked for `parse_line`. Raise SourceError where a part breaks off.
    """
    for part in parts:
        name = part.name.lower()
        if name.endswith(JSON_LINES):
            for number, lines in read_lines(part, bar, size):
                yield Block(part, number, lines)
        elif name.endswith(TABLES):
            yield from _group_rows(part, read_csv(part, bar, size), size)
        else:
            yield from _group_rows(part, read_parquet(part, bar), size)


def _group_rows(part: Part, rows: Iterator[tuple[int, bytes]], size: int) -> Iterator[Block]:
    first, lines, weight = 0, [], 0
    for number, line in rows:
        # After a row of several lines the next number is not the next one.
        if lines and (weight >= size or number != first + len(lines)):
            yield Block(part, first, lines)
            lines, weight = [], 0
        if not lines:
            first = number
        lines.append(line)
        weight += len(line)
    if lines:
        yield Block(part, first, lines)


def read_lines(
    part: Part, bar: tqdm = NO_BAR, size: int = BLOCK
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lines, with the number of the first.

    Lines are numbered from 1. At least `size` bytes come at a time, but for the last. Raise
    SourceError where the part is damaged or is no UTF-8 text.
    """
    number, text = 1, bytearray()
    skipping = False  # the rest of an oversized line
    try:
        for piece in _check_text(unpack(part, bar), part):
            if skipping:
                line_end = piece.find(b"\n")
                if line_end < 0:
                    continue
                piece, skipping = piece[line_end:], False
            text += piece
            end = text.rfind(b"\n") + 1
            if len(text) - end > LONGEST_LINE:
                text[end:] = OVERSIZED + text[end : end + HEAD]
                skipping = True
            if end and len(text) >= size:
                lines = split_lines(bytes(text[:end]))
                del text[:end]
                yield number, lines
                number += len(lines)
    except DAMAGE as error:
        complete = number - 1 + text.count(b"\n")
        raise SourceError(
            f"{part.name} is truncated or damaged after {complete:,} lines "
            f"({error or 'it ends in the middle'}): copy or download it again"
        ) from error
    if text:
        yield number, split_lines(bytes(text))


def split_lines(text: bytes) -> list[bytes]:
    """Split a text into its lines, without line ends."""
    if b"\r\n" in text:
        text = text.replace(b"\r\n", b"\n")
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if len(text) > LONGEST_LINE and max(map(len, lines)) > LONGEST_LINE:
        lines = [truncate(line) for line in lines]
    return lines


def truncate(line: bytes) -> bytes:
    """Replace an oversized line by its marked head."""
    return line if len(line) <= LONGEST_LINE else OVERSIZED + line[:HEAD]


def parse_line(line: bytes) -> dict | str:
    """Return a line's JSON object, or "blank", "broken" or "oversized"."""
    try:
        item = orjson.loads(line)
    except (ValueError, RecursionError):
        return _parse_with_json(line)
    if not isinstance(item, dict):
        return "broken"
    # orjson makes a float of an integer of more than 64 bits, and a uid may be one. Every line
    # comes here, and any() with a generator takes twice the time.
    for value in item.values():
        if type(value) is float and abs(value) >= 2**63:
            return _parse_with_json(line)
    return item


def _parse_with_json(line: bytes) -> dict | str:
    # The standard library takes NaN, lone surrogates and integers of any length.
    if not line.strip():
        return "blank"
    if line.startswith(OVERSIZED):
        return "oversized"
    try:
        item = json.loads(line.removeprefix(BOM).decode())
    except (ValueError, RecursionError):
        return "broken"
    return item if isinstance(item, dict) else "broken"


# --- unpacking -------------------------------------------------------------------------------


def unpack(part: Part, bar: tqdm = NO_BAR) -> Iterator[bytes]:
    """Yield a part's unpacked bytes, up to PIECE at a time.

    `bar` moves by the packed bytes. Raise one of DAMAGE where it is damaged and SourceError where
    it is a bomb.
    """
    before = bar.n
    with contextlib.ExitStack() as stack:
        raw = stream = stack.enter_context(part.path.open("rb"))
        if part.member is not None:
            archive = stack.enter_context(zipfile.ZipFile(raw))
            stream = stack.enter_context(archive.open(part.member))
        start, gzipped = raw.tell(), part.name.lower().endswith(".gz")
        pieces = iter(lambda: stream.read(PACKED_READ if gzipped else PIECE), b"")
        if gzipped:
            pieces = gunzip(_refuse_bomb(pieces, part))
        for piece in _refuse_bomb(pieces, part):
            packed = min(raw.tell() - start, part.bytes)
            bar.update(max(0, before + packed - bar.n))
            yield piece
    bar.update(before + part.bytes - bar.n)


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what gzip chunks hold, up to PIECE bytes at a time.

    gzip.GzipFile takes 1.4 times as long, and skips zeros after the data one by one. Raise
    EOFError or zlib.error where the data is damaged.
    """
    decoder = None
    for chunk in chunks:
        while chunk:
            if decoder is None or decoder.eof:
                chunk = chunk.lstrip(b"\0") if decoder else chunk  # some writers pad with zeros
                if not chunk:
                    break
                decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield decoder.decompress(chunk, PIECE)
            chunk = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    while decoder and not decoder.eof:
        piece = decoder.decompress(b"", PIECE)
        if not piece:
            raise EOFError("it ends in the middle")
        yield piece


def _refuse_bomb(pieces: Iterable[bytes], part: Part) -> Iterator[bytes]:
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > BOMB_SIZE and total > BOMB_FACTOR * part.bytes:
            raise SourceError(
                f"{part.name} holds {part.bytes:,} bytes and unpacks to more than {total:,}, no "
                "catalogue does: unpack it by hand and look into it"
            )
        yield piece


def _check_text(pieces: Iterator[bytes], part: Part) -> Iterator[bytes]:
    """Remove a byte order mark, and refuse what is no text."""
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= 4:
            break
    for signature, remedy in NOT_TEXT.items():
        if first.startswith(signature):
            raise SourceError(f"{part.name} is {remedy}")
    yield first.removeprefix(BOM)
    yield from pieces


# --- tables ----------------------------------------------------------------------------------


class RowReader:
    """Read CSV rows with the number of their first line; a torn quote costs one row.

    polars and pyarrow lose the line numbers, and with a torn quote all rows after it.
    """

    def __init__(self, lines: Iterator[bytes], delimiter: str) -> None:
        self.lines, self.delimiter = lines, delimiter
        self.again: deque[bytes] = deque()  # lines to read once more
        self.row: list[bytes] = []  # the lines of the row at hand
        self.number, self.row_bytes, self.most_lines = 1, 0, ROW_LINES

    def _feed(self) -> Iterator[str]:
        while True:
            line = self.again.popleft() if self.again else next(self.lines, None)
            if line is None:
                return
            self.row.append(line)
            self.row_bytes += len(line)
            too_large = len(self.row) > self.most_lines or self.row_bytes > ROW_BYTES
            if len(self.row) > 1 and (too_large or line.startswith(OVERSIZED)):
                raise csv.Error("a torn quote")
            yield "\n" if line.startswith(OVERSIZED) else line.decode("utf-8", "replace") + "\n"

    def __iter__(self) -> Iterator[tuple[int, list[str] | None, list[bytes]]]:
        """Yield each row's first line's number, fields and lines.

        A torn row has no fields, None. Of a torn row only the first line is lost: those after it
        are read again as rows of their own. Each such row lowers the most lines of a row, or a file
        of torn quotes would take forever.
        """
        while True:
            try:
                for fields in csv.reader(self._feed(), delimiter=self.delimiter, strict=True):
                    self.most_lines = min(ROW_LINES, self.most_lines + len(self.row))
                    yield self._finish(fields, len(self.row))
                return
            except csv.Error:
                self.most_lines = max(FEWEST_ROW_LINES, self.most_lines - len(self.row) // 2)
                self.again.extendleft(reversed(self.row[1:]))
                yield self._finish(None, 1)

    def _finish(
        self, fields: list[str] | None, count: int
    ) -> tuple[int, list[str] | None, list[bytes]]:
        number, lines = self.number, self.row[:count]
        self.number, self.row_bytes, self.row = number + count, 0, []
        return number, fields, lines


def read_csv(part: Part, bar: tqdm, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield a table's rows as JSON, with their first line's number.

    A row without the header's number of fields is marked, and so is a torn one. Raise SourceError
    where the header does not name the columns.
    """
    blocks = read_lines(part, bar, size)
    lines = itertools.chain.from_iterable(block for _, block in blocks)
    header = next(lines, None)
    if header is None:
        return
    if part.name.lower().endswith(".tsv"):
        delimiter = "\t"
    else:
        delimiter = max(",;\t", key=header.decode("utf-8", "replace").count)
    reader = RowReader(lines, delimiter)
    reader.again.append(header)
    rows = iter(reader)
    columns = _check_header(next(rows)[1], part)
    for number, fields, row in rows:
        if fields is not None and len(fields) == len(columns):
            yield number, truncate(orjson.dumps(dict(zip(columns, fields, strict=True))))
        elif fields == []:
            yield number, row[0]  # a blank line, or one that is marked as oversized
        else:
            yield number, BROKEN + b"\n".join(row)[:HEAD]


def _check_header(fields: list[str] | None, part: Part) -> list[str]:
    names = [name.strip() for name in fields or ()]
    problem = None
    if not any(names):
        problem = "its first line names no columns"
    elif not all(names):
        problem = f"column {names.index('') + 1} of {len(names)} has no name in its first line"
    elif len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        problem = f"its first line names {repeated[:60]!r} twice"
    if problem:
        raise SourceError(
            f"{part.name}: {problem}; give each column a name of its own there, such as "
            "title,content"
        )
    return names


def read_parquet(part: Part, bar: tqdm) -> Iterator[tuple[int, bytes]]:
    """Yield a Parquet file's rows as JSON, numbered from 1."""
    import pyarrow as pa  # slow to load
    import pyarrow.parquet as pq

    number, before = 0, bar.n
    damage = (pa.ArrowException, OSError, ValueError, *DAMAGE)  # ValueError: a damaged name
    try:
        with _open_seekable(part) as file:
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
            for batch in table.iter_batches(batch_size=PARQUET_BATCH, use_threads=False):
                for index in range(batch.num_rows):
                    number += 1
                    yield number, _row_as_json(batch.slice(index, 1))
                bar.update(before + part.bytes * number // table.metadata.num_rows - bar.n)
    except damage as error:
        raise SourceError(
            f"{part.name} is no Parquet file or is damaged after {number:,} rows: copy or download "
            "it again"
        ) from error
    bar.update(before + part.bytes - bar.n)


@contextlib.contextmanager
def _open_seekable(part: Part) -> Iterator[BinaryIO | io.BufferedReader]:
    """Open a part, or unpack a zip's member to a temporary file."""
    if part.member is None:
        with part.path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        file.writelines(unpack(part))
        file.seek(0)
        yield file


def _row_as_json(batch: pa.RecordBatch) -> bytes:
    try:
        return truncate(orjson.dumps(batch.to_pylist()[0], default=str))
    except (ValueError, TypeError, OverflowError) as error:
        # Text that is no UTF-8, or a date after the year 9999.
        return BROKEN + str(error).encode("utf-8", "replace")[:HEAD]
