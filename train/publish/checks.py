"""Checks before a run is published: complete, as it was scored, without secrets or local paths."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
from huggingface_hub import ModelCard, get_token
from safetensors import SafetensorError, safe_open

from space.catalogue import open_index
from space.errors import CatalogueError
from train.evaluate import evaluation_problems
from train.publish.card import ADAPTER_TEMPLATE, template_names
from train.run import Run, read_json, read_jsonl

# What each verb leaves in a run; other files may be there too.
MADE = {
    "prepare": ("catalogue/report.json", "catalogue/report.md", "catalogue/index/complete.json"),
    "fit": (
        "adapter/adapter_model.safetensors",
        "adapter/adapter_config.json",
        "adapter/tokenizer.json",
        "adapter/tokenizer_config.json",
        "adapter/chat_template.jinja",
        "adapter/prompt.json",
        "adapter/run.json",
        "history.jsonl",
    ),
    "evaluate": (
        "adapter/README.md",
        "metrics.json",
        "evaluation.json",
        "samples.jsonl",
        "plots/loss.png",
        "plots/before_after.png",
    ),
}
SETTINGS = ("adapter_config.json", "tokenizer_config.json", "prompt.json", "run.json")
INDEX = (".term", ".idx", ".pos", ".store", ".fast", ".fieldnorm", ".del")
TEXT = (".json", ".jsonl", ".jinja", ".md", ".txt")
TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")
ABSOLUTE = re.compile(r"(/[^/\s]+){2,}/?|[A-Za-z]:\\\S*")
PLACEHOLDER = re.compile(r"\{\{ *([a-z_0-9]+) *\}\}")


def problems(run: Run, paths: Sequence[Path], catalogue: bool) -> list[str]:
    """List all that keeps these files of a run from being published."""
    found = list(missing_files(run, catalogue))
    if run.evaluation.is_file() and run.metrics.is_file():
        found += evaluation_problems(run)
    for path in paths:
        name = path.relative_to(run.folder).as_posix()
        found += [f"{name} {problem}" for problem in file_problems(path, run)]
    if run.card.is_file():
        for problem in card_problems(run.card.read_text("utf-8", errors="replace")):
            found.append(f"adapter/README.md {problem}")
    if catalogue and (run.catalogue / "report.json").is_file():
        found += catalogue_problems(run)
    return found


def missing_files(run: Run, catalogue: bool) -> Iterator[str]:
    """Yield what a verb has not made, and the verb."""
    for verb, names in MADE.items():
        missing = [name for name in names if not (run.folder / name).is_file()]
        if missing and (catalogue or verb != "prepare"):
            are = "is" if len(missing) == 1 else "are"
            yield f"{', '.join(missing)} {are} missing: run `python -m train {verb}`"


def file_problems(path: Path, run: Run) -> Iterator[str]:
    """Yield what is wrong with one file."""
    if path.suffix not in READERS:
        yield "does not belong to what is published: remove it"
        return
    try:
        READERS[path.suffix](path)
    except (OSError, ValueError, SafetensorError, pyarrow.ArrowException) as error:
        yield f"is damaged ({_first_line(error)}): make it again"
        return
    if path.suffix in TEXT:
        yield from leaks(path, run)


def leaks(path: Path, run: Run) -> Iterator[str]:
    """Yield the secrets, without repeating them, and local paths in a text."""
    text, token = path.read_text("utf-8"), get_token()
    if TOKEN.search(text) or (token and token in text):
        yield "holds an access token: take it out, and make a new one"
    # A vocabulary has every word, also those that look like folders.
    if path.name != "tokenizer.json":
        for folder in {Path.home(), Path.cwd(), run.folder.resolve().parent, Path(sys.prefix)}:
            shown = re.search(rf"(?<![\w.]){re.escape(str(folder))}/[^\s\"']*", text)
            if shown and len(folder.parts) > 1:
                yield f"holds a path of this machine, {shown[0]}: take it out"
                return
    if path.name in SETTINGS:
        for value in _strings(json.loads(text)):
            if ABSOLUTE.fullmatch(value):
                yield f"holds a path, {value}: take it out"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)


def card_problems(card: str) -> Iterator[str]:
    """Yield what a model card lacks: filled placeholders, sound metadata."""
    again = "run `python -m train evaluate`"
    names = template_names(ADAPTER_TEMPLATE.read_text("utf-8"))
    left = sorted(names.intersection(PLACEHOLDER.findall(card)))
    if left:
        yield f"has nothing filled in for {', '.join(left)}: {again}"
    try:
        data = ModelCard(card).data.to_dict()
    except Exception as error:  # whatever the parsers of YAML and of the metadata raise
        yield f"has metadata that cannot be read ({_first_line(error)}): {again}"
        return
    needed = ("library_name", "pipeline_tag", "model-index")
    lacking = [name for name in needed if not data.get(name)]
    if lacking:
        yield f"has no {', '.join(lacking)} in its metadata: {again}"


def catalogue_problems(run: Run) -> Iterator[str]:
    """Yield what is wrong with a prepared catalogue."""
    again = "run `python -m train prepare`"
    rows = 0
    try:
        kept = read_json(run.catalogue / "report.json").get("kept")
        for path in (run.catalogue / "records").glob("*.parquet"):
            rows += pyarrow.parquet.read_metadata(path).num_rows
        open_index(run.catalogue)
    except (OSError, ValueError, CatalogueError, pyarrow.ArrowException) as error:
        yield f"catalogue cannot be read ({_first_line(error)}): {again}"
        return
    if rows != kept:
        yield f"catalogue/records has {rows:,} records where its report says {kept:,}: {again}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:100]


# --- readers of the kinds of files, which raise for a damaged one ---


def _read_text(path: Path) -> None:
    path.read_text("utf-8")


def _read_weights(path: Path) -> None:
    with safe_open(path, "pt") as file:
        file.keys()


def _read_png(path: Path) -> None:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG") or b"IEND" not in content[-12:]:
        raise ValueError("not a complete PNG")


def _read_later(path: Path) -> None:
    pass  # the search index is opened as one


# Only these kinds may be published: none of them runs code when it is loaded.
READERS: dict[str, Callable[[Path], object]] = {
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".safetensors": _read_weights,
    ".png": _read_png,
    ".parquet": pyarrow.parquet.read_metadata,
    **dict.fromkeys((".jinja", ".md", ".txt"), _read_text),
    **dict.fromkeys((*INDEX, ".model"), _read_later),
}
