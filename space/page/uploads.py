"""Read a visitor's file once, as text, and delete it."""

from __future__ import annotations

import codecs
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from space.errors import InputError
from space.page.pdf import read_pdf
from space.settings import UPLOAD_FOLDER, UPLOAD_LIMIT
from space.texts import remove_controls

KINDS = [".txt", ".md", ".pdf"]
HEAD = 1024  # bytes in which a PDF's signature must be
MEGABYTES = UPLOAD_LIMIT // 2**20
LEFT_OVER = 120  # seconds after which a file outside of a folder is of an upload that broke off
WAITING_FILES, WAITING_BYTES = 400, 20 * UPLOAD_LIMIT  # sent by all visitors and not yet read
# Byte order marks and their encodings; UTF-32's begins with UTF-16's.
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BINARY = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1b")  # bytes that no text has


@dataclass(frozen=True)
class Upload:
    """A file's text, and notes on how it was read: keys of space/texts.json with their values."""

    text: str
    notes: tuple[tuple[str, dict], ...] = ()


def take_upload(sent: object, folder: Path) -> bytes:
    """Read and delete a file that gradio keeps.

    `sent` is the page's description of it. Raises InputError for a file that is not in `folder`,
    where gradio puts uploads, that is gone, or that is too large.
    """
    path = folder
    if isinstance(sent, dict) and isinstance(sent.get("path"), str):
        path = Path(sent["path"])
    try:
        file = path.resolve(strict=True)
        # Each upload has a folder of its own.
        if file.parent.parent != folder.resolve() or not file.is_file():
            raise InputError("upload_gone")
        try:
            if file.stat().st_size > UPLOAD_LIMIT:
                raise InputError("upload_large", limit=MEGABYTES)
            return file.read_bytes()
        finally:
            file.unlink(missing_ok=True)
            with suppress(OSError):  # another visitor's copy of the same file is still there
                file.parent.rmdir()
    except InputError:
        raise
    except (OSError, ValueError) as error:
        raise InputError("upload_gone") from error


def read_upload(data: bytes, limit: int) -> Upload:
    """Read up to `limit` characters of a text or a PDF.

    Raises InputError for what is empty, is no text, or is a PDF that cannot be read.
    """
    if b"%PDF-" in data[:HEAD]:
        text, read, pages = read_pdf(data, limit)
        text = _clean(text)
        note = ("upload_pages", {"read": read, "pages": pages, "limit": limit})
        cut = read < pages or len(text) > limit
        return Upload(text[:limit].rstrip(), (note,) if cut else ())
    text, guessed = _decode(data)
    text = _clean(text.replace("\r\n", "\n").replace("\r", "\n"))
    notes = [("upload_guessed", {})] if guessed else []
    if len(text) > limit:
        notes.append(("upload_cut", {"cut": len(text) - limit, "limit": limit}))
    return Upload(text[:limit], tuple(notes))


def _clean(text: str) -> str:
    text = remove_controls(text)
    if not text:
        raise InputError("upload_empty")
    return text


def _decode(data: bytes) -> tuple[str, bool]:
    """Decode a text and return (it, whether its encoding was guessed)."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data.decode(encoding), False
            except UnicodeDecodeError:
                raise InputError("upload_binary") from None
    if BINARY.intersection(data):
        raise InputError("upload_binary")
    with suppress(UnicodeDecodeError):
        return data.decode("utf-8"), False
    with suppress(UnicodeDecodeError):
        return data.decode("cp1252"), True
    return data.decode("latin-1"), True


# --- the folder of all uploads ---


def check_room(folder: str | Path) -> bool:
    """Return whether one more file has room beside the unread ones."""
    count, size = 0, 0
    for path in Path(folder).glob("**/*"):
        with suppress(OSError):  # read and deleted meanwhile
            if path.is_file():
                count, size = count + 1, size + path.stat().st_size
        if count >= WAITING_FILES or size >= WAITING_BYTES:
            return False
    return True


def sweep(folder: str | Path) -> None:
    """Delete what broken uploads left in our own folder."""
    if not Path(folder).name.startswith(UPLOAD_FOLDER):
        return
    for path in Path(folder).iterdir():
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER:
                path.rmdir() if path.is_dir() else path.unlink()
