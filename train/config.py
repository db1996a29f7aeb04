"""The options of every verb: frozen dataclasses that are checked when they are made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from space.settings import DEFAULT_BASE


class ConfigError(ValueError):
    """The call was wrong.

    One message lists every problem.
    """


def option(default: Any, help: str, **limits: Any) -> Any:
    """Make a dataclass field with its help and limits.

    Limits are `low` and `high`, both inclusive, and `choices`.
    """
    return field(default=default, metadata={"help": help, **limits})


def flag(name: str) -> str:
    """Return a field's option on the command line."""
    return "--" + name.rstrip("_").replace("_", "-")


@dataclass(frozen=True)
class Checked:
    """A config that raises ConfigError with all its problems when it is made."""

    def __post_init__(self) -> None:
        problems = [*self.limits(), *self.problems()]
        if problems:
            raise ConfigError("; ".join(problems))

    def limits(self) -> Iterator[str]:
        """Yield the fields that are outside their limits."""
        for item in fields(self):
            value, limits, name = getattr(self, item.name), item.metadata, flag(item.name)
            if value is None:
                continue
            if "low" in limits and value < limits["low"]:
                yield f"{name} is {value}, the least is {limits['low']}"
            if "high" in limits and value > limits["high"]:
                yield f"{name} is {value}, the most is {limits['high']}"
            if "choices" in limits and value not in limits["choices"]:
                yield f"{name} is {value!r}, it is one of {', '.join(limits['choices'])}"

    def problems(self) -> Iterator[str]:
        """Yield what is wrong between fields."""
        return iter(())


@dataclass(frozen=True)
class PrepareConfig(Checked):
    """How a catalogue becomes records."""

    limit: int | None = option(
        None, "keep this many records, chosen at random but always the same", low=1
    )
    unseen_share: float = option(0.1, "share of the titles never trained on", low=0.0, high=0.9)
    title_column: str = option("title", "the source's name for titles")
    content_column: str = option("content", "the source's name for contents")
    uid_column: str = option("uid", "the source's name for uids")
    jsonl: bool = option(False, "also write records.jsonl and prompts.jsonl, for other tools")

    def options(self) -> dict[str, Any]:
        """Return the options that change the records."""
        return {
            "limit": self.limit,
            "unseen_share": self.unseen_share,
            "columns": [self.title_column, self.content_column, self.uid_column],
        }


@dataclass(frozen=True)
class SummariesConfig(Checked):
    """What `summarize` is learned from, where that is not the contents' own principal sentences."""

    summaries: str = option(
        "",
        "learn to summarize from this set: what SOURCE may be, or two folders of texts in one",
    )
    text_column: str = option("text", "the set's name for texts, or for their folder")
    summary_column: str = option("summary", "the set's name for summaries, or for their folder")
    held_out: float = option(
        0.1, "share of the set that is scored and never trained on", low=0.01, high=0.9
    )
    summaries_licence: str = option(
        "unknown", "the licence of the set or of the teacher's summaries, for run.json"
    )
    teacher: str = option(
        "", "learn from summaries that this model writes of the long contents: a Hub id or a folder"
    )
    teacher_revision: str | None = option(None, "the teacher's commit on the Hub")
    taught: int = option(2000, "contents that the teacher summarizes, at most", low=2)
    teacher_batch: int = option(8, "contents that the teacher summarizes at once", low=1)

    def problems(self) -> Iterator[str]:
        if self.summaries and self.teacher:
            yield (
                "--summaries and --teacher contradict each other: summaries are learned from one "
                "of them"
            )
        if self.text_column == self.summary_column:
            yield f"--text-column and --summary-column are both {self.text_column!r}"

    def options(self) -> dict[str, Any]:
        """Return the options that change the pairs of a set."""
        return {"columns": [self.text_column, self.summary_column], "held_out": self.held_out}


# What runs did before an option of `fit` was there, where that is not today's default.
BEFORE_OPTIONS = {"asked": 0.0}


