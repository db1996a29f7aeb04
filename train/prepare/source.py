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
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple, cast

import orjson
from tqdm import tqdm

from train.prepare.encoding import decode_text
from train.prepare.json_values import RecordSplitter, find_record_stack
from train.prepare.memory import limit_memory
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
BOMB_FACTOR, BOMB_SIZE = 100, 2**30  # what unpacks to more than both is refused
# What a line and a row of Parquet count at least: reading an empty one is work too.
LINE_WEIGHT, ROW_WEIGHT = 64, 256
FILES = 10_000  # the most of a folder or zip
ZIP_DIRECTORY = 8 * 2**20  # the most of a zip's list of members
COLUMNS = 10_000  # the most of a table
PARQUET_MEMORY = 2**29  # what reading a batch may take above what the process has
# The rows in which the columns are looked for, and bytes that are read at a time.
HEADER_FILES, HEADER_ROWS, HEADER_BYTES = 20, 1000, 2**18
JSON_HEAD = 2**20  # of a file that begins with JSON; says how its records lie in it
ROW_LINES, ROW_BYTES = 1000, 2**20  # the most of a CSV row; beyond, its quote counts as torn
FEWEST_ROW_LINES = 8
PARQUET_BATCH = 256  # rows

# Marks before a line that is not as it was read. No JSON begins with these, and str.strip()
# removes them where the beginning of a line is shown.
OVERSIZED, BROKEN = b"\x1c\x1d\x1e\x1f", b"\x1c\x1d\x1f\x1e"
RECODED = b"\x1c\x1d\x1f\x1f"  # a row of a table whose bytes were Windows-1252
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


@dataclass(frozen=True)
class Columns:
    """The source's names for a record's fields."""

    title: str = "title"
    content: str = "content"
    uid: str = "uid"


class Budget:
    """What may be unpacked of one file, in bytes."""

    def __init__(self, path: Path) -> None:
        self.name, self.bytes = path.name, path.stat().st_size
        self.most = max(BOMB_SIZE, BOMB_FACTOR * self.bytes)
        self.left = self.most

    def spend(self, count: int) -> None:
        """Count unpacked bytes. Raise SourceError beyond the budget."""
        self.left -= count
        if self.left < 0:
            raise SourceError(
                f"{self.name} holds {self.bytes:,} bytes and unpacks to more than {self.most:,}, "
                f"over {BOMB_FACTOR} times as many, no catalogue does: unpack it by hand and look "
                "into it"
            )


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
        files = sorted(_list_files(path))
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
    if len(parts) > FILES:
        raise SourceError(
            f"{path.name} has {len(parts):,} catalogue files, more than {FILES:,}: join them to "
            "fewer files"
        )
    names = [part.name.lower() for part in parts]
    if any(name.startswith("trn") for name in names):
        # The texts of the labels are no catalogue.
        parts = [part for part in parts if not part.name.lower().startswith("lbl")]
    return sorted(parts, key=lambda part: part.unseen)


def _list_files(folder: Path) -> Iterator[Path]:
    """List a folder's catalogue files.

    Refuse a link to a file outside of it.
    """
    inside = folder.resolve()
    for file in folder.iterdir():
        if not is_catalogue_name(file.name) or not file.is_file():
            continue
        if file.is_symlink() and not file.resolve().is_relative_to(inside):
            raise SourceError(
                f"{file.name!r} in the folder {str(folder)!r} is a link to a file outside of it: "
                "copy the file there, or remove the link"
            )
        yield file


def is_catalogue_name(name: str) -> bool:
    """Tell a catalogue's file by its name.

    "._trn.json" is a Mac's note about trn.json.
    """
    return name.lower().endswith(KINDS) and not name.startswith(".")


def _zip_parts(path: Path) -> list[Part]:
    try:
        with path.open("rb") as raw, zipfile.ZipFile(cast(IO[bytes], _ZipFile(raw))) as archive:
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


class _ZipFile:
    """A zip whose list of members is refused where it is too long to be read."""

    def __init__(self, file: BinaryIO | io.BufferedReader) -> None:
        self.file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, count: int = -1) -> bytes:
        if count > ZIP_DIRECTORY:  # zipfile reads the list at once
            raise SourceError(
                f"{Path(self.file.name).name} has a list of members of {count:,} bytes, more than "
                f"{ZIP_DIRECTORY:,}: unpack it and give the folder"
            )
        return self.file.read(count)


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


