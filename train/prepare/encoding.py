"""Text that is not UTF-8: Windows-1252, or UTF-8 that was cut inside a letter."""

from __future__ import annotations

import codecs
import re

# No Western text has four letters with accents in a row, a sign inside a word or a capital after
# a small letter: these are bytes of another encoding, such as Windows-1251 or Mac Roman.
_NOT_WESTERN = re.compile(
    "[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]{4}"
    "|[^\\W\\d_][\u0192\u201a\u201e\u2020\u2021\u02c6\u2030\u2039\u203a\u02dc\u00a4\u00a5\u00a6\u00ac]"
    "[^\\W\\d_]"
    "|[a-z][\u0160\u0152\u017d\u0178\u00c0-\u00d6\u00d8-\u00dd]"
)
_LETTERS = re.compile(rb"[A-Za-z0-9\x80-\xff]")


LONGEST_MIXED = 2**20  # bytes of a line of both encodings, which is read byte by byte


def _read_byte(error: UnicodeError) -> tuple[str, int]:
    """Read a byte as Windows-1252, or drop a cut letter."""
    assert isinstance(error, UnicodeDecodeError)
    data, start, end = error.object, error.start, error.end
    if 0xC2 <= data[start] <= 0xF4 and not _LETTERS.match(data, end):
        return "", end
    return data[start : start + 1].decode("cp1252"), start + 1


codecs.register_error("windows", _read_byte)


def decode_text(data: bytes) -> str | None:
    """Decode a line that is not UTF-8.

    None where it is no Western text.

    Where a line has letters in UTF-8 too, each of its other bytes is Windows-1252 or the rest of
    a letter that was cut.
    """
    try:
        if data.decode("utf-8", "ignore").isascii():
            text = data.decode("cp1252")
        elif len(data) <= LONGEST_MIXED:
            text = data.decode("utf-8", "windows")
        else:
            return None
    except UnicodeDecodeError:  # one of the bytes that mean nothing
        return None
    return None if _NOT_WESTERN.search(text) else text
