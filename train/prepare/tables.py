"""Rows of CSV, TSV and Parquet -> JSON lines, each with its number."""

from __future__ import annotations

import contextlib
import csv
import tempfile
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

import orjson
from tqdm import tqdm

from train.prepare.unpacking import (
    BROKEN,
    DAMAGE,
    HEAD,
    OVERSIZED,
    Part,
    SourceError,
    line_blocks,
    shortened,
    unpacked,
)

SPAN, WEIGHT = (
    1000,
    2**20,
)  # the most lines and bytes of a row; beyond, its quote is taken for a torn one
LEAST_SPAN = 8
BATCH = 256  # Parquet rows at a time
csv.field_size_limit(WEIGHT * 32)  # the module's own limit is 128 KB, and its answer a broken row


class Lines:
    """Feeds csv.reader with text lines and keeps those of the row at hand, so that they can be read again."""

    def __init__(self, lines: Iterator[bytes]) -> None:
        self.lines, self.again, self.held = lines, deque(), []
        self.number, self.weight, self.span = 1, 0, SPAN

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self.again.popleft() if self.again else next(self.lines, None)
            if line is None:
                return
            self.held.append(line)
            self.weight += len(line)
            if len(self.held) > 1 and (
                len(self.held) > self.span or self.weight > WEIGHT or line.startswith(OVERSIZED)
            ):
                raise csv.Error("a torn quote")
            yield "\n" if line.startswith(OVERSIZED) else line.decode("utf-8", "replace") + "\n"

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str] | None, list[bytes]]]:
        """Yields the number of a row's first line, its fields and its lines; no fields where it cannot be read.

        A row that cannot be read is only its first line: those after it are read again as rows of their own, so a quote
        that never closes costs one row. What is read again shortens the span, or a file of torn quotes would take forever.
        """
        while True:
            try:
                for row in csv.reader(self, delimiter=delimiter, strict=True):
                    self.span = min(SPAN, self.span + len(self.held))
                    yield self._done(row, len(self.held))
                return
            except csv.Error:
                self.span = max(LEAST_SPAN, self.span - len(self.held) // 2)
                self.again.extendleft(reversed(self.held[1:]))
                yield self._done(None, 1)

    def _done(self, row: list[str] | None, count: int) -> tuple[int, list[str] | None, list[bytes]]:
        number, lines = self.number, self.held[:count]
        self.number, self.weight, self.held = number + count, 0, []
        return number, row, lines


def separated_rows(part: Part, bar: tqdm | None, size: int) -> Iterator[tuple[int, bytes]]:
    """Yields a CSV's or TSV's rows below its header, as JSON, with the number of the line that each begins on.

    A row without the header's number of fields is yielded marked, and so is one that a torn quote has spoilt. Raises
    SourceError where the header does not name the columns.
    """
    lines = Lines(line for _, block in line_blocks(part, bar, size) for line in block)
    first = next(lines.lines, None)
    if first is None:
        return
    lines.again.append(first)
    delimiter = (
        "\t"
        if part.name.lower().endswith(".tsv")
        else max(",;\t", key=first.decode("utf-8", "replace").count)
    )
    rows = lines.rows(delimiter)
    columns = _columns(next(rows)[1], part)
    for number, fields, held in rows:
        if fields is not None and len(fields) == len(columns):
            yield number, shortened(orjson.dumps(dict(zip(columns, fields, strict=True))))
        elif fields == []:
            yield number, held[0]  # a blank line, or one that is marked as oversized
        else:
            yield number, BROKEN + b"\n".join(held)[:HEAD]


def _columns(names: list[str] | None, part: Part) -> list[str]:
    """Returns the header's names, checked."""
    names = [name.strip() for name in names or ()]
    problem = None
    if not any(names):
        problem = "its first line names no columns"
    elif not all(names):
        problem = f"column {names.index('') + 1} of {len(names)} has no name in its first line"
    elif len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        problem = f"its first line names {twice[:60]!r} twice"
    if problem:
        raise SourceError(
            f"{part.name}: {problem}; give each column a name of its own there, such as title,content"
        )
    return names


def parquet_rows(part: Part, bar: tqdm | None) -> Iterator[tuple[int, bytes]]:
    """Yields the rows of a Parquet file as JSON, numbered from 1; raises SourceError where it is damaged."""
    import pyarrow as pa  # slow to load
    import pyarrow.parquet as pq

    number = moved = 0
    try:
        with _seekable(part) as file:
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
            for batch in table.iter_batches(batch_size=BATCH, use_threads=False):
                for index in range(batch.num_rows):
                    number += 1
                    yield number, _row(batch.slice(index, 1))
                if bar is not None:
                    now = part.bytes * number // table.metadata.num_rows
                    bar.update(now - moved)
                    moved = now
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        *DAMAGE,
    ) as error:  # a damaged name is a ValueError
        raise SourceError(
            f"{part.name} is no Parquet file or is damaged after {number:,} rows: copy or download it "
            "again"
        ) from error
    if bar is not None:
        bar.update(part.bytes - moved)


@contextlib.contextmanager
def _seekable(part: Part) -> Iterator[BinaryIO]:
    """Opens a part for reading at any place, as Parquet needs it: a zip's member in a nameless temporary file."""
    if part.member is None:
        with part.path.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        for piece in unpacked(part):
            file.write(piece)
        file.seek(0)
        yield file


def _row(batch) -> bytes:
    """Returns the only row of a batch as JSON, or marked where it holds what JSON cannot say."""
    try:
        return shortened(orjson.dumps(batch.to_pylist()[0], default=str))
    except (
        ValueError,
        TypeError,
        OverflowError,
    ) as error:  # text that is no UTF-8, a date beyond the year 9999
        return BROKEN + str(error).encode("utf-8", "replace")[:HEAD]