def read_blocks(
    parts: Iterable[Part],
    bar: tqdm = NO_BAR,
    size: int = BLOCK,
    columns: Columns | None = None,
) -> Iterator[Block]:
    """Yield every line of the parts once, in blocks.

    A block has about `size` bytes. `bar` moves by the packed bytes. A table's row becomes a line of
    JSON with the number of the line it begins on, and a record of a JSON document one with its own
    number. Of Parquet only `columns` are read. A line that is too long and a row that cannot be
    read are marked for `parse_line`. Raise SourceError where a part breaks off or goes beyond its
    Budget.
    """
    for path, members in itertools.groupby(parts, key=lambda part: part.path):
        budget = Budget(path)
        with contextlib.ExitStack() as stack:
            archive = None
            for part in members:
                if part.member is not None and archive is None:
                    # Opened once: the list of its members is read each time.
                    archive = stack.enter_context(zipfile.ZipFile(path))
                yield from _read_part(Unpacker(part, budget, archive), bar, size, columns)


def _read_part(source: Unpacker, bar: tqdm, size: int, columns: Columns | None) -> Iterator[Block]:
    part = source.part
    name = part.name.lower()
    if name.endswith(JSON_LINES):
        title = columns.title if columns else Columns.title
        pieces = _check_text(source.unpack(bar), part)
        head, pieces = _peek(pieces, JSON_HEAD)
        stack = find_record_stack(head, len(head) < JSON_HEAD, title)
        if stack is None:
            for number, lines in read_lines(source, pieces, size):
                yield Block(part, number, lines)
        else:
            yield from _group_rows(part, read_json(source, pieces, stack), size)
    elif name.endswith(TABLES):
        yield from _group_rows(part, read_csv(source, bar, size, columns), size)
    else:
        yield from _group_rows(part, read_parquet(source, bar, columns), size)


