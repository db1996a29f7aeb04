"""Find the records of a JSON document: an array, values over many lines, a wrapped list.

JSON lines need none of this. A library such as ijson gives no record's own bytes or number, keeps
a record of any size in memory and stops at the first fault.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import orjson

DEEPEST = 10_000  # brackets inside one another
OPENERS, WHITE_SPACE = b"{[", b" \t\r\n"
_OUTSIDE = re.compile(rb'["\[\]{}]')
_INSIDE = re.compile(rb'["\\\n]')
_QUOTE, _BACKSLASH, _NEW_LINE = b'"\\\n'


def find_record_stack(head: bytes, ended: bool, title: str) -> bytes | None:
    """Return the brackets around each record, or None for JSON lines.

    b"[" for an array, b"{[" for a list inside an object, b"" for objects of several lines each.
    `head` is the document's beginning, `ended` says whether it is all of it. An object with the
    key `title` is a record whatever lists it has.
    """
    text = head.lstrip()
    if text[:1] == b"[":
        rest = text[1:].lstrip()
        closed = ended and text.rstrip().endswith(b"]")
        return b"[" if rest[:1] == b"{" and (closed or not _looks_like_lines(rest)) else None
    if text[:1] != b"{":
        return None
    first, new_line, rest = text.partition(b"\n")
    one_line = bool(new_line) or ended
    if one_line and isinstance(_parse(first), dict):
        end, stack, has_title = _scan(first, title)
        alone = ended and not rest.strip()
        return stack if alone and not has_title else None
    if _looks_like_lines(rest):
        return None
    end, stack, has_title = _scan(text, title)
    if end is None:
        return None if has_title else stack
    if not isinstance(_parse(text[:end]), dict) or b"\n" not in text[:end]:
        return None
    alone = ended and not text[end:].strip()
    return stack if alone and stack and not has_title else b""


def _parse(text: bytes) -> object:
    try:
        return orjson.loads(text)
    except ValueError:
        return None


def _looks_like_lines(rest: bytes) -> bool:
    """Check whether the lines after a torn first one are objects."""
    lines = [line.strip() for line in rest.split(b"\n")[:50]]
    if any(line.endswith(b",") for line in lines):
        return False
    return any(isinstance(_parse(line), dict) for line in lines)


def _scan(text: bytes, title: str) -> tuple[int | None, bytes | None, bool]:
    """Scan the first object of a text.

    Return where it ends, the brackets around the first object that is directly in a list, and
    whether the value itself has the key `title`.
    """
    key = orjson.dumps(title)
    opened, records, has_title = bytearray(), None, False
    at = 0
    while found := _OUTSIDE.search(text, at):
        at, mark = found.end(), text[found.start()]
        if mark == _QUOTE:
            end = _string_end(text, at)
            if end is None:
                break
            if len(opened) == 1 and text[found.start() : end] == key:
                has_title = has_title or text[end : end + 20].lstrip().startswith(b":")
            at = end
        elif mark in OPENERS:
            if records is None and mark == OPENERS[0] and opened[-1:] == b"[":
                records = bytes(opened)
            opened.append(mark)
        else:
            opened.pop()
            if not opened:
                return at, records, has_title
    return None, records, has_title


def _string_end(text: bytes, at: int) -> int | None:
    while found := _INSIDE.search(text, at):
        mark = text[found.start()]
        if mark == _BACKSLASH:
            at = found.end() + 1
        else:
            return found.end()
    return None


class RecordSplitter:
    """Cut a JSON document into its records, in memory of one record.

    `stack` is that of find_record_stack(). A record of over `most` bytes becomes `oversized` and
    its first `head` bytes; what stands between records and is none becomes `broken` and its first
    bytes. A string ends at a line break, since JSON has none there: a torn quote costs its record,
    not all after it.
    """

    def __init__(self, stack: bytes, most: int, head: int, oversized: bytes, broken: bytes) -> None:
        self.stack, self.most, self.head = stack, most, head
        self.oversized, self.broken = oversized, broken
        self.opened = bytearray()
        self.inside = self.escaped = False  # of a string; after a backslash
        self.record: bytearray | None = None
        self.too_long = False
        self.between = bytearray()  # what follows the last record in its list
        self.has_record = False  # of the list at hand

    def split(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the records. Raise ValueError where the document ends inside one."""
        for piece in pieces:
            yield from self._split_piece(piece)
        yield from self._end_gap()
        if self.opened or self.inside:
            raise ValueError("it ends inside of a JSON value")

    def _split_piece(self, piece: bytes) -> Iterator[bytes]:
        at, start = int(self.escaped), 0
        self.escaped = False
        while found := (_INSIDE if self.inside else _OUTSIDE).search(piece, at):
            at, mark = found.end(), piece[found.start()]
            if self.inside:
                if mark == _BACKSLASH:
                    self.escaped = at == len(piece)
                    at += 1
                else:
                    self.inside = False
            elif mark == _QUOTE:
                self.inside = True
            elif mark in OPENERS:
                if self.record is None and mark == OPENERS[0] and self.opened == self.stack:
                    self._take(piece[start : found.start()])
                    yield from self._end_gap()
                    self.record, start = bytearray(), found.start()
                self._open(mark)
                if self.record is None and self.opened == self.stack:
                    self.between.clear()
                    self.has_record = False
                    start = at
            else:
                in_list = self.record is None and self.opened == self.stack
                if in_list:
                    self._take(piece[start : found.start()])
                    yield from self._end_gap()
                    start = at
                del self.opened[-1:]
                if self.record is not None and self.opened == self.stack:
                    self._take(piece[start:at])
                    yield self._end_record()
                    start = at
        self._take(piece[start:])

    def _open(self, mark: int) -> None:
        self.opened.append(mark)
        if len(self.opened) > DEEPEST:
            raise ValueError(f"more than {DEEPEST:,} brackets inside one another")

    def _take(self, text: bytes) -> None:
        if self.record is None:
            if len(self.opened) >= len(self.stack) and len(self.between) < self.head:
                self.between += text[: self.head]
            return
        if self.too_long:
            return
        self.record += text
        if len(self.record) > self.most:
            self.record = bytearray(self.oversized + self.record[: self.head])
            self.too_long = True

    def _end_record(self) -> bytes:
        record = bytes(self.record or b"")
        self.record, self.too_long, self.has_record = None, False, True
        self.between.clear()
        return record

    def _end_gap(self) -> Iterator[bytes]:
        text = bytes(self.between).strip(WHITE_SPACE + b",")
        self.between.clear()
        if text and self.has_record:
            yield self.broken + text[: self.head]
