"""Publishing: a run's adapter and catalogue to the Hub."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from train.config import ConfigError, PublishConfig
from train.publish.card import catalogue_card, for_repository
from train.publish.checks import problems
from train.publish.hub import CHECKPOINT, HubError, IsPublic, send
from train.run import Run, read_json, to_json, write_atomic

SNAPSHOTS = "snapshots"  # in the adapter's folder
# The folders in which only sent files stay: a smaller catalogue has fewer shards than the last,
# and snapshots belong to one training.
OWNED = {"model": [CHECKPOINT, SNAPSHOTS], "dataset": ["records", "index"]}


class PublishError(Exception):
    """A push failed; one line with the reason and the command that tries again."""


class Published(TypedDict):
    """Where a part of a run was sent: an entry of published.json."""

    repo: str
    commit: str
    url: str


@dataclass(frozen=True)
class Upload:
    """The files of one repository: {path there: file here, or its content}."""

    name: str
    repo: str
    kind: str
    private: bool
    files: Mapping[str, Path | bytes]
    to_open: str  # how to call for others to see it

    def sizes(self) -> dict[str, int]:
        """Return each file's bytes by its path."""
        sizes = {}
        for path, file in self.files.items():
            sizes[path] = len(file) if isinstance(file, bytes) else file.stat().st_size
        return sizes

    def listing(self) -> str:
        """Format the upload and its files, with their sizes in bytes."""
        width = max(map(len, self.files))
        lines = [f"  {path:{width}}  {size:>13,}" for path, size in self.sizes().items()]
        return "\n".join([str(self), *lines])

    def __str__(self) -> str:
        visibility = "private" if self.private else "public"
        megabytes = sum(self.sizes().values()) / 1e6
        return (
            f"{self.kind} {self.repo} ({visibility} if it is new): "
            f"{len(self.files)} files, {megabytes:,.1f} MB"
        )


def publish(run: Run, config: PublishConfig) -> None:
    """Send a run's adapter and catalogue, and write published.json.

    `dry_run` only lists them. Raises ConfigError with every problem of a run that is not ready,
    and PublishError where the Hub refuses it. The run is left as it is.
    """
    paths = [*adapter_files(run).values()]
    if config.catalogue_repo:
        paths += catalogue_files(run).values()
    found = problems(run, paths, bool(config.catalogue_repo))
    if found:
        raise ConfigError(f"{run.folder} is not ready to be published: {'; '.join(found)}")
    uploads = _uploads(run, config)
    if config.dry_run:
        for upload in uploads:
            print(upload.listing(), flush=True)
        return
    base = run.adapter_record()["base"]
    if base["revision"].startswith("sha256:"):
        print(
            f"publish: the base {base['name']} is not on the Hub: "
            "the adapter is of use to those who have it"
        )
    published: dict[str, Published] = {}
    for upload in uploads:
        print(f"publish: {upload}", flush=True)
        try:
            sent = send(
                upload.files,
                upload.repo,
                upload.kind,
                message=f"{upload.name.capitalize()} of {run.folder.resolve().name}",
                private=upload.private,
                progress=sys.stderr.isatty(),
                owned=OWNED[upload.kind],
            )
            published[upload.name] = {"repo": sent.repo, "commit": sent.commit, "url": sent.url}
            write_atomic(run.published, to_json(published))
        except IsPublic as error:
            raise PublishError(f"{error}, or {upload.to_open}") from error
        except (HubError, OSError) as error:
            options = {name: value for name, value in asdict(config).items() if value}
            again = command_line(["publish", "--run", str(run.folder)], options)
            raise PublishError(
                f"{error}; the run is complete in {run.folder}, try again with: {again}"
            ) from error
        if sent.new:
            print(f"publish: {sent.repo} is at {sent.url}", flush=True)
        else:
            print(
                f"publish: {sent.repo} has all of it already, at commit {sent.commit}", flush=True
            )


def read_published(run: Run) -> dict[str, Published]:
    """Read where a run's "adapter" and "catalogue" are, or raise ConfigError."""
    try:
        return read_json(run.published)
    except OSError:
        raise ConfigError(
            f"{run.folder} is not published: "
            f"run `python -m train publish --run {run.folder} --to user/name` first"
        ) from None


def _uploads(run: Run, config: PublishConfig) -> list[Upload]:
    repo = config.catalogue_repo
    # A link that the card's readers may follow.
    linked = repo if config.private or config.public_catalogue else None
    card = for_repository(run.card.read_text("utf-8"), config.to, linked or None)
    files = adapter_files(run) | {"README.md": card.encode()}
    uploads = [Upload("adapter", config.to, "model", config.private, files, "leave --private out")]
    if repo:
        card = catalogue_card(run.catalogue_report(), config.to, repo)
        files = {"README.md": card.encode(), **catalogue_files(run)}
        private = not config.public_catalogue
        uploads.append(
            Upload("catalogue", repo, "dataset", private, files, "say --public-catalogue")
        )
    return uploads


def adapter_files(run: Run) -> dict[str, Path]:
    """List the model repository's files, the adapter at its root."""
    files = {}
    for path in sorted([*run.adapter.glob("*"), *run.adapter.glob(f"{SNAPSHOTS}/*")]):
        if path.name != SNAPSHOTS:
            files[path.relative_to(run.adapter).as_posix()] = path
    for path in (run.metrics, run.samples, run.history, *sorted(run.plots.glob("*.png"))):
        if path.is_file():
            files[path.relative_to(run.folder).as_posix()] = path
    return files


def catalogue_files(run: Run) -> dict[str, Path]:
    """List the dataset's files: the records, their search index and the report."""
    folder = run.catalogue
    found = [
        *sorted(folder.glob("records/*.parquet")),
        *sorted(folder.glob("index/*")),
        folder / "report.json",
        folder / "report.md",
    ]
    return {path.relative_to(folder).as_posix(): path for path in found if path.is_file()}


def command_line(words: Sequence[str], options: Mapping[str, object]) -> str:
    """Write a shell command of `python -m train`."""
    parts = ["python", "-m", "train", *words]
    for name, value in options.items():
        parts.append(f"--{name.replace('_', '-')}")
        if value is not True:
            parts.append(str(value))
    return shlex.join(parts)
