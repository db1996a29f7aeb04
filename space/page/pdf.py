"""A PDF's text, read in a process of its own, which ends where it takes too long or too much memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from space.errors import InputError

SECONDS = 20  # for one file
PAGES = 300  # of one file are read
MEMORY = 2 * 2**30  # bytes
ROOT = Path(__file__).resolve().parents[2]


def pdf_text(data: bytes, characters: int) -> tuple[str, int, int]:
    """Returns (text, pages read, pages) of a PDF; reading ends with the page on which `characters` are full, or after PAGES.

    Raises InputError for one that is broken, locked, without text, or takes too long.
    """
    call = [sys.executable, "-P", str(Path(__file__)), str(characters)]
    try:
        # What is parsed may be hostile: it gets neither this process's memory nor its environment.
        done = subprocess.run(
            call,
            input=data,
            capture_output=True,
            timeout=SECONDS,
            cwd=ROOT,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        raise InputError("upload_slow", seconds=SECONDS) from None
    found = json.loads(done.stdout) if done.returncode == 0 else {"refused": "upload_broken"}
    if "refused" in found:
        raise InputError(found["refused"])
    return found["text"], found["read"], found["pages"]


def read(data: bytes, characters: int) -> dict:
    """Returns what pdf_text() does, as {"text", "read", "pages"}, or {"refused": a key of space/texts.py}."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    texts, length, number = [], 0, 0
    try:
        pages = PdfReader(io.BytesIO(data)).pages
        count = len(pages)
        for number in range(1, min(count, PAGES) + 1):
            texts.append(pages[number - 1].extract_text().strip())
            length += len(texts[-1])
            if length >= characters:
                break
    except (FileNotDecryptedError, DependencyError):
        return {"refused": "upload_locked"}
    except Exception:  # a broken file raises whatever it likes
        return {"refused": "upload_broken"}
    if not any(texts):
        return {"refused": "upload_scan" if count else "upload_empty"}
    # Twice what there is room for, so that whoever cuts it sees that it was too long.
    return {
        "text": "\n\n".join(filter(None, texts))[: 2 * characters],
        "read": number,
        "pages": count,
    }


def limit_memory() -> None:
    """Ends this process's greed; where a system knows no such limit, pypdf's own limits remain."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    limit_memory()
    json.dump(read(sys.stdin.buffer.read(), int(sys.argv[1])), sys.stdout)
