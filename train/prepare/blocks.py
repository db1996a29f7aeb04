"""A block of a source's lines -> its clean records, what was dropped and what was repaired; the part that runs in parallel."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import xxhash

from space.catalogue import normalise
from train.prepare.cleaning import RULES, bare, fault, text_of
from train.prepare.reading import Block, parse

EXAMPLES, BEGINNING = 3, 120  # examples a reason, characters of each
OPENING = 16  # words; records whose contents begin with the same ones are near duplicates
BRACKETS = re.compile(r"\s*[(\[][^()\[\]]*[)\]]")
# What is known of a record when its text is on the disk; numbers are xxh3 hashes, the same on every machine.
KEYS = {
    "title_key": pl.UInt64,
    "content_key": pl.UInt64,
    "stem_key": pl.UInt64,
    "opening_key": pl.UInt64,
    "uid_key": pl.UInt64,
    "line": pl.UInt64,
    "characters": pl.UInt32,
    "title_characters": pl.UInt32,
}


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
            self.examples[reason].append(
                {"file": file, "line": line, "text": text.strip()[:BEGINNING]}
            )

    def add(self, other: Tally) -> None:
        """Takes in the tally of a later block."""
        self.read += other.read
        self.dropped.update(other.dropped)
        self.repaired.update(other.repaired)
        for mine, theirs in ((self.examples, other.examples), (self.repairs, other.repairs)):
            for name, examples in theirs.items():
                mine[name] = (mine[name] + examples)[:EXAMPLES]


def cleaned(block: Block, columns: Columns, file: Path) -> tuple[Tally, Path]:
    """Writes the block's records to `file` (Arrow: uid, title, content and KEYS); returns its tally too.

    The tally is written beside it, first, so that a file that is there is whole and needs no second reading.
    """
    tally = Tally(read=len(block.lines))
    frame = _records(block, columns, tally)
    for name in ("title", "content"):
        frame = frame.with_columns(_repaired(frame[name], tally))
    unfinished = file.with_suffix(".unfinished")
    _judged(frame, block, tally).write_ipc(unfinished, compression="uncompressed")
    file.with_suffix(".json").write_text(
        json.dumps(vars(tally) | {"name": block.part.name}), encoding="utf-8"
    )
    unfinished.replace(file)
    return tally, file


def stored(file: Path) -> Tally | None:
    """Returns the tally of a block that was cleaned before, or None."""
    if not file.is_file():
        return None
    kept = json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))
    return Tally(
        kept["read"],
        Counter(kept["dropped"]),
        defaultdict(list, kept["examples"]),
        Counter(kept["repaired"]),
        defaultdict(list, kept["repairs"]),
    )


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
        title, content = item.get(columns.title), item.get(columns.content)
        titles.append(title if type(title) is str else text_of(title))
        contents.append(content if type(content) is str else text_of(content))
    return pl.DataFrame(
        {
            "line": pl.Series(lines, dtype=pl.UInt64),
            "uid": _strings(uids),
            "title": _strings(titles),
            "content": _strings(contents),
        }
    )


def _strings(texts: list[str]) -> pl.Series:
    try:
        return pl.Series(texts, dtype=pl.String)
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell and UTF-8 cannot
        return pl.Series(
            [text.encode("utf-8", "ignore").decode() for text in texts], dtype=pl.String
        )


def _shown(text: bytes) -> str:
    return text[: 4 * BEGINNING].decode("utf-8", "replace").strip()


def _repaired(texts: pl.Series, tally: Tally) -> pl.Series:
    """Applies every rule in order and counts the texts that it changed."""
    for rule in RULES:
        after = rule.apply(texts)
        changed = (texts != after).arg_true()
        tally.repaired[rule.name] += len(changed)
        for place in changed[: EXAMPLES - len(tally.repairs[rule.name])]:
            tally.repairs[rule.name].append(_difference(texts[place], after[place]))
        texts = after
    return texts


def _difference(before: str, after: str) -> dict:
    """The two texts around the first place where they differ."""
    pairs = enumerate(zip(before, after, strict=False))
    start = max(
        0,
        next((at for at, (old, new) in pairs if old != new), min(len(before), len(after)))
        - BEGINNING // 4,
    )
    return {"before": before[start : start + BEGINNING], "after": after[start : start + BEGINNING]}


def _judged(frame: pl.DataFrame, block: Block, tally: Tally) -> pl.DataFrame:
    """Drops the records with a fault; adds to the others what de-duplication and splitting need to know of them."""
    titles, contents, lines = (frame[name].to_list() for name in ("title", "content", "line"))
    bodies, good = list(map(bare, contents)), []
    for place, (title, content, body) in enumerate(zip(titles, contents, bodies, strict=True)):
        reason = fault(title, content, body)
        if reason:
            tally.drop(
                reason,
                block.part.name,
                lines[place],
                _shown(block.lines[lines[place] - block.line]),
            )
        else:
            good.append(place)
    frame, bodies = frame[good], [bodies[place] for place in good]
    same = [normalise(titles[place]) for place in good]
    stems = [_stem(titles[place]) or key for place, key in zip(good, same, strict=True)]
    made = {
        "title_key": hashes(map(str.encode, same)),
        "stem_key": hashes(map(str.encode, stems)),
        "content_key": hashes(bodies),
        "opening_key": hashes(map(_opening, bodies)),
        "uid_key": hashes(map(str.encode, frame["uid"].to_list())),
        "characters": frame["content"].str.len_chars(),
        "title_characters": frame["title"].str.len_chars(),
    }
    return frame.with_columns(
        [pl.Series(name, values, dtype=KEYS[name]) for name, values in made.items()]
    )


def _stem(title: str) -> str:
    """A title without what stands in its brackets, normalised; empty where there are none."""
    return normalise(BRACKETS.sub("", title)) if "(" in title or "[" in title else ""


def _opening(body: bytes) -> bytes:
    words = body.split(b" ", OPENING)
    return b" ".join(words[:OPENING]) if len(words) > OPENING else b""


def hashes(texts: Iterable[bytes]) -> np.ndarray:
    """Returns a 64-bit number for each text, 0 for an empty one."""
    return np.fromiter(
        (xxhash.xxh3_64_intdigest(text) if text else 0 for text in texts), dtype=np.uint64
    )
