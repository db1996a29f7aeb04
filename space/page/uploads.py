"""A visitor's file -> its text: read once and deleted, whatever is in it."""

from __future__ import annotations

import codecs
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from space.errors import InputError
from space.page.pdf import pdf_text
from space.settings import UPLOAD_LIMIT
from space.texts import clean_text

KINDS = [".txt", ".md", ".pdf"]
HEAD = 1024  # bytes in which a PDF says that it is one
# What a text begins with that says how its letters are written; UTF-32's begins with UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
STRAY = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1b")  # bytes that no text has


@dataclass(frozen=True)
class Upload:
    """A file's text, and what its sender should know of how it was read: keys of space/texts.py with their values."""

    text: str
    notes: tuple[tuple[str, dict], ...] = ()


def received(sent: object, folder: Path) -> bytes:
    """Returns the contents of a file that gradio keeps for a visitor, and deletes it; `sent` is what the page says of it.

    Raises InputError for one that is not in `folder`, where gradio puts what is sent, is no longer there, or is too large.
    """
    path = (
        Path(sent["path"])
        if isinstance(sent, dict) and isinstance(sent.get("path"), str)
        else folder
    )
    try:
        file = path.resolve(strict=True)
        # Each has a folder of its own there.
        if file.parent.parent != folder.resolve() or not file.is_file():
            raise InputError("upload_gone")
        try:
            if file.stat().st_size > UPLOAD_LIMIT:
                raise InputError("upload_large", limit=megabytes())
            return file.read_bytes()
        finally:
            file.unlink(missing_ok=True)
            with suppress(OSError):  # another visitor's copy of the same file is still in there
                file.parent.rmdir()
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("upload_gone") from error


def read_upload(data: bytes, limit: int) -> Upload:
    """Returns the text of a .txt, .md or .pdf by what is in it, whatever it is called, cut at `limit` characters.

    Raises InputError for what is empty, no text, or a PDF that cannot be read.
    """
    if b"%PDF-" in data[:HEAD]:
        text, read, pages = pdf_text(data, limit)
        text = _filled(text)
        cut = read < pages or len(text) > limit
        note = "upload_pages", {"read": read, "pages": pages, "limit": limit}
        return Upload(text[:limit].rstrip(), (note,) if cut else ())
    text, guessed = _decoded(data)
    text = _filled(text.replace("\r\n", "\n").replace("\r", "\n"))
    notes = [("upload_guessed", {})] if guessed else []
    if len(text) > limit:
        notes.append(("upload_cut", {"cut": len(text) - limit, "limit": limit}))
    return Upload(text[:limit], tuple(notes))


def megabytes() -> int:
    """Returns UPLOAD_LIMIT in megabytes."""
    return UPLOAD_LIMIT // 2**20


def _filled(text: str) -> str:
    text = clean_text(text)
    if not text:
        raise InputError("upload_empty")
    return text


def _decoded(data: bytes) -> tuple[str, bool]:
    """Returns (text, whether its encoding was guessed); raises InputError for what is no text."""
    mark = next((encoding for mark, encoding in MARKS if data.startswith(mark)), None)
    try:
        if mark:
            return data.decode(mark), False
        if STRAY.intersection(data):
            raise InputError("upload_binary")
        with suppress(UnicodeDecodeError):
            return data.decode("utf-8"), False
        with suppress(UnicodeDecodeError):
            return data.decode("cp1252"), True
        return data.decode("latin-1"), True
    except UnicodeDecodeError:
        raise InputError("upload_binary") from None