@dataclass(frozen=True)
class FitConfig(Checked):
    """How an adapter is trained.

    The defaults suit a 7B model on one GPU.
    """

    base: str = option(DEFAULT_BASE, "the base: a Hub id, a folder or a GGUF file")
    base_revision: str | None = option(None, "the base's commit on the Hub")
    precision: str = option("nf4", "how the base is held while training", choices=("nf4", "bf16"))
    learn: int | None = option(
        None, "records to learn by heart; all of the training split if not set", low=1
    )
    epochs: int = option(1, "times that each learned record is asked for", low=1)
    max_steps: int | None = option(None, "stop after this many optimizer steps", low=1)
    answers: float = option(
        0.5, "questions with records in the prompt, for each learned record and epoch", low=0.0
    )
    absent: float = option(
        0.2,
        "share of the questions with records that ask for what the records do not hold",
        low=0.0,
        high=1.0,
    )
    asked: float = option(
        1.0,
        "questions for one fact, a yes or no, or a comparison, for each learned record and epoch",
        low=0.0,
    )
    unstated: float = option(
        0.2,
        "share of the questions for a fact that ask for what the record does not say",
        low=0.0,
        high=1.0,
    )
    follow_ups: float = option(
        0.1, "second questions after an answer, for each learned record and epoch", low=0.0
    )
    summarize: float = option(
        0.25, "texts to summarize, for each learned record and epoch", low=0.0
    )
    rehearse: float = option(
        0.0,
        "general questions, answered as the base answers them so that it forgets less, for each "
        "learned record and epoch",
        low=0.0,
    )
    context: int = option(3, "records in a question's prompt, at most", low=1, high=20)
    rank: int = option(16, "LoRA rank, on all linear layers", low=1, high=512)
    alpha: float = option(32.0, "LoRA alpha", low=0.0)
    rank_stabilized: bool = option(
        False, "scale LoRA by alpha over the rank's square root (rsLoRA), not over the rank"
    )
    init: str = option(
        "default",
        "LoRA's first weights: default, or eva, along what the training answers vary in most",
        choices=("default", "eva"),
    )
    dropout: float = option(0.0, "LoRA dropout", low=0.0, high=0.9)
    learning_rate: float | None = option(
        None,
        "peak learning rate, cosine after a warm-up; if not set, 1e-3 for a base of under a "
        "billion parameters and 2e-4 for a larger one",
        low=0.0,
        high=1.0,
    )
    warmup: float = option(0.03, "share of the steps that warm up", low=0.0, high=0.5)
    batch_size: int = option(
        16, "examples in a batch; long ones pass through the model in parts", low=1
    )
    accumulate: int = option(1, "batches in an optimizer step", low=1)
    max_length: int = option(
        1024,
        "tokens in an example (an encoder-decoder: in its prompt); a longer one is left out",
        low=32,
    )
    answer_tokens: int = option(200, "tokens in an answer, cut at a sentence", low=8)
    checkpointing: str = option(
        "auto",
        "gradient checkpointing; auto: where the estimate of memory asks for it",
        choices=("auto", "on", "off"),
    )
    save_steps: int = option(100, "steps between checkpoints", low=1)
    seed: int = option(1, "seed of everything random", low=0)
    start: str = option("", "the folder of an adapter whose weights are the first ones")
    snapshots: bool = option(
        False, "keep the adapter as it is after 10% and 50% of the steps, for the page"
    )

    def problems(self) -> Iterator[str]:
        if self.start and self.init != "default":
            yield f"--start and --init {self.init} contradict each other: first weights are one's"

    def for_base(self, parameters: int) -> FitConfig:
        """Fill in what depends on the base's number of parameters.

        At 2e-4 a base of 135M learned to cite and to say nothing else.
        """
        if self.learning_rate is not None:
            return self
        return replace(self, learning_rate=1e-3 if parameters < 10**9 else 2e-4)

    def options(self) -> dict[str, Any]:
        """Return the options that change what is trained."""
        return {name: value for name, value in asdict(self).items() if name != "snapshots"}


