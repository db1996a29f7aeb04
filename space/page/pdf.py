"""Read a PDF's text in a subprocess with bounded time and memory."""

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


def read_pdf(data: bytes, characters: int) -> tuple[str, int, int]:
    """Read a PDF in a subprocess and return (text, pages read, pages).

    Reading ends with the page on which `characters` are full, or after PAGES. Raises InputError for
    a file that is broken, locked, without text, or takes too long.
    """
    # This file is the program, so it must import neither torch nor gradio.
    command = [sys.executable, "-P", str(Path(__file__)), str(characters)]
    try:
        # A PDF may be hostile, so it gets neither this process's memory nor its environment.
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=SECONDS,
            cwd=ROOT,
            env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
    except subprocess.TimeoutExpired:
        raise InputError("upload_slow", seconds=SECONDS) from None
    if done.returncode:
        raise InputError("upload_broken")
    result = json.loads(done.stdout)
    if "error" in result:
        raise InputError(result["error"])
    return result["text"], result["read"], result["pages"]


def extract(data: bytes, characters: int) -> dict:
    """Extract {"text", "read", "pages"}, or {"error": a key of space/texts.json}."""
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError

    texts, length = [], 0
    try:
        pages = PdfReader(io.BytesIO(data)).pages
        count = len(pages)
        for index in range(min(count, PAGES)):
            texts.append(pages[index].extract_text().strip())
            length += len(texts[-1])
            if length >= characters:
                break
    except (FileNotDecryptedError, DependencyError):
        return {"error": "upload_locked"}
    except Exception:  # pypdf raises all kinds of errors for a broken file
        return {"error": "upload_broken"}
    if not any(texts):
        return {"error": "upload_scan" if count else "upload_empty"}
    # Twice the room, so that the caller sees that the text was too long.
    text = "\n\n".join(filter(None, texts))[: 2 * characters]
    return {"text": text, "read": len(texts), "pages": count}


def limit_memory() -> None:
    """Limit this process's memory, where the system can."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    limit_memory()
    json.dump(extract(sys.stdin.buffer.read(), int(sys.argv[1])), sys.stdout)
