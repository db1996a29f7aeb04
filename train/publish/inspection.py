"""What must be true of a run before others see it: whole, as it was scored, its card filled, no secret or path in it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pyarrow
import pyarrow.parquet
from huggingface_hub import ModelCard, get_token
from safetensors import SafetensorError, safe_open

from space.catalogue import open_index
from space.errors import CatalogueError
from train.evaluate import EVALUATION
from train.evaluate import faults as evaluation_faults
from train.publish.card import CARD, PLACEHOLDER
from train.run import Run

# What each verb leaves in a run; a file of a place that is not named here may be there too.
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
        EVALUATION,
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


def problems(run: Run, files: Mapping[str, Path], catalogue: bool) -> list[str]:
    """Returns, in words, everything that keeps `files` ({name for a person: path}) of a run from going to the Hub."""
    found = list(missing(run, catalogue))
    if all((run.folder / name).is_file() for name in (EVALUATION, "metrics.json")):
        found += evaluation_faults(run)
    for name, path in files.items():
        found += [f"{name} {words}" for words in faults(path, run)]
    if run.card.is_file():
        card = run.card.read_text("utf-8", errors="replace")
        found += [f"adapter/README.md {words}" for words in card_faults(card)]
    if catalogue and (run.catalogue / "report.json").is_file():
        found += catalogue_faults(run.catalogue)
    return found


def missing(run: Run, catalogue: bool) -> Iterator[str]:
    """Yields what a verb has not made, and the verb."""
    for verb, names in MADE.items():
        absent = [name for name in names if not (run.folder / name).is_file()]
        if absent and (catalogue or verb != "prepare"):
            yield f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} missing: run `python -m train {verb}`"


def faults(path: Path, run: Run) -> Iterator[str]:
    """Yields what is wrong with one file."""
    if path.suffix not in READERS:
        yield "does not belong to what is published: remove it"
        return
    try:
        READERS[path.suffix](path)
    except (OSError, ValueError, SafetensorError, pyarrow.ArrowException) as error:
        yield f"is damaged ({str(error).partition(chr(10))[0][:100]}): make it again"
        return
    if path.suffix in TEXT:
        yield from exposed(path, run)


def exposed(path: Path, run: Run) -> Iterator[str]:
    """Yields the secrets and the places of this machine that a text file gives away; a secret is not repeated."""
    text, own = path.read_text("utf-8"), get_token()
    if TOKEN.search(text) or (own and own in text):
        yield "holds an access token: take it out, and make a new one"
    # A vocabulary has every word, those that look like folders too.
    if path.name != "tokenizer.json":
        for place in {Path.home(), Path.cwd(), run.folder.resolve().parent, Path(sys.prefix)}:
            if len(place.parts) > 1 and (
                shown := re.search(rf"(?<![\w.]){re.escape(str(place))}/[^\s\"']*", text)
            ):
                yield f"holds a path of this machine, {shown[0]}: take it out"
                return
    if path.name in SETTINGS:
        yield from (
            f"holds a path, {value}: take it out"
            for value in strings(json.loads(text))
            if ABSOLUTE.fullmatch(value)
        )


def strings(value) -> Iterator[str]:
    """Yields every string in a JSON value, keys aside."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings(each)


def card_faults(card: str) -> Iterator[str]:
    """Yields what is wrong with a model card: a placeholder that is left, metadata that the Hub would not take."""
    wanted = set(PLACEHOLDER.findall(CARD.read_text("utf-8")))
    left = sorted(wanted & set(PLACEHOLDER.findall(card)))
    if left:
        yield f"has nothing filled in for {', '.join(f'{{{name}}}' for name in left)}: run `python -m train evaluate`"
    try:
        said = ModelCard(card).data.to_dict()
    except Exception as error:  # whatever the parser of YAML and the reader of what it gives raise
        yield f"has metadata that cannot be read ({str(error).partition(chr(10))[0][:100]}): run `python -m train evaluate`"
        return
    lacks = [name for name in ("library_name", "pipeline_tag", "model-index") if not said.get(name)]
    if lacks:
        yield f"has no {', '.join(lacks)} in its metadata: run `python -m train evaluate`"


def catalogue_faults(folder: Path) -> Iterator[str]:
    """Yields what is wrong with a prepared catalogue as a whole."""
    try:
        kept = json.loads((folder / "report.json").read_text("utf-8")).get("kept")
        rows = sum(
            pyarrow.parquet.read_metadata(path).num_rows
            for path in (folder / "records").glob("*.parquet")
        )
        open_index(folder)
    except (OSError, ValueError, CatalogueError, pyarrow.ArrowException) as error:
        yield f"catalogue cannot be read ({str(error).partition(chr(10))[0][:100]}): run `python -m train prepare`"
        return
    if rows != kept:
        yield f"catalogue/records has {rows:,} records where its report says {kept:,}: run `python -m train prepare`"


# --- a file by its kind ----------------------------------------------------------------------------------------------


def _lines(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        for line in file:
            json.loads(line)


def _weights(path: Path) -> None:
    with safe_open(path, "pt") as file:
        file.keys()


def _picture(path: Path) -> None:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG") or b"IEND" not in content[-12:]:
        raise ValueError("no whole PNG")


def _nothing(path: Path) -> None:
    """The index is opened as a whole."""


# Only what is here may go: nothing that runs when it is loaded is.
READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text("utf-8")),
    ".jsonl": _lines,
    ".safetensors": _weights,
    ".png": _picture,
    ".parquet": pyarrow.parquet.read_metadata,
    **dict.fromkeys((".jinja", ".md", ".txt"), lambda path: path.read_text("utf-8")),
    **dict.fromkeys((*INDEX, ".model"), _nothing),
}
