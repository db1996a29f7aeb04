"""The catalogue's index on disk: its schema, building it, and opening what is whole."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import tantivy

from space.catalogue.text import says_nothing, spelled
from space.errors import CatalogueError

FORMAT = 2  # of the index; one with another number is refused
MARKER = "complete.json"  # written last: an index without it is half-built
WRITER_MEMORY = 200_000_000  # bytes; few segments are quick to ask, and too few to be merged
BEGINNING = 120  # characters of a content that are searched; it says there what it is of, and words cost build time


class Record(TypedDict):
    """One product of the catalogue."""

    uid: str
    title: str
    content: str


class Hit(Record):
    """A record that a search found, with its score from 0 to 1."""

    score: float


def schema() -> tantivy.Schema:
    """A record's three texts to show, and what is searched: words as spelled() leaves them, key() and place in the order.

    `whole` holds a whole title where no word of it can be looked up (see says_nothing()).
    """
    builder = tantivy.SchemaBuilder()
    for name in ("uid", "title", "content"):
        builder.add_bytes_field(name, stored=True)
    builder.add_text_field("title_words", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("content_words", tokenizer_name="whitespace", index_option="basic")
    builder.add_text_field("whole", tokenizer_name="raw", index_option="basic")
    # Columns to scan: a term for each of millions of uids costs more to build than the scan of a rare look-up.
    for name in ("key", "position"):
        builder.add_unsigned_field(name, fast=True)
    return builder.build()


def build_index(records: Iterable[tuple[str, str, str]], path: Path) -> int:
    """Writes the index of (uid, title, content) records to the folder `path`; returns how many there are.

    It is built beside `path` and moved there when whole, in an older one's place. Raises OSError where it cannot write.
    """
    building = path.with_name(path.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        count = _write(records, building)
    except ValueError as error:  # tantivy's only kind
        raise OSError(f"the search index cannot be written: {error}") from error
    # Locks and bookkeeping stay behind, and the server may be another user than the one who built it.
    for file in building.iterdir():
        file.unlink() if file.name.startswith(".") else file.chmod(0o644)
    (building / MARKER).write_text(
        json.dumps({"format": FORMAT, "records": count}) + "\n", encoding="utf-8"
    )
    put_in_place(building, path)
    return count


def key(uid: str) -> int:
    """Returns the number by which a uid is looked up; two uids may share one."""
    return zlib.crc32(encoded(uid))


def encoded(text: str) -> bytes:
    """Returns a text as it is stored, whatever is in it."""
    return text.encode("utf-8", "surrogatepass")


def decoded(stored: bytes) -> str:
    """Returns what encoded() was given."""
    return bytes(stored).decode("utf-8", "surrogatepass")


def put_in_place(building: Path, path: Path) -> None:
    """Renames the finished folder `building` to `path`, and removes the older folder there."""
    older = path.with_name(path.name + ".older")
    shutil.rmtree(older, ignore_errors=True)
    if path.exists():
        os.replace(path, older)
    os.replace(building, path)
    shutil.rmtree(older, ignore_errors=True)


def open_index(folder: Path) -> tantivy.Index:
    """Opens a run's catalogue/ folder; raises CatalogueError where its index is missing, half-built or unknown."""
    path = folder / "index"
    _check(folder, path)
    try:
        # tantivy leaves a lock file where it opens; in a folder of links that is not the catalogue's own. A thread of its
        # own may still write one while the folder goes: that is no reason to refuse the index.
        with tempfile.TemporaryDirectory(prefix="catalogue-", ignore_cleanup_errors=True) as links:
            for file in path.iterdir():
                os.symlink(file.resolve(), Path(links) / file.name)
            index = tantivy.Index.open(links)
            index.config_reader("manual")
            index.reload()
            return index
    except (OSError, ValueError) as error:
        raise CatalogueError(
            f"The search index in {folder} cannot be read ({error}): prepare the catalogue again"
        ) from error


def _write(records: Iterable[tuple[str, str, str]], folder: Path) -> int:
    count = 0
    # One thread: among records that fit a question equally well, the order stays the catalogue's.
    writer = tantivy.Index(schema(), path=str(folder)).writer(WRITER_MEMORY, num_threads=1)
    for uid, title, content in records:
        writer.add_document(_document(count, uid, title, content))
        count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


def _document(position: int, uid: str, title: str, content: str) -> tantivy.Document:
    document, words = tantivy.Document(), spelled(title)
    for name, text in (("uid", uid), ("title", title), ("content", content)):
        document.add_bytes(name, encoded(text))
    document.add_text("title_words", words)
    document.add_text("content_words", spelled(content[:BEGINNING]))
    if says_nothing(words):
        document.add_text("whole", " ".join(words.split()))
    document.add_unsigned("key", key(uid))
    document.add_unsigned("position", position)
    return document


def _check(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise CatalogueError(f"There is no catalogue folder {folder}: prepare one, or name another")
    if not path.is_dir():
        raise CatalogueError(
            f"{folder} holds no search index: prepare the catalogue, or name another folder"
        )
    try:
        theirs = json.loads((path / MARKER).read_text(encoding="utf-8"))["format"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise CatalogueError(
            f"The search index in {folder} is not complete: prepare the catalogue again"
        ) from error
    if theirs != FORMAT:
        raise CatalogueError(
            f"The search index in {folder} has format {theirs!r}, this version reads {FORMAT}: "
            "prepare the catalogue again"
        )
