"""Compare a catalogue with the one before, and keep what was learned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from space.catalogue import normalise
from train.prepare.clean import hash_texts
from train.prepare.report import catalogue_page
from train.run import Run, read_json, to_json, write_atomic

NAMED = 3  # titles of each kind of change that are named


@dataclass
class Changes:
    """Counts of added, changed and removed records, with their first titles.

    A record is known by its title, spelled as normalise() does.
    """

    added: int = 0
    changed: int = 0
    removed: int = 0
    kept: int = 0
    titles: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        parts = []
        for kind in ("added", "changed", "removed"):
            named = ", ".join(repr(title[:60]) for title in self.titles.get(kind, ()))
            count = getattr(self, kind)
            parts.append(f"{count:,} {kind}" + (f" (such as {named})" if named else ""))
        return f"{', '.join(parts)}; {self.kept:,} as they were"

    def _count(self, kind: str, title: str) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        named = self.titles.setdefault(kind, [])
        if len(named) < NAMED:
            named.append(title)


def compare_catalogues(before: Path, after: Path) -> Changes:
    """Compare two prepared catalogues' folders."""
    known: dict[int, int] = {}
    for shard in _shards(before):
        frame = pl.read_parquet(shard, columns=["title", "content"])
        titles, contents = _title_keys(frame), _exact_contents(frame)
        known.update(zip(titles.tolist(), contents.tolist(), strict=True))
    found, changes = set(), Changes()
    for shard in _shards(after):
        frame = pl.read_parquet(shard, columns=["title", "content"])
        titles, contents = _title_keys(frame), _exact_contents(frame)
        rows = zip(titles.tolist(), contents.tolist(), frame["title"], strict=True)
        for title, content, words in rows:
            found.add(title)
            if title not in known:
                changes._count("added", words)
            elif known[title] != content:
                changes._count("changed", words)
            else:
                changes.kept += 1
    for shard in _shards(before):
        frame = pl.read_parquet(shard, columns=["title", "content"])
        for title, words in zip(_title_keys(frame).tolist(), frame["title"], strict=True):
            if title not in found:
                changes._count("removed", words)
    return changes


def keep_learned(before: Path, run: Run) -> int:
    """Move what an earlier catalogue trained on to the training side.

    An adapter that learned a title or a content cannot be scored on it as held out.
    """
    learned_titles, learned_contents = [], []
    for shard in _shards(before):
        frame = pl.read_parquet(shard, columns=["title", "content", "split"])
        frame = frame.filter(pl.col("split") == "train")
        learned_titles.append(_title_keys(frame))
        learned_contents.append(_content_keys(frame))
    titles, contents = np.concatenate(learned_titles), np.concatenate(learned_contents)
    moved, sides = 0, {"train": 0, "unseen": 0}
    for shard in _shards(run.catalogue):
        frame = pl.read_parquet(shard)
        learned = np.isin(_title_keys(frame), titles) | np.isin(_content_keys(frame), contents)
        outside = learned & (frame["split"] == "unseen").to_numpy()
        if outside.any():
            moved += int(outside.sum())
            splits = np.where(outside, "train", frame["split"].to_numpy())
            unfinished = shard.with_suffix(".unfinished")
            frame.with_columns(pl.Series("split", splits.tolist(), pl.String)).write_parquet(
                unfinished, compression_level=1
            )
            unfinished.replace(shard)
        counts = pl.read_parquet(shard, columns=["split"])["split"].value_counts()
        for side, count in counts.iter_rows():
            sides[side] += count
    path = run.catalogue / "report.json"
    report = read_json(path)
    if report["splits"] != sides:  # also where a kill came between the shards and this
        report |= {"splits": sides}
        (run.catalogue / "report.md").write_text(catalogue_page(report), encoding="utf-8")
        write_atomic(path, to_json(report))
    return moved


def _shards(folder: Path) -> Iterator[Path]:
    yield from sorted((folder / "records").glob("*.parquet"))


def _title_keys(frame: pl.DataFrame) -> np.ndarray:
    return hash_texts(normalise(title).encode() for title in frame["title"])


def _content_keys(frame: pl.DataFrame) -> np.ndarray:
    return hash_texts(normalise(content).encode() for content in frame["content"])


def _exact_contents(frame: pl.DataFrame) -> np.ndarray:
    # Not normalised: a price that became another is a change.
    return hash_texts(content.encode() for content in frame["content"])