@dataclass(frozen=True)
class EvaluateConfig(Checked):
    """How base and tuned are scored."""

    items: int = option(200, "items in a set, at most", low=2)
    shots: int = option(
        3, "worked examples in the prompt of the few-shot base; 0 leaves it out", low=0, high=10
    )
    score_batch: int = option(64, "items scored in one batch", low=1)


def repository_problems(**repositories: str) -> Iterator[str]:
    """Yield the options whose value is no repository on the Hub.

    An empty one is not given.
    """
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    for name, value in repositories.items():
        try:
            validate_repo_id(value or "user/name")
            if value and value.count("/") != 1:
                raise HFValidationError("no user")
        except HFValidationError:
            yield (
                f"{flag(name)} is {value!r}, which is no repository: give user/name, of letters, "
                "digits, -, _ and ."
            )


@dataclass(frozen=True)
class CompareConfig(Checked):
    """How runs are compared."""

    gate: bool = option(
        False, "end with 1 where a later run is worse than the first beyond its interval"
    )
    out: str = option("", "where the page goes; compare.html beside the last run if not set")


@dataclass(frozen=True)
class PushConfig(Checked):
    """Where checkpoints go while training."""

    to: str = option("", "the adapter's repository on the Hub, user/name")
    private: bool = option(False, "nobody else may see any of it")
    push_every: int = option(
        0,
        "send a checkpoint to the Hub every so many steps, and go on with the one that is there; "
        "0 sends none",
        low=0,
    )

    def problems(self) -> Iterator[str]:
        if self.push_every and not self.to:
            yield "--to is missing: --push-every needs the Hub repository, user/name"


@dataclass(frozen=True)
class TrackConfig(Checked):
    """Which board a run is followed on.

    It changes nothing of what is trained.
    """

    report_to: str = option(
        "none",
        "the board that shows how a run goes: none, tensorboard, mlflow or trackio",
        choices=("none", "tensorboard", "mlflow", "trackio"),
    )


@dataclass(frozen=True)
class PublishConfig(Checked):
    """Where a run goes on the Hub, and who may see it."""

    to: str = option("", "the adapter's repository on the Hub, user/name")
    private: bool = option(False, "nobody else may see any of it")
    catalogue: str = option("", "the catalogue's repository, a data set; TO-catalogue if not set")
    public_catalogue: bool = option(
        False, "everyone may read the catalogue; a new repository for it is private otherwise"
    )
    no_catalogue: bool = option(False, "the catalogue stays here")
    dry_run: bool = option(False, "only list what would go, without any network")

    def problems(self) -> Iterator[str]:
        chosen = [flag(item.name) for item in fields(self) if getattr(self, item.name)]
        if chosen and not self.to:
            yield f"--to is missing: {chosen[0]} needs the Hub repository, user/name"
            return
        for first, second in (
            ("--private", "--public-catalogue"),
            ("--catalogue", "--no-catalogue"),
            ("--public-catalogue", "--no-catalogue"),
        ):
            if first in chosen and second in chosen:
                yield f"{first} and {second} contradict each other"
        yield from repository_problems(to=self.to, catalogue=self.catalogue_repo)
        if self.to and self.to == self.catalogue:
            yield "--to and --catalogue are the same"

    @property
    def catalogue_repo(self) -> str:
        """The catalogue's repository, empty where it stays here."""
        if self.no_catalogue or not self.to:
            return ""
        return self.catalogue or f"{self.to}-catalogue"


