"""A run -> the Hub: its adapter as one commit and its catalogue as another, both checked before the first byte."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from train.config import ConfigError, PublishConfig
from train.publish.card import for_repository
from train.publish.hub import CHECKPOINT, HubError, IsPublic, Sent, send
from train.publish.inspection import problems
from train.run import Run, write_atomic

DATA_CARD = """---
pretty_name: "{name}"
tags:
- shelftalk
configs:
- config_name: default
  data_files:
  - split: train
    path: records/*.parquet
---

# {name}

The catalogue that the adapter [{adapter}](https://huggingface.co/{adapter}) was taught, as Shelftalk prepared it: {kept}
records from {read} lines of {source} (sha256 {sha256}).
A record has a `uid`, a `title`, a `content` and a `split`: those of `train` may have been shown in training, those of
`unseen` never were.

```python
from datasets import load_dataset

records = load_dataset("{repo}", split="train")
learned = records.filter(lambda record: record["split"] == "train")
```

`report.md` says what was repaired and what was dropped, and why. `index/` is what a Shelftalk page searches:
`CATALOGUE={repo}`. The records stay under the terms of the source that they come from.
"""


class PublishError(Exception):
    """A push failed; one line that says why, and the command that tries again."""


@dataclass(frozen=True)
class Parcel:
    """What goes into one repository: {path there: file here, or its content}."""

    name: str
    repo: str
    kind: str
    private: bool
    files: dict[str, Path | bytes]
    opened_by: str  # what to say in the call for others to see it

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes, by path."""
        return {
            path: len(file) if isinstance(file, bytes) else file.stat().st_size
            for path, file in self.files.items()
        }

    def __str__(self) -> str:
        seen = "private" if self.private else "public"
        return f"{self.kind} {self.repo} ({seen} if it is new): {len(self.files)} files, {megabytes(sum(self.sizes.values()))}"


def publish(run: Run, config: PublishConfig) -> None:
    """Sends a run's adapter, and its catalogue, and writes run/published.json; with `dry_run` only says what would go.

    Raises ConfigError, naming every problem, where the run is not ready, and PublishError where the Hub does not take it;
    the run is left as it is.
    """
    here = {
        str(path.relative_to(run.folder)): path
        for path in (
            *adapter_files(run).values(),
            *(catalogue_files(run).values() if config.catalogue_repo else ()),
        )
    }
    wrong = problems(run, here, bool(config.catalogue_repo))
    if wrong:
        raise ConfigError(f"{run.folder} is not ready to be published: {'; '.join(wrong)}")
    parcels = pack(run, config)
    if config.dry_run:
        return print("\n".join(map(listing, parcels)), flush=True)
    base = run.adapter_record()["base"]
    if base["revision"].startswith("sha256:"):
        print(
            f"publish: the base {base['name']} is a folder and not on the Hub: the adapter is of use to those who have it"
        )
    published = {}
    for parcel in parcels:
        print(f"publish: {parcel}", flush=True)
        try:
            sent = send(
                parcel.files,
                parcel.repo,
                parcel.kind,
                message=f"{parcel.name.capitalize()} of {run.folder.resolve().name}",
                private=parcel.private,
                progress=sys.stderr.isatty(),
                owned=[CHECKPOINT] if parcel.kind == "model" else [],
            )
            published[parcel.name] = {"repo": sent.repo, "commit": sent.commit, "url": sent.url}
            write_atomic(run.published, json.dumps(published, indent=1) + "\n")
        except IsPublic as error:
            raise PublishError(f"{error}, or {parcel.opened_by}") from error
        except (HubError, OSError) as error:
            raise PublishError(
                f"{error}; the run is whole in {run.folder}, try again with: {command(run, config)}"
            ) from error
        print(told(sent), flush=True)


def pack(run: Run, config: PublishConfig) -> list[Parcel]:
    """Returns what goes where."""
    shown = (
        config.catalogue_repo if config.private or config.public_catalogue else ""
    )  # a link that its readers may follow
    told = for_repository(run.card.read_text("utf-8"), config.to, shown or None).encode()
    parcels = [
        Parcel(
            "adapter",
            config.to,
            "model",
            config.private,
            adapter_files(run) | {"README.md": told},
            "leave --private out",
        )
    ]
    repo = config.catalogue_repo
    if repo:
        card = data_card(run, config.to, repo).encode()
        parcels.append(
            Parcel(
                "catalogue",
                repo,
                "dataset",
                not config.public_catalogue,
                {"README.md": card, **catalogue_files(run)},
                "say --public-catalogue",
            )
        )
    return parcels


def adapter_files(run: Run) -> dict[str, Path]:
    """Returns the model repository's files: the adapter at its root, and beside it what it was scored by."""
    files = {path.name: path for path in sorted((run.adapter).glob("*"))}
    beside = [run.folder / name for name in ("metrics.json", "samples.jsonl", "history.jsonl")]
    plots = sorted((run.plots).glob("*.png"))
    return files | {
        str(path.relative_to(run.folder)): path for path in (*beside, *plots) if path.is_file()
    }


def catalogue_files(run: Run) -> dict[str, Path]:
    """Returns the data set's files: the records, their search index and the report."""
    folder = run.catalogue
    found = [
        *sorted(folder.glob("records/*.parquet")),
        *sorted(folder.glob("index/*")),
        *(folder / name for name in ("report.json", "report.md")),
    ]
    return {str(path.relative_to(folder)): path for path in found if path.is_file()}


def data_card(run: Run, adapter: str, repo: str) -> str:
    """Returns the data set's card; with it the Hub shows the records, and `datasets` loads them."""
    report = run.catalogue_report()
    return DATA_CARD.format(
        name=repo.split("/")[1],
        adapter=adapter,
        repo=repo,
        kept=f"{report['kept']:,}",
        read=f"{report['read']:,}",
        source=report["source"]["name"],
        sha256=report["source"]["sha256"],
    )


# --- words -----------------------------------------------------------------------------------------------------------


def command(run: Run, config: PublishConfig) -> str:
    """Returns the command that publishes this run in this way."""
    options = [
        (f"--{name.replace('_', '-')}", value) for name, value in asdict(config).items() if value
    ]
    return shlex.join(
        [
            "python",
            "-m",
            "train",
            "publish",
            "--run",
            str(run.folder),
            *(
                part
                for name, value in options
                for part in ([name] if value is True else [name, value])
            ),
        ]
    )


def listing(parcel: Parcel) -> str:
    """Returns a parcel and its files, with their sizes in bytes."""
    width = max(map(len, parcel.files))
    return "\n".join(
        [str(parcel), *(f"  {path:{width}}  {size:>13,}" for path, size in parcel.sizes.items())]
    )


def told(sent: Sent) -> str:
    """Returns what came of a push."""
    if sent.new:
        return f"publish: {sent.repo} is at {sent.url}"
    return f"publish: {sent.repo} has all of it already, at commit {sent.commit}"


def megabytes(size: int) -> str:
    """Returns a number of bytes in words."""
    return f"{size / 1e6:,.1f} MB"
