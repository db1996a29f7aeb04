"""A run's folder: every path, record, digest and atomic write of it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from train.config import BEFORE_OPTIONS, ConfigError, FitConfig

ADAPTER_RECORD = (
    "run.json"  # in the adapter's folder; written last, so an adapter that has it is complete
)
EVALUATION_FILES = (
    "samples.jsonl",
    "metrics.json",
    "evaluation.json",
    "report.html",
    "plots/loss.png",
    "plots/before_after.png",
)


class AdapterRecord(TypedDict):
    """All that is needed to do a run again: adapter/run.json, without a path of this machine."""

    base: dict[str, str]  # name and revision
    config: dict[str, Any]  # the options of FitConfig; an older record lacks later options
    data: dict[str, Any]  # see Run.data_digest()
    summaries: NotRequired[dict[str, Any]]  # where they are from; an older record lacks it
    version: str
    libraries: dict[str, str]
    python: str
    seed: int
    world_size: NotRequired[int]  # processes that trained it together; an older record lacks it
    hardware: str
    seconds: float
    memory: NotRequired[int]  # peak in bytes, of the GPU or else of the process
    steps: int
    tokens: int
    examples: int
    left_out: int
    train_loss: float
    adapter_parameters: int
    refreshed_from: NotRequired[dict[str, Any]]  # the commits that a refresh began from, by part


class RunError(Exception):
    """A run's folder cannot be read or written; one line for a person."""


class SourceIdentity(TypedDict):
    """What tells one source of data from another, without a path of this machine."""

    name: str
    files: list[str]
    bytes: int
    sha256: str
    dataset: NotRequired[str]  # user/name on the Hub


class DroppedLine(TypedDict):
    """A line that was dropped, as an example."""

    file: str
    line: int  # from 1
    text: str  # its beginning


class PreparationReport(TypedDict):
    """What every preparation counts: read = kept + the sum of dropped, always."""

    read: int
    kept: int
    dropped: dict[str, int]  # by reason
    examples: dict[str, list[DroppedLine]]  # the first of each reason
    repaired: dict[str, dict[str, Any]]  # by rule: {"texts": count, "examples": [...]}
    splits: dict[str, int]  # train and unseen
    near_duplicates: int
    languages: dict[str, int]  # of up to 10,000 texts
    characters: dict[str, dict[str, Any]]  # by field: percentiles and a histogram of lengths


class CatalogueReport(PreparationReport):
    """catalogue/report.json."""

    source: SourceIdentity
    options: dict[str, Any]
    uids_made: int


class SummariesReport(PreparationReport):
    """summaries/report.json, of a set of texts with summaries or of what a teacher wrote."""

    source: NotRequired[SourceIdentity]  # of a set, and its options
    options: NotRequired[dict[str, Any]]
    teacher: NotRequired[dict[str, Any]]  # of a teacher, and the digest of what it was asked
    asked: NotRequired[str]
    licence: str
    sha256: str  # of the pairs


def write_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text to a file atomically."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def read_json(path: Path) -> Any:
    """Read a file's one JSON value."""
    return json.loads(path.read_text(encoding="utf-8"))


def read_jsonl(path: Path) -> list[dict]:
    """Read a file with a JSON object a line."""
    # Not str.splitlines(), which also splits at U+2028 and others that JSON need not escape.
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def to_json(value: Any) -> str:
    """Format a JSON value as the run's files hold it.

    Raise ValueError for NaN and infinities.
    """
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_jsonl(values: Iterable[Any]) -> str:
    """Format JSON values, one a line.

    Raise ValueError for NaN and infinities.
    """
    return "".join(
        json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n" for value in values
    )


