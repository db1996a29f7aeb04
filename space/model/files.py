"""Read a model's files, whoever wrote them: only regular ones, and only so much of each."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from space.errors import ModelError

JSON_BYTES = 4_000_000  # of a config or a record
HEADER_BYTES = 25_000_000  # of a weights file; a LoRA of all layers of a 70B has half a megabyte
TOKENIZER_BYTES = 100_000_000  # of one file; the largest vocabularies have 35 MB
TOKENIZER_PATTERNS = ("*.json", "*.jinja", "*.txt", "*.model", "additional_chat_templates/*")
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class TensorInfo:
    """What a weights file's header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]


def check_regular(what: str, folder: Path, names: Iterable[str]) -> None:
    """Raise ModelError where a name is there and is no regular file.

    A device or a pipe would be read without an end. A link to a regular file is one.
    """
    for name in names:
        try:
            mode = (folder / name).stat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ModelError(f"{what}: {name} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(mode):
            raise ModelError(f"{what}: {name} is not a regular file: put a real file there")


def read_object(what: str, path: Path) -> dict[str, Any]:
    """Read a JSON object of a bounded size, or raise ModelError."""
    check_regular(what, path.parent, [path.name])
    try:
        with path.open("rb") as file:
            content = file.read(JSON_BYTES + 1)
        if len(content) > JSON_BYTES:
            raise ValueError(f"it has over {JSON_BYTES:,} bytes")
        value = json.loads(content)
    except RecursionError:
        raise ModelError(f"{what}: {path.name} is nested too deeply: save it again") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{what}: {path.name} cannot be read: {reason}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{what}: {path.name} is {show(value)}, not a JSON object: save it again")
    return value


def read_header(what: str, path: Path) -> dict[str, TensorInfo]:
    """Read a .safetensors file's header without its tensors, or raise ModelError."""
    check_regular(what, path.parent, [path.name])
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise ModelError(
            f"{what}: {path.name} is a git-LFS pointer of {path.stat().st_size} bytes, not the "
            "weights: run `git lfs pull` in its folder, or download it again"
        )
    size = int.from_bytes(start[:8], "little")
    if len(start) < 8 or size > min(HEADER_BYTES, path.stat().st_size - 8):
        raise ModelError(
            f"{what}: {path.name} says that its header has {size:,} bytes, and it has "
            f"{path.stat().st_size:,} in all: it is cut off or broken; download or save it again"
        )
    tensors = {}
    try:
        with safe_open(path, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 # no mapping
                part = weights.get_slice(name)
                tensors[name] = TensorInfo(str(part.get_dtype()), tuple(part.get_shape()))
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{what}: {path.name} is cut off or broken ({reason}): download or save it again"
        ) from error
    return tensors


def check_base_files(base: str, folder: Path) -> None:
    """Raise ModelError for a broken or irregular file of a base's folder."""
    weights = sorted(path.name for path in folder.glob("*.safetensors"))
    others = sorted(path.name for path in folder.glob("*.json"))
    check_regular(f"base {base}", folder, [*others, *weights])
    for name in weights:
        read_header(f"base {base}", folder / name)


def check_tokenizer_files(what: str, folder: Path) -> None:
    """Raise ModelError for a tokenizer's file that is irregular or too large.

    A Hub id is no folder: its files come from the Hub's cache.
    """
    for pattern in TOKENIZER_PATTERNS:
        for path in sorted(folder.glob(pattern)):
            check_regular(what, path.parent, [path.name])
            size = path.stat().st_size
            if size > TOKENIZER_BYTES:
                raise ModelError(
                    f"{what}: {path.name} has {size:,} bytes, of at most {TOKENIZER_BYTES:,}: "
                    "use the base's own tokenizer"
                )


def show(value: object) -> str:
    """Write a value of any size and content in one short line."""
    text = re.sub(r"\s+", " ", repr(value))
    return text if len(text) <= 80 else text[:78] + "…" + text[-1]
