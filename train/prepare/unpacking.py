"""A part of a source -> its lines: unpacked as it is read, checked, and bounded in memory."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

READ, PIECE = 2**18, 2**20  # bytes at a time: of a packed file, and unpacked
LONGEST_LINE, HEAD = 16 * 2**20, 2**12  # bytes; of a longer line only its head is kept
INFLATION, INFLATED = (
    200,
    8 * 2**30,
)  # a part that grows beyond both, the factor and the bytes, is a bomb
# No JSON begins with these, and str.strip() takes them away where a line's beginning is shown.
OVERSIZED, BROKEN = b"\x1c\x1d\x1e\x1f", b"\x1c\x1d\x1f\x1e"
DAMAGE = (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError)
BOM = b"\xef\xbb\xbf"
NO_TEXT = {
    b"\xff\xfe": "UTF-16: save it as UTF-8",
    b"\xfe\xff": "UTF-16: save it as UTF-8",
    b"\x1f\x8b": "a gzip file: add .gz to its name",
    b"PK\x03\x04": "a zip file: let its name end in .zip",
}


class SourceError(Exception):
    """A catalogue cannot be prepared or read; the words are meant for the one who asked."""


class Part(NamedTuple):
    """A readable part of a source: a file, or a member of a zip."""

    path: Path
    member: str | None  # its name inside the zip
    name: str  # its base name, for people
    bytes: int  # as it lies on the disk, packed
    unseen: bool  # it is the unseen set


def inflated(chunks: Iterable[bytes], most: int = PIECE) -> Iterator[bytes]:
    """Yields what gzip chunks hold, up to `most` bytes at a time; raises EOFError or zlib.error where they are damaged."""
    decoder = None
    for chunk in chunks:
        while chunk:
            if decoder is None or decoder.eof:
                chunk = (
                    chunk.lstrip(b"\0") if decoder else chunk
                )  # some writers pad a file with zeros
                if not chunk:
                    break
                decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
            yield decoder.decompress(chunk, most)
            chunk = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
    while decoder and not decoder.eof:
        piece = decoder.decompress(b"", most)
        if not piece:
            raise EOFError("it ends in the middle")
        yield piece


def limited(pieces: Iterable[bytes], part: Part) -> Iterator[bytes]:
    """Yields the pieces as they are; raises SourceError where they grow out of all proportion to the part."""
    total = 0
    for piece in pieces:
        total += len(piece)
        if total > INFLATED and total > INFLATION * part.bytes:
            raise SourceError(
                f"{part.name} holds {part.bytes:,} bytes and unpacks to more than {total:,}, no catalogue "
                "does: unpack it by hand and look into it"
            )
        yield piece


def unpacked(part: Part, bar: tqdm | None = None) -> Iterator[bytes]:
    """Yields a part's bytes in pieces of up to PIECE, moving `bar` by the packed ones; raises one of DAMAGE."""
    moved = 0
    with contextlib.ExitStack() as stack:
        raw = stream = stack.enter_context(part.path.open("rb"))
        if part.member is not None:
            archive = stack.enter_context(zipfile.ZipFile(raw))
            stream = stack.enter_context(archive.open(part.member))
        start, gzipped = raw.tell(), part.name.lower().endswith(".gz")
        pieces = iter(lambda: stream.read(READ if gzipped else PIECE), b"")
        if gzipped:
            pieces = inflated(limited(pieces, part))
        for piece in limited(pieces, part):
            if bar is not None:
                bar.update(max(0, min(raw.tell() - start, part.bytes) - moved))
                moved = max(moved, min(raw.tell() - start, part.bytes))
            yield piece
    if bar is not None:
        bar.update(part.bytes - moved)


def text_of(pieces: Iterator[bytes], part: Part) -> Iterator[bytes]:
    """Yields the pieces without a byte order mark; raises SourceError where they are no UTF-8 text."""
    first = b""
    for piece in pieces:
        first += piece
        if len(first) >= 4:
            break
    for signature, words in NO_TEXT.items():
        if first.startswith(signature):
            raise SourceError(f"{part.name} is {words}")
    yield first.removeprefix(BOM)
    yield from pieces


def shortened(line: bytes) -> bytes:
    """Returns a line, or the marked head of one that is too long."""
    return line if len(line) <= LONGEST_LINE else OVERSIZED + line[:HEAD]


def split(text: bytes) -> list[bytes]:
    """Returns the lines of `text` without their ends; the last one may have none."""
    if b"\r\n" in text:
        text = text.replace(b"\r\n", b"\n")
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if len(text) > LONGEST_LINE and max(map(len, lines)) > LONGEST_LINE:
        lines = [shortened(line) for line in lines]
    return lines


def whole_lines(pieces: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yields text of at least `size` bytes that ends where a line ends; of a line that is too long only its marked head."""
    pending, weight, tail, skipping = (
        [],
        0,
        0,
        False,
    )  # tail: bytes of the line that has not ended yet
    for piece in pieces:
        if skipping:
            end = piece.find(b"\n")
            if end < 0:
                continue
            piece, skipping = piece[end:], False
        last = piece.rfind(b"\n")
        pending.append(piece)
        weight += len(piece)
        tail = tail + len(piece) if last < 0 else len(piece) - last - 1
        if tail > LONGEST_LINE:
            text = b"".join(pending)
            whole, skipping = len(text) - tail, True
            pending = [text[:whole], OVERSIZED + text[whole : whole + HEAD]]
            tail = len(pending[1])
            weight = whole + tail
        if weight >= size and weight > tail:
            text = b"".join(pending)
            pending, whole, weight = [text[weight - tail :]], weight - tail, tail
            yield text[:whole]
    yield b"".join(pending)


def line_blocks(
    part: Part, bar: tqdm | None = None, size: int = 2**23
) -> Iterator[tuple[int, list[bytes]]]:
    """Yields the number of a first line, from 1, and the lines from there on, about `size` bytes at a time.

    Raises SourceError where the part is damaged or is no UTF-8 text.
    """
    number, seen = 1, 0

    def counted() -> Iterator[bytes]:
        nonlocal seen
        for piece in text_of(unpacked(part, bar), part):
            seen += piece.count(b"\n")
            yield piece

    try:
        for text in whole_lines(counted(), size):
            lines = split(text)
            if lines:
                yield number, lines
            number += len(lines)
    except DAMAGE as error:
        raise SourceError(
            f"{part.name} is truncated or damaged after {seen:,} lines ({error or 'it ends in the middle'}): "
            "copy or download it again"
        ) from error