def sha256_file(path: Path) -> str:
    """Return a file's digest as "sha256:<hex>"."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def sha256_json(value: Any) -> str:
    """Return the hex digest of a JSON value.

    Equal for equal values whatever the order of keys.
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Run:
    """One run: where each of its files is, and reading and writing those that many steps use."""

    folder: Path

    # --- paths ---

    @property
    def name(self) -> str:
        """The folder's own name, as messages and cards give it."""
        return self.folder.name

    @property
    def source(self) -> Path:
        """Downloads of the catalogue's source."""
        return self.folder / "source"

    @property
    def catalogue(self) -> Path:
        """Prepared records, index and report; also what a Space serves as CATALOGUE."""
        return self.folder / "catalogue"

    @property
    def summaries(self) -> Path:
        """Texts with summaries to learn from, where the run has a set or a teacher."""
        return self.folder / "summaries"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def snapshots(self) -> Path:
        """The adapter after some of its steps, where `fit` was asked to keep it."""
        return self.folder / "snapshots"

    @property
    def rehearsal(self) -> Path:
        """What the base answered to general questions before training."""
        return self.folder / "rehearsal.json"

    @property
    def adapter(self) -> Path:
        """The adapter, as the Hub gets it."""
        return self.folder / "adapter"

    @property
    def card(self) -> Path:
        """The adapter's model card; evaluate writes it last."""
        return self.adapter / "README.md"

    @property
    def history(self) -> Path:
        return self.folder / "history.jsonl"

    @property
    def scores(self) -> Path:
        """Answers that were scored, a file a column, so that none is generated twice."""
        return self.folder / "scores"

    @property
    def plots(self) -> Path:
        return self.folder / "plots"

    @property
    def evaluation(self) -> Path:
        """Which adapter was scored, on what and how."""
        return self.folder / "evaluation.json"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.json"

    @property
    def samples(self) -> Path:
        return self.folder / "samples.jsonl"

    @property
    def published(self) -> Path:
        """Repository and commit of what was published last; it stays on this machine."""
        return self.folder / "published.json"

    @property
    def merged(self) -> Path:
        """Where a merged model goes if not said otherwise."""
        return self.folder / "merged"

    # --- what is done ---

    def has_adapter(self) -> bool:
        """Tell whether training ended and the adapter is complete."""
        return (self.adapter / ADAPTER_RECORD).is_file()

    def is_evaluated(self) -> bool:
        """Tell whether the adapter was scored.

        Its card is the last file that evaluate writes.
        """
        return self.card.is_file()

    # --- records ---

    def catalogue_report(self) -> CatalogueReport:
        """Read catalogue/report.json.

        {} where the catalogue is not prepared.
        """
        return cast(CatalogueReport, _object(self.catalogue / "report.json"))

    def summaries_report(self) -> SummariesReport:
        """Read summaries/report.json.

        {} where the run has no texts with summaries.
        """
        return cast(SummariesReport, _object(self.summaries / "report.json"))

    def adapter_record(self) -> AdapterRecord:
        """Read adapter/run.json."""
        return read_json(self.adapter / ADAPTER_RECORD)

    def fit_config(self) -> FitConfig:
        """Read the options that the run was begun with.

        Raise ConfigError where there are none. They stay on this machine, since `base` may be a
        path.
        """
        try:
            return FitConfig(**BEFORE_OPTIONS | read_json(self.folder / "config.json"))
        except (OSError, ValueError, TypeError) as error:
            raise ConfigError(
                f"{self.name} has no readable config.json ({error}): run fit first"
            ) from error

    def check_fit_config(self, config: FitConfig) -> None:
        """Raise ConfigError where the run was begun with other options."""
        if not (self.folder / "config.json").is_file():
            return
        before = self.fit_config().options()
        changed = [
            f"--{name.replace('_', '-')} was {before[name]}, now {value}"
            for name, value in config.options().items()
            if before[name] != value
        ]
        if changed:
            raise ConfigError(
                f"{self.name} was begun with other options ({'; '.join(changed)}): "
                "repeat them, or choose another --run"
            )

    def keep_fit_config(self, config: FitConfig) -> None:
        """Write config.json once.

        Raise ConfigError where the run was begun with other options.
        """
        self.check_fit_config(config)
        path = self.folder / "config.json"
        if not path.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(asdict(config), indent=1) + "\n")

    def data_digest(self) -> dict:
        """Identify the training data by its source, options, counts and digests."""
        report, summaries = read_json(self.catalogue / "report.json"), self.summaries_report()
        known = {name: report[name] for name in ("source", "options", "read", "kept", "splits")}
        return known | ({"summaries": summaries["sha256"]} if summaries else {})

    def read_history(self) -> list[dict]:
        """Read history.jsonl: {"step", "loss", ...} a line."""
        return read_jsonl(self.history)

    # --- writing ---

    @contextmanager
    def unfinished(self, name: str) -> Iterator[Path]:
        """Yield a new folder that replaces `name` unless an error comes."""
        building, folder = self.folder / f"{name}.unfinished", self.folder / name
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        yield building
        shutil.rmtree(folder, ignore_errors=True)
        building.rename(folder)

    def keep_evaluation(self, building: Path) -> None:
        """Move a finished evaluation into the run.

        The card comes last: a run with a card has everything that the card names.
        """
        self.card.unlink(missing_ok=True)
        self.plots.mkdir(exist_ok=True)
        for name in EVALUATION_FILES:
            os.replace(building / name, self.folder / name)
        os.replace(building / "README.md", self.card)
        shutil.rmtree(building)


def _object(path: Path) -> dict:
    try:
        value = read_json(path)
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
