"""The search index on disk: its schema, building it and opening it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TypedDict

import tantivy

from space.catalogue.naming import title_keys
from space.catalogue.text import fold, only_asks
from space.errors import CatalogueError

FORMAT = 2  # of the index; one with another number is refused
MARKER = "complete.json"  # written last: an index without it is half-built
MARKER_BYTES = 10_000
WRITER_MEMORY = 200_000_000  # bytes; few segments are quick to search, and too few to be merged
# Characters of a content that are searched: it begins with what it is about, and words cost time.
SEARCHED_CONTENT = 120


class Record(TypedDict):
    """One product of the catalogue."""

    uid: str
    title: str
    content: str


class Hit(Record):
    """A record that a search found, with its score from 0 to 1."""

    score: float


def index_schema() -> tantivy.Schema:
    """Define the stored texts and the searched fields of a record.

    `whole` holds the keys of a title (see title_keys()), by which a question that names it finds it
    whatever else the question says; or the complete title of a record whose words cannot be looked
    up (see only_asks()). An index that was built before has these last ones alone.
    """
    builder = tantivy.SchemaBuilder()
    for name in ("uid", "title", "content"):
        builder.add_bytes_field(name, stored=True)
    builder.add_text_field("title_words", tokenizer_name="whitespace", index_option="freq")
    builder.add_text_field("content_words", tokenizer_name="whitespace", index_option="basic")
    builder.add_text_field("whole", tokenizer_name="raw", index_option="basic")
    # A column to scan: a term for each of millions of positions costs more than a rare scan.
    builder.add_unsigned_field("position", fast=True)
    return builder.build()


def build_index(records: Iterable[tuple[str, str, str]], path: Path) -> int:
    """Build the index of (uid, title, content) records in the folder `path`.

    Returns the number of records. Atomic: it is built beside `path` and then replaces an older
    one. Raises OSError where it cannot be written.
    """
    building = path.with_name(path.name + ".building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        count = _write_documents(records, building)
    except ValueError as error:  # tantivy's only kind
        raise OSError(f"the search index cannot be written: {error}") from error
    # Locks stay behind, and the server may be another user than the one who built the index.
    for file in building.iterdir():
        if file.name.startswith("."):
            file.unlink()
        else:
            file.chmod(0o644)
    marker = json.dumps({"format": FORMAT, "records": count}) + "\n"
    (building / MARKER).write_text(marker, encoding="utf-8")
    replace_folder(building, path)
    return count


def replace_folder(new: Path, path: Path) -> None:
    """Replace the folder at `path` by the finished folder `new`."""
    older = path.with_name(path.name + ".older")
    shutil.rmtree(older, ignore_errors=True)
    if path.exists():
        os.replace(path, older)
    os.replace(new, path)
    shutil.rmtree(older, ignore_errors=True)


def open_index(folder: Path) -> tantivy.Index:
    """Open the index in a run's catalogue/ folder.

    Raises CatalogueError where it is missing, half-built, unreadable or of another format.
    """
    path = folder / "index"
    _check_index(folder, path)
    try:
        # tantivy leaves a lock file where it opens: in a folder of links, not in the catalogue.
        # A thread of its own may still write one while the folder is removed; that is harmless.
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


def decode_record(document: tantivy.Document) -> Record:
    """Read a record from its document in the index."""
    uid, title, content = (
        bytes(document.get_first(name) or b"").decode("utf-8", "surrogatepass")
        for name in ("uid", "title", "content")
    )
    return Record(uid=uid, title=title, content=content)


def _write_documents(records: Iterable[tuple[str, str, str]], folder: Path) -> int:
    count = 0
    # One thread: among records that fit a question equally well, the order is the catalogue's.
    index = tantivy.Index(index_schema(), path=str(folder))
    writer = index.writer(WRITER_MEMORY, num_threads=1)
    for uid, title, content in records:
        writer.add_document(_document(count, uid, title, content))
        count += 1
    writer.commit()
    writer.wait_merging_threads()
    return count


def _document(position: int, uid: str, title: str, content: str) -> tantivy.Document:
    document, words = tantivy.Document(), fold(title)
    for name, text in (("uid", uid), ("title", title), ("content", content)):
        document.add_bytes(name, text.encode("utf-8", "surrogatepass"))
    document.add_text("title_words", words)
    document.add_text("content_words", fold(content[:SEARCHED_CONTENT]))
    if only_asks(words):
        document.add_text("whole", " ".join(words.split()))
    else:
        for key in title_keys(title, words):
            document.add_text("whole", key)
    document.add_unsigned("position", position)
    return document


def _check_index(folder: Path, path: Path) -> None:
    if not folder.is_dir():
        raise CatalogueError(f"There is no catalogue folder {folder}: prepare one, or name another")
    if not path.is_dir():
        raise CatalogueError(
            f"{folder} holds no search index: prepare the catalogue, or name another folder"
        )
    for file in path.iterdir():
        if not file.is_file():  # a device or a pipe would be read without an end
            raise CatalogueError(
                f"The search index in {folder} holds {file.name}, which is not a regular file: "
                "prepare the catalogue again"
            )
    try:
        with (path / MARKER).open("rb") as marker:
            theirs = json.loads(marker.read(MARKER_BYTES))["format"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise CatalogueError(
            f"The search index in {folder} is not complete: prepare the catalogue again"
        ) from error
    if theirs != FORMAT:
        raise CatalogueError(
            f"The search index in {folder} has format {str(theirs)[:40]}, this version reads "
            f"{FORMAT}: "
            "prepare the catalogue again"
        )
