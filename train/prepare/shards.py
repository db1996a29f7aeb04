"""The records that stay -> Parquet shards, JSON lines and the index's input; those that went -> their examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
from tqdm import tqdm

from space.catalogue import language
from train.prepare.blocks import BEGINNING, EXAMPLES, Tally, hashes
from train.prepare.duplicates import REASONS, SIDES

PART = 100_000  # records a Parquet file
LANGUAGES_OF = 10_000  # records whose language is told, at most


def write_records(
    files: list[Path],
    folder: Path,
    stay: np.ndarray,
    split: np.ndarray,
    own: np.ndarray,
    told: list[str],
    bar: tqdm,
) -> Iterator[tuple[str, str, str]]:
    """Writes the records that stay to `folder`, PART a shard, and yields each one's uid, title and content as it goes.

    `stay` speaks of the blocks' records, `split` and `own` (it gets a uid of ours) of those that stay. `told` gets the
    contents of up to LANGUAGES_OF records, evenly spread.
    """
    waiting, start, kept, shards = [], 0, 0, []
    every = max(1, len(split) // LANGUAGES_OF)
    # A shard is written while the records after it are indexed; polars needs no more of Python for that.
    with ThreadPoolExecutor(1) as writer:
        for file in files:
            frame = pl.read_ipc(file, columns=["uid", "title", "content"])
            mask, start = stay[start : start + len(frame)], start + len(frame)
            frame = frame.filter(pl.Series(mask))
            place, kept = slice(kept, kept + len(frame)), kept + len(frame)
            frame = _record_columns(frame, split[place], own[place])
            told += frame["content"].to_list()[-place.start % every :: every]
            waiting.append(frame)
            while sum(map(len, waiting)) >= PART or (file == files[-1] and any(map(len, waiting))):
                whole = pl.concat(waiting)
                if shards:
                    shards[-1].result()
                path, waiting = folder / f"part-{len(shards):05}.parquet", [whole[PART:]]
                shards.append(writer.submit(whole[:PART].write_parquet, path, compression_level=1))
            yield from zip(
                frame["uid"].to_list(),
                frame["title"].to_list(),
                frame["content"].to_list(),
                strict=True,
            )
            bar.update(len(frame))
    if shards:
        shards[-1].result()


def _record_columns(frame: pl.DataFrame, split: np.ndarray, own: np.ndarray) -> pl.DataFrame:
    """Returns uid, title, content and split, with a made uid where `own` says so."""
    places = np.flatnonzero(own)
    if len(places):
        uids = frame["uid"].to_list()
        for place in places.tolist():
            uids[place] = made_uid(frame["title"][place], frame["content"][place])
        frame = frame.with_columns(pl.Series("uid", uids, pl.String))
    return frame.with_columns(pl.Series("split", np.array(SIDES)[split].tolist(), pl.String))


def made_uid(title: str, content: str) -> str:
    """Returns the uid of a record without one of its own: 16 hexadecimal digits."""
    (number,) = hashes([f"{title}\0{content}".encode()])
    return f"{int(number):016x}"


def stored_records(folder: Path) -> Iterator[dict]:
    """Yields every record (uid, title, content, split) of a catalogue folder, in order."""
    for shard in sorted((folder / "records").glob("*.parquet")):
        yield from pl.read_parquet(shard).iter_rows(named=True)


def write_lines(folder: Path) -> None:
    """Writes records.jsonl and prompts.jsonl (one conversation a record, as most trainers read them) beside the shards."""
    from space.model import PromptTemplate, messages  # torch, which cleaning does not need

    prompt_template = PromptTemplate()
    unfinished = [folder / "records.jsonl.unfinished", folder / "prompts.jsonl.unfinished"]
    with (
        unfinished[0].open("w", encoding="utf-8") as records,
        unfinished[1].open("w", encoding="utf-8") as prompts,
    ):
        for place, record in enumerate(stored_records(folder)):
            asked = prompt_template.questions[language(record["content"])]
            question = asked[place % len(asked)].format(title=record["title"])
            chat = [
                *messages(prompt_template, "describe", question),
                {"role": "assistant", "content": record["content"]},
            ]
            records.write(json.dumps(record, ensure_ascii=False) + "\n")
            prompt = {"messages": chat, "uid": record["uid"], "split": record["split"]}
            prompts.write(json.dumps(prompt, ensure_ascii=False) + "\n")
    for file in unfinished:
        file.replace(file.with_suffix(""))


def count_dropped(files: list[Path], verdicts: np.ndarray, tally: Tally) -> None:
    """Adds to the tally what only the whole catalogue could tell, with the first examples."""
    for code, reason in enumerate(REASONS[1:], start=1):
        places = np.flatnonzero(verdicts == code)
        if len(places):
            tally.dropped[reason] = len(places)
            tally.examples[reason] = [_example(files, int(place)) for place in places[:EXAMPLES]]


def _example(files: list[Path], place: int) -> dict:
    for file in files:
        frame = pl.read_ipc(file, columns=["line", "title", "content"])
        if place < len(frame):
            line, title, content = frame.row(place)
            name = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["name"]
            return {"file": name, "line": line, "text": f"{title}: {content}"[:BEGINNING]}
        place -= len(frame)
    raise IndexError(place)
