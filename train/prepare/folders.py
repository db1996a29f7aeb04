"""A folder of texts and a folder of their summaries -> JSON lines, as a set of named columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from train.prepare.reading import SourceError
from train.run import write_atomic


def two_folders(texts: Path, summaries: Path, cache: Path, columns: tuple[str, str]) -> Path:
    """Returns a file in `cache` with one row for each .txt file of `texts`, with the summary that belongs to it.

    A summary belongs to the text whose name its own ends with: "Sum-ce94ab10-a.txt" to "ce94ab10-a.txt" (TeMario's manner).
    A text or a summary that is alone gets a row with an empty other column, to be counted. Files are UTF-8 or else
    Windows-1252. Raises SourceError where a folder has no .txt file.
    """
    ours, theirs = _files(texts), _files(summaries)
    endings = {name[mark.end() :]: name for name in theirs for mark in re.finditer(r"[-_. ]", name)}
    endings |= {name: name for name in theirs}
    partners = {name: endings[name] for name in ours if name in endings}
    rows = [
        (name, _read(path), _read(theirs[partners[name]]) if name in partners else "")
        for name, path in ours.items()
    ]
    rows += [
        (name, "", _read(path)) for name, path in theirs.items() if name not in partners.values()
    ]
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"{texts.parent.resolve().name}.jsonl"
    write_atomic(
        file,
        "".join(
            json.dumps({"id": name, columns[0]: text, columns[1]: summary}, ensure_ascii=False)
            + "\n"
            for name, text, summary in rows
        ),
    )
    return file


def _files(folder: Path) -> Mapping[str, Path]:
    found = {
        path.stem.casefold(): path
        for path in sorted(folder.glob("**/*.[tT][xX][tT]"))
        if path.is_file()
    }
    if not found:
        raise SourceError(f"the folder {str(folder)!r} has no .txt file")
    return found


def _read(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
