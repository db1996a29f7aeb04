"""A block of a source's lines -> its clean records, what was dropped and what was repaired; the part that runs in parallel."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import xxhash

from space.sources import normalise
from train.cleaning import RULES, fault
from train.cleaning import field as text_of
from train.reading import Block, parse

EXAMPLES, BEGINNING = 3, 120  # examples a reason, characters of each
OPENING = 16  # words; records whose contents begin with the same ones are near duplicates
BRACKETS = r"\s*[(\[][^()\[\]]*[)\]]"
# What is known of a record when its text is on the disk; numbers are xxh3 hashes, the same on every machine.
KEYS = {"title": pl.UInt64, "content": pl.UInt64, "stem": pl.UInt64, "opening": pl.UInt64, "uid": pl.UInt64,
        "line": pl.UInt64, "characters": pl.UInt32, "title_characters": pl.UInt32}


@dataclass(frozen=True)
class Columns:
    """What the source calls its fields."""

    title: str = "title"
    content: str = "content"
    uid: str = "uid"


@dataclass
class Tally:
    """What was read, dropped and repaired, each with the first examples; tallies of blocks are added up in order."""

    read: int = 0
    dropped: Counter = field(default_factory=Counter)
    examples: dict[str, list] = field(default_factory=lambda: defaultdict(list))
    repaired: Counter = field(default_factory=Counter)
    repairs: dict[str, list] = field(default_factory=lambda: defaultdict(list))

    @property
    def kept(self) -> int:
        """How many lines are still records."""
        return self.read - self.dropped.total()

    def drop(self, reason: str, file: str, line: int, text: str) -> None:
        """Counts one line."""
        self.dropped[reason] += 1
        if len(self.examples[reason]) < EXAMPLES:
            self.examples[reason].append({"file": file, "line": line, "text": text.strip()[:BEGINNING]})

    def add(self, other: Tally) -> None:
        """Takes in the tally of a later block."""
        self.read += other.read
        self.dropped.update(other.dropped)
        self.repaired.update(other.repaired)
        for mine, theirs in ((self.examples, other.examples), (self.repairs, other.repairs)):
            for name, examples in theirs.items():
                mine[name] = (mine[name] + examples)[:EXAMPLES]


def cleaned(block: Block, columns: Columns, file: Path) -> tuple[Tally, Path]:
    """Writes the block's records to `file` (Arrow: uid, text_title, text_content, then KEYS); returns its tally too.

    The tally is written beside it, first, so that a file that is there is whole and needs no second reading.
    """
    tally = Tally(read=len(block.lines))
    frame = _records(block, columns, tally)
    for name in ("text_title", "text_content"):
        frame = frame.with_columns(_repaired(frame[name], tally))
    frame = _without_faults(frame, block, tally)
    unfinished = file.with_suffix(".unfinished")
    _with_keys(frame).write_ipc(unfinished, compression="lz4")
    file.with_suffix(".json").write_text(json.dumps(vars(tally) | {"name": block.part.name}), encoding="utf-8")
    unfinished.replace(file)
    return tally, file


def stored(file: Path) -> Tally | None:
    """Returns the tally of a block that was cleaned before, or None."""
    if not file.is_file():
        return None
    kept = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    return Tally(kept["read"], Counter(kept["dropped"]), defaultdict(list, kept["examples"]), Counter(kept["repaired"]),
                 defaultdict(list, kept["repairs"]))


def _records(block: Block, columns: Columns, tally: Tally) -> pl.DataFrame:
    """Returns line, uid and the raw texts of the lines that are objects."""
    lines, uids, titles, contents = [], [], [], []
    for number, text in enumerate(block.lines, start=block.line):
        item = parse(text)
        if isinstance(item, str):
            tally.drop(item, block.part.name, number, _shown(text))
            continue
        uid = item.get(columns.uid)
        lines.append(number)
        uids.append(str(uid).strip() if isinstance(uid, (str, int)) else "")
        titles.append(text_of(item, columns.title))
        contents.append(text_of(item, columns.content))
    return pl.DataFrame({"line": pl.Series(lines, dtype=pl.UInt64), "uid": _strings(uids),
                         "text_title": _strings(titles), "text_content": _strings(contents)})


def _strings(texts: list[str]) -> pl.Series:
    try:
        return pl.Series(texts, dtype=pl.String)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and UTF-8 cannot
        return pl.Series([text.encode("utf-8", "ignore").decode() for text in texts], dtype=pl.String)


def _shown(text: bytes) -> str:
    return text[:4 * BEGINNING].decode("utf-8", "replace").strip()


def _repaired(texts: pl.Series, tally: Tally) -> pl.Series:
    """Applies every rule in order and counts the texts that it changed."""
    for rule in RULES:
        after = rule.apply(texts)
        changed = (texts != after).arg_true()
        tally.repaired[rule.name] += len(changed)
        for place in changed[:EXAMPLES - len(tally.repairs[rule.name])]:
            tally.repairs[rule.name].append(_difference(texts[place], after[place]))
        texts = after
    return texts


def _difference(before: str, after: str) -> dict:
    """The two texts around the first place where they differ."""
    pairs = enumerate(zip(before, after, strict=False))
    start = max(0, next((at for at, (old, new) in pairs if old != new), min(len(before), len(after))) - BEGINNING // 4)
    return {"before": before[start:start + BEGINNING], "after": after[start:start + BEGINNING]}


def _without_faults(frame: pl.DataFrame, block: Block, tally: Tally) -> pl.DataFrame:
    faults = [fault(title, content) for title, content in zip(frame["text_title"], frame["text_content"], strict=True)]
    for reason, line in zip(faults, frame["line"], strict=True):
        if reason:
            tally.drop(reason, block.part.name, line, _shown(block.lines[line - block.line]))
    return frame.filter(pl.Series([reason is None for reason in faults], dtype=pl.Boolean))


def _with_keys(frame: pl.DataFrame) -> pl.DataFrame:
    """Adds what de-duplication and splitting need to know of each record."""
    titles, contents = frame["text_title"], frame["text_content"]
    folded = contents.str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars()
    same = [normalise(title) for title in titles.to_list()]
    stems = [normalise(stem) or title for stem, title in
             zip(titles.str.replace_all(BRACKETS, "").to_list(), same, strict=True)]
    bodies = folded.to_list()
    made = {"title": hashes(same), "stem": hashes(stems), "uid": hashes(frame["uid"].to_list()),
            # A content of symbols alone has no words; then it is itself.
            "content": hashes(body or raw for body, raw in zip(bodies, contents.to_list(), strict=True)),
            "opening": hashes(_opening(body) for body in bodies),
            "characters": contents.str.len_chars(), "title_characters": titles.str.len_chars()}
    return frame.with_columns([pl.Series(name, values, dtype=KEYS[name]) for name, values in made.items()])


def _opening(body: str) -> str:
    words = body.split(" ", OPENING)
    return " ".join(words[:OPENING]) if len(words) > OPENING else ""


def hashes(texts: Iterable[str]) -> np.ndarray:
    """Returns a 64-bit number for each text, 0 for an empty one."""
    return np.fromiter((xxhash.xxh3_64_intdigest(text) if text else 0 for text in texts), dtype=np.uint64)
