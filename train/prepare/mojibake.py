"""UTF-8 that was read as Windows-1252 or Latin-1, read again by ftfy where a sign shows it."""

from __future__ import annotations

import functools
import re

# What Windows-1252 makes of the bytes 80 to 9F, and Latin-1 of 80 to BF: the later bytes of a
# letter in UTF-8. Its first byte is one of C2 to F4.
_LATER = (
    "\u0080-\u00bf\u20ac\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\u017d"
    "\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\u017e\u0178"
)
# The telling sign, for any engine of regular expressions. Lone bytes of Windows-1252 read as
# Latin-1 are control characters.
MOJIBAKE = f"[\u00c2-\u00f4][{_LATER}]|[\u0080-\u009f]"
NEXT_LINE = "\u0085"  # alone it is white space
_SIGN = re.compile(MOJIBAKE)
_RUN = re.compile("[\u0080-\U0010ffff]{1,1000}+")
# "MANH\u00c3\u00bb" and "manh\u00e3\u201d\u2026" are words with the marks after them.
_CLOSING = re.compile("[\u00bb\u201d\u2019\u2026\u2013\u2014\u2122\u00ae\u00a9\u00ba\u00aa\u00b7]+")


def fix_mojibake(text: str) -> str:
    """Repair each run of letters beyond ASCII by itself.

    ftfy decides on each, whatever else is in the text, and a long text takes no longer.
    """
    return _RUN.sub(_fix_run, text)


def _fix_run(found: re.Match[str]) -> str:
    run, text, at = found[0], found.string, found.start()
    if run == NEXT_LINE or not _SIGN.search(run):
        return run
    before = text[at - 1] if at else ""
    after = text[found.end() : found.end() + 1]
    is_word = before.isalpha() and before.isupper() == run[0].isupper()
    if is_word and not after.isalpha() and _CLOSING.fullmatch(run, 1):
        return run
    return _read_again(run)


@functools.lru_cache(4096)
def _read_again(run: str) -> str:
    from ftfy import fix_encoding  # slow to load

    return fix_encoding(run)