def _peek(pieces: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first `size` bytes, and all pieces with them.

    Damage in them is raised by the pieces.
    """
    first, length, damage = [], 0, None
    try:
        for piece in pieces:
            first.append(piece)
            length += len(piece)
            if length >= size:
                break
    except DAMAGE as error:
        damage = error
    return b"".join(first)[:size], _go_on(first, damage, pieces)


def _go_on(
    first: list[bytes], damage: Exception | None, pieces: Iterator[bytes]
) -> Iterator[bytes]:
    yield from first
    if damage:
        raise damage
    yield from pieces


def check_columns(parts: Iterable[Part], source: str, options: Mapping[str, str]) -> None:
    """Raise SourceError where no part has all columns.

    `options` gives the option that names a column. The first rows of the first parts are looked
    at.
    """
    there: dict[str, None] = {}
    for part in itertools.islice(parts, HEADER_FILES):
        blocks = read_blocks([part], size=HEADER_BYTES)
        lines = itertools.chain.from_iterable(block.lines for block in blocks)
        rows = itertools.islice(lines, HEADER_ROWS)
        items = [item for item in map(parse_line, rows) if isinstance(item, dict)]
        names = dict.fromkeys(itertools.chain.from_iterable(items))
        if options.keys() <= names.keys():
            return
        there |= names
    missing = [name for name in options if name not in there]
    if not there or not missing:
        return
    raise SourceError(
        f"{source!r} has no column {missing[0]!r}; it has "
        f"{', '.join(map(str, there))[:300]}: name yours with "
        f"{' and '.join(options[name] for name in missing)}"
    )


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
    source: Unpacker, pieces: Iterator[bytes], size: int
) -> Iterator[tuple[int, list[bytes]]]:
    """Yield lines with the number of the first.

    Lines are numbered from 1. At least `size` bytes come at a time, but for the last. Raise
    SourceError where the part is damaged or is no UTF-8 text.
    """
    number, text, part, budget = 1, bytearray(), source.part, source.budget
    skipping = False  # the rest of an oversized line
    try:
        for piece in pieces:
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
                budget.spend(LINE_WEIGHT * len(lines))
                yield number, lines
                number += len(lines)
    except DAMAGE as error:
        complete = number - 1 + text.count(b"\n")
        raise SourceError(
            f"{part.name} is truncated or damaged after {complete:,} lines "
            f"({error or 'it ends in the middle'}): copy or download it again"
        ) from error
    if text:
        lines = split_lines(bytes(text))
        budget.spend(LINE_WEIGHT * len(lines))
        yield number, lines


def read_json(
    source: Unpacker, pieces: Iterator[bytes], stack: bytes
) -> Iterator[tuple[int, bytes]]:
    """Yield a JSON document's records, numbered from 1.

    `stack` is that of find_record_stack(). Raise SourceError where it breaks off.
    """
    splitter = RecordSplitter(stack, LONGEST_LINE, HEAD, OVERSIZED, BROKEN)
    number = 0
    try:
        for record in splitter.split(pieces):
            number += 1
            source.budget.spend(LINE_WEIGHT)
            yield number, record
    except (ValueError, *DAMAGE) as error:
        raise SourceError(
            f"{source.part.name} is truncated or damaged after {number:,} records "
            f"({error or 'it ends in the middle'}): copy or download it again"
        ) from error


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


def parse_line(line: bytes, recoded: list[tuple[str, str]] | None = None) -> dict | str:
    """Return a line's JSON object, or "blank", "broken" or "oversized".

    A line that was not UTF-8 is decoded by decode_text(), and `recoded` gets it as it is read by
    others and as it is read here.
    """
    try:
        item = orjson.loads(line)
    except (ValueError, RecursionError):
        return _parse_with_json(line, recoded)
    if not isinstance(item, dict):
        return "broken"
    # orjson makes a float of an integer of more than 64 bits, and a uid may be one. Every line
    # comes here, and any() with a generator takes twice the time.
    for value in item.values():
        if type(value) is float and abs(value) >= 2**63:
            return _parse_with_json(line, recoded)
    return item


def _parse_with_json(line: bytes, recoded: list[tuple[str, str]] | None) -> dict | str:
    # The standard library takes NaN, lone surrogates and integers of any length.
    if not line.strip():
        return "blank"
    if line.startswith(OVERSIZED):
        return "oversized"
    was_recoded = line.startswith(RECODED)
    text = _decode_line(line.removeprefix(RECODED if was_recoded else BOM))
    try:
        item = json.loads(text[0] or "")
    except (ValueError, RecursionError):
        return "broken"
    if not isinstance(item, dict):
        return "broken"
    if recoded is not None and (was_recoded or text[1]):
        recoded.append((line.decode("utf-8", "replace").lstrip(), text[0] or ""))
    return item


def _decode_line(line: bytes) -> tuple[str | None, bool]:
    """Decode a line, and tell whether it was not UTF-8.

    The text is None where it is none.
    """
    try:
        return line.decode(), False
    except UnicodeDecodeError:
        return decode_text(line), True


# --- unpacking -------------------------------------------------------------------------------


class Unpacker(NamedTuple):
    """A part with what is needed to unpack it: its budget, and the open zip it is in."""

    part: Part
    budget: Budget
    archive: zipfile.ZipFile | None

    def unpack(self, bar: tqdm = NO_BAR) -> Iterator[bytes]:
        """Yield unpacked bytes, up to PIECE at a time.

        `bar` moves by the packed bytes. Raise one of DAMAGE where the part is damaged and
        SourceError where it is a bomb.
        """
        before, part = bar.n, self.part
        with contextlib.ExitStack() as stack:
            if part.member is None or self.archive is None:
                raw = stream = stack.enter_context(part.path.open("rb"))
            else:
                stream = stack.enter_context(self.archive.open(part.member))
                raw = cast(IO[bytes], self.archive.fp)
            start = raw.tell()
            gzipped = part.name.lower().endswith(".gz")
            pieces = iter(lambda: stream.read(PACKED_READ if gzipped else PIECE), b"")
            if gzipped:
                pieces = gunzip(self._count(pieces))
            for piece in self._count(pieces):
                packed = min(raw.tell() - start, part.bytes)
                bar.update(max(0, before + packed - bar.n))
                yield piece
        bar.update(before + part.bytes - bar.n)

    def _count(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.budget.spend(len(piece))
            yield piece


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


def _check_text(pieces: Iterator[bytes], part: Part) -> Iterator[bytes]:
    """Remove a byte order mark, and refuse what is no text."""
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= 4:
            break
    if re.match(rb"[^\0]\0[^\0]\0|\0[^\0]\0[^\0]", first):
        raise SourceError(f"{part.name} is UTF-16: save it as UTF-8")
    for signature, remedy in NOT_TEXT.items():
        if first.startswith(signature):
            raise SourceError(f"{part.name} is {remedy}")
    yield first.removeprefix(BOM)
    yield from pieces


# --- tables ----------------------------------------------------------------------------------


class RowReader:
    """Read CSV rows with the number of their first line; a torn quote costs one row.

    polars and pyarrow lose the line numbers, and with a torn quote all rows after it. A row of one
    line with text after a closing quote, such as `2,"Best" Kettle`, keeps its quotes. Where `tsv`,
    quotes are text unless a field needs them: there is no quoting in the format, but others write
    it so.
    """

    def __init__(self, lines: Iterator[bytes], delimiter: str, tsv: bool = False) -> None:
        self.lines, self.delimiter, self.tsv = lines, delimiter, tsv
        self.fields = 0  # of a row, from the header on
        self.again: deque[bytes] = deque()  # lines to read once more
        self.row: list[bytes] = []  # the lines of the row at hand
        self.recoded = False  # one of them was not UTF-8
        self.number, self.row_bytes, self.most_lines = 1, 0, ROW_LINES

    def _feed(self) -> Iterator[str]:
        while True:
            line = self.again.popleft() if self.again else next(self.lines, None)
            if line is None:
                return
            self.row.append(line)
            self.row_bytes += len(line)
            too_large = len(self.row) > self.most_lines or self.row_bytes > ROW_BYTES
            if len(self.row) > 1 and (
                too_large or line.startswith(OVERSIZED) or self._is_row(line)
            ):
                raise TornQuote
            yield "\n" if line.startswith(OVERSIZED) else self._decode(line) + "\n"

    def _decode(self, line: bytes) -> str:
        text, recoded = _decode_line(line)
        if text is None:
            raise NotText
        self.recoded = self.recoded or recoded
        return text

    def _is_row(self, line: bytes) -> bool:
        """Check whether a .tsv's line has all fields."""
        return self.tsv and self.fields > 1 and line.count(b"\t") == self.fields - 1

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
                    yield self._finish(self._with_quotes(fields), len(self.row))
                return
            except (csv.Error, TornQuote, NotText) as error:
                count = len(self.row)
                self.most_lines = max(FEWEST_ROW_LINES, self.most_lines - count // 2)
                self.again.extendleft(reversed(self.row[1:]))
                yield self._finish(self._read_torn(error, count), 1)

    def _with_quotes(self, fields: list[str]) -> list[str]:
        """Restore the quotes that a .tsv's row did not need."""
        if not self.tsv or len(self.row) > 1 or len(fields) != self.fields:
            return fields
        line = self.row[0]
        if b'"' not in line or b'""' in line or line.count(b"\t") != self.fields - 1:
            return fields
        return self._decode(line).split("\t")

    def _read_torn(self, error: Exception, count: int) -> list[str] | None:
        """Read the first line of a row whose quotes are no CSV."""
        line = self.row[0]
        if isinstance(error, NotText) or line.startswith(OVERSIZED):
            return None
        text = _decode_line(line)[0] or ""
        if self.tsv:
            fields = text.split("\t")
        elif count == 1 and not isinstance(error, TornQuote) and "after" in str(error):
            fields = _split_loosely(text, self.delimiter)
        else:
            return None
        return fields if len(fields) == self.fields else None

    def _finish(
        self, fields: list[str] | None, count: int
    ) -> tuple[int, list[str] | None, list[bytes]]:
        number, lines = self.number, self.row[:count]
        self.number, self.row_bytes, self.row = number + count, 0, []
        return number, fields, lines


class TornQuote(Exception):
    """A row has too many lines or bytes: a quote was opened and not closed."""


class NotText(Exception):
    """A line is neither UTF-8 nor Windows-1252."""


def _split_loosely(line: str, delimiter: str) -> list[str]:
    """Split a row of one line, and keep quotes that quote nothing."""
    fields, at, sign = [], 0, re.escape(delimiter)
    field = re.compile(rf'"((?:[^"]|"")*+)"(?={sign}|$)|([^{sign}]*+)')
    while True:
        found = field.match(line, at)
        assert found  # the second part fits anything
        quoted = found[1]
        fields.append(found[2] if quoted is None else quoted.replace('""', '"'))
        at = found.end() + 1
        if at > len(line):
            return fields


def read_csv(
    source: Unpacker, bar: tqdm, size: int, asked: Columns | None
) -> Iterator[tuple[int, bytes]]:
    """Yield a table's rows as JSON, with their first line's number.

    A row without the header's number of fields is marked, and so is a torn one. Raise SourceError
    where the header does not name the columns.
    """
    part = source.part
    blocks = read_lines(source, _check_text(source.unpack(bar), part), size)
    lines = itertools.chain.from_iterable(block for _, block in blocks)
    header = next(lines, None)
    if header is None:
        return
    tsv = part.name.lower().endswith(".tsv")
    # In a .tsv whose header is quoted, all is.
    reader = RowReader(lines, _find_delimiter(header, tsv), tsv and not header.startswith(b'"'))
    reader.again.append(header)
    rows = iter(reader)
    columns = _check_header(next(rows)[1], part, asked)
    reader.fields = len(columns)
    reader.recoded = False
    for number, fields, row in rows:
        if fields is not None and len(fields) == len(columns):
            line = truncate(orjson.dumps(dict(zip(columns, fields, strict=True))))
            yield number, RECODED + line if reader.recoded else line
        elif fields == []:
            yield number, row[0]  # a blank line, or one that is marked as oversized
        else:
            yield number, BROKEN + b"\n".join(row)[:HEAD]
        reader.recoded = False


def _find_delimiter(header: bytes, tsv: bool) -> str:
    return "\t" if tsv else max(",;\t", key=header.decode("utf-8", "replace").count)


def _check_header(fields: list[str] | None, part: Part, asked: Columns | None) -> list[str]:
    """Return the names of the columns, some of them empty."""
    names = [name.strip() for name in fields or ()]
    wanted = [name for name in names if name]
    if asked:
        wanted = [name for name in names if name in (asked.title, asked.content, asked.uid)]
    problem = None
    if not any(names):
        problem = "its first line names no columns"
    elif len(names) > COLUMNS:
        problem = f"its first line names {len(names):,} columns, more than {COLUMNS:,}"
    elif len(set(wanted)) < len(wanted):
        repeated = next(name for name in wanted if wanted.count(name) > 1)
        problem = f"its first line names {repeated[:60]!r} twice"
    if problem:
        raise SourceError(
            f"{part.name}: {problem}; give each column a name of its own there, such as "
            "title,content"
        )
    return names


def read_parquet(source: Unpacker, bar: tqdm, asked: Columns | None) -> Iterator[tuple[int, bytes]]:
    """Yield a Parquet file's rows as JSON, numbered from 1.

    Only the columns `asked` are read, all where it is None. Raise SourceError where a batch of
    rows needs more than PARQUET_MEMORY.
    """
    import pyarrow as pa  # slow to load
    import pyarrow.parquet as pq

    number, before, part = 0, bar.n, source.part
    damage = (pa.ArrowException, OSError, ValueError, *DAMAGE)  # ValueError: a damaged name
    try:
        with _open_seekable(source) as file:
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
            names = table.schema_arrow.names
            if asked:
                names = [n for n in names if n in (asked.title, asked.content, asked.uid)]
            batches = table.iter_batches(PARQUET_BATCH, columns=names, use_threads=False)
            rows = max(1, table.metadata.num_rows)
            while batch := _next_batch(batches):
                for index in range(batch.num_rows):
                    number += 1
                    row = batch.slice(index, 1)
                    source.budget.spend(ROW_WEIGHT + row.nbytes)
                    yield number, _row_as_json(row)
                bar.update(max(0, before + part.bytes * min(number, rows) // rows - bar.n))
    except (MemoryError, pa.ArrowMemoryError) as error:
        raise SourceError(
            f"{part.name} needs more than {PARQUET_MEMORY / 2**20:,.0f} MiB for the "
            f"{PARQUET_BATCH} rows after row {number:,}: write it anew with smaller pages, or as "
            "JSON lines"
        ) from error
    except damage as error:
        raise SourceError(
            f"{part.name} is no Parquet file or is damaged after {number:,} rows: copy or download "
            "it again"
        ) from error
    bar.update(before + part.bytes - bar.n)


def _next_batch(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
    with limit_memory(PARQUET_MEMORY):
        return next(batches, None)


@contextlib.contextmanager
def _open_seekable(source: Unpacker) -> Iterator[BinaryIO | io.BufferedReader]:
    """Open a part, or unpack a zip's member to a temporary file."""
    if source.part.member is None:
        with source.part.path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        file.writelines(source.unpack())
        file.seek(0)
        yield file


def _row_as_json(batch: pa.RecordBatch) -> bytes:
    if batch.nbytes > 2 * LONGEST_LINE:  # not made to text first
        return OVERSIZED
    try:
        return truncate(orjson.dumps(batch.to_pylist()[0], default=str))
    except (ValueError, TypeError, OverflowError) as error:
        # Text that is no UTF-8, or a date after the year 9999.
        return BROKEN + str(error).encode("utf-8", "replace")[:HEAD]
