"""An invented catalogue as large and as dirty as the trn.json of AmazonTitles-1.3MM."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson

RECORDS = 2_248_619  # as trn.json has
SENTENCES, WORDS = 60_000, 200_000  # that contents and titles are put together from
BATCH = 20_000
PORTUGUESE = 0.1  # of the records
DIRT = (
    "empty",
    "junk",
    "one_word",
    "same_title",
    "same_content",
    "boilerplate",
    "broken",
    "entities",
    "markup",
    "mojibake",
)
SHARES = (
    0.12,
    0.01,
    0.02,
    0.03,
    0.02,
    0.01,
    0.0005,
    0.25,
    0.10,
    0.02,
)  # of the records; the rest is clean


def words(rng: np.random.Generator) -> list[str]:
    """Invent WORDS words, the common ones short."""
    parts = [
        a + b for a in "bdfgjklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ol", "is")
    ]
    made: dict[str, None] = {}
    while len(made) < WORDS:
        syllables = 1 + min(3, len(made) // 100 + 1)
        made["".join(parts[index] for index in rng.integers(0, len(parts), syllables))] = None
    return list(made)


def zipf(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """Draw `count` indices below `size`, the first ones by far the most often, as with words."""
    return np.minimum((size ** rng.random(count) - 1).astype(int), size - 1)


def rows(count: int = RECORDS, seed: int = 1) -> Iterator[bytes]:
    """Yield the lines of a catalogue with all five fields, about 620 bytes each."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array(words(rng), dtype=object)
    sentences = {}
    for language, glue in (
        ("en", "the of and a with for is".split()),
        ("pt", "de que para com uma os não".split()),
    ):
        indices = zipf(rng, WORDS, SENTENCES * 8).reshape(SENTENCES, 8)
        sentences[language] = [
            " ".join([*vocabulary[row], glue[n % 7], glue[n % 5]]).capitalize() + "."
            for n, row in enumerate(indices)
        ]
    before: tuple[str, str] = ("First", "The first of all the products.")
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        kinds = rng.choice(len(DIRT) + 1, size, p=[*SHARES, 1 - sum(SHARES)]).tolist()
        lengths, portuguese = (
            rng.integers(1, 8, size).tolist(),
            (rng.random(size) < PORTUGUESE).tolist(),
        )
        titles = vocabulary[zipf(rng, WORDS, 9 * size)].reshape(size, 9)
        chosen = rng.integers(0, SENTENCES, (size, 16)).tolist()
        many = np.minimum(1 + rng.exponential(8, size), 16).astype(int).tolist()
        for n in range(size):
            pool = sentences["pt" if portuguese[n] else "en"]
            title = " ".join([*titles[n][: lengths[n]], titles[n][8]]).title()
            content = " ".join([pool[index] for index in chosen[n][: many[n]]])
            kind = DIRT[kinds[n]] if kinds[n] < len(DIRT) else ""
            if kind == "broken":
                yield b'{"uid": "' + str(start + n).encode() + b'", "title": "torn'
                continue
            title, content = dirty(kind, title, content, before)
            before = (title, content) if not kind else before
            yield orjson.dumps(
                {
                    "uid": f"{start + n:010}",
                    "title": title,
                    "content": content,
                    "target_ind": chosen[n][:5],
                    "target_rel": [1.0] * 5,
                }
            )


def dirty(kind: str, title: str, content: str, before: tuple[str, str]) -> tuple[str, str]:
    """Add one kind of dirt to a title and its content."""
    swaps = {
        "empty": (title, ""),
        "junk": (title, "test item not to bid " * 5),
        "one_word": (title, "Great"),
        "same_title": (before[0].upper(), content),
        "same_content": (title, before[1]),
        "boilerplate": (title, "This product ships from our warehouse within two days."),
        "entities": (
            title,
            html.escape(content).replace(". ", ".&#8212; ").replace(" de ", "&nbsp;de "),
        ),
        "markup": (title, "<p>" + content.replace(". ", ".</p><p>") + "</p>"),
        "mojibake": (title, content.replace(" a ", " \u00c3\u00a9 ", 1) + " Caf\u00c3\u00a9."),
    }
    return swaps.get(kind, (title, content))


def write_catalogue(path: Path, count: int = RECORDS) -> Path:
    """Write such a catalogue to `path`."""
    with path.open("wb") as file:
        for line in rows(count):
            file.write(line + b"\n")
    return path