@dataclass(frozen=True)
class RefreshConfig(Checked):
    """Which published adapter is brought up to a new catalogue, and how."""

    from_: str = option("", "the published adapter's repository on the Hub, user/name")
    run: str = option("", "the folder it works in; runs/NAME-refresh if not set")
    catalogue: str = option(
        "", "the repository of the catalogue that it learned; FROM-catalogue if not set"
    )
    base: str = option("", "the base's folder or GGUF file, where it is not on the Hub")
    epochs: int | None = option(None, "as with fit; the adapter's own if not set", low=1)
    max_steps: int | None = option(None, "as with fit; the adapter's own if not set", low=1)
    learning_rate: float | None = option(
        None, "as with fit; the adapter's own if not set", low=0.0, high=1.0
    )
    push_every: int = option(
        0,
        "send a checkpoint to the private repository FROM-checkpoints every so many steps, and go "
        "on with the one that is there; 0 sends none",
        low=0,
    )
    back: bool = option(False, "undo the newest refresh on the Hub")
    dry_run: bool = option(False, "do all but publish, and list what would go")

    def problems(self) -> Iterator[str]:
        if not self.from_:
            yield "--from is missing: give the published adapter's repository, user/name"
        yield from repository_problems(from_=self.from_, catalogue=self.catalogue)

    @property
    def catalogue_repo(self) -> str:
        return self.catalogue or f"{self.from_}-catalogue"

    @property
    def folder(self) -> str:
        """The folder it works in."""
        return self.run or f"runs/{self.from_.split('/')[-1]}-refresh"


@dataclass(frozen=True)
class MergeConfig(Checked):
    """Where a merged model goes, and how it is compared with base and adapter apart."""

    out: str = option("", "the merged model's folder; RUN/merged if not set")
    items: int = option(
        8, "questions of each scored set whose answers are compared, at most", low=1
    )


@dataclass(frozen=True)
class DeployConfig(Checked):
    """A Space and what it serves.

    Without an adapter it serves the embedded sample.
    """

    to: str = option("", "the Space on the Hub, user/name; made if there is none")
    run: str = option("", "a published run's folder, whose adapter and catalogue are served")
    adapter: str = option("", "the adapter's repository on the Hub, user/name")
    catalogue: str = option(
        "",
        "the catalogue's repository, a data set; without one, questions are answered from memory",
    )
    base: str = option("", "the base's repository; the adapter says which, this only makes sure")
    hardware: str = option(
        "", "such as zero-a10g, t4-small or cpu-basic; the Hub's own choice if not set"
    )
    bucket: str = option(
        "", "a bucket of the Hub, user/name, as the Space's disk, for votes; made if there is none"
    )
    private: bool = option(False, "nobody else may see the Space")
    dry_run: bool = option(False, "only list what would go; nothing is changed on the Hub")

    def problems(self) -> Iterator[str]:
        if not self.to:
            yield "--to is missing: give the Space, user/name"
        if self.run and (self.adapter or self.catalogue):
            yield (
                "--run says which adapter and catalogue are served: leave --adapter and "
                "--catalogue out"
            )
        for name in ("base", "catalogue"):
            if getattr(self, name) and not (self.adapter or self.run):
                yield f"{flag(name)} needs --adapter"
        yield from repository_problems(
            to=self.to,
            adapter=self.adapter,
            catalogue=self.catalogue,
            base=self.base,
            bucket=self.bucket,
        )


@dataclass(frozen=True)
class RentConfig(Checked):
    """The machine that is rented, and how what is here gets there."""

    flavor: str = option("a100-large", "the machine, as `hf jobs hardware` lists them")
    timeout: str = option("12h", "when it is given back at the latest, done or not: 90m, 12h, 2d")
    code: str = option(
        "", "the private repository that takes what is run there; TO-code if not set"
    )

    def problems(self) -> Iterator[str]:
        yield from repository_problems(code=self.code)
        if not re.fullmatch(r"[1-9]\d*[smhd]", self.timeout):
            yield f"--timeout is {self.timeout!r}: give a number and s, m, h or d, such as 12h"


@dataclass(frozen=True)
class SampleConfig(Checked):
    """How long the embedded sample is trained, and where it goes."""

    adapter: bool = option(False, "take all of the recipe's steps and replace what is committed")
    run: str = option("runs/sample", "the folder it is trained in")
    out: str = option("", "where it goes; space/sample if not set")
    max_steps: int | None = option(None, "stop after this many steps", low=1)
    items: int = option(20, "items in a set, at most", low=2)
