"""A catalogue as large and as dirty as AmazonTitles-1.3MM's trn.json, all invented, made in seconds."""

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
    """Returns WORDS invented words, the common ones short."""
    parts = [
        a + b for a in "bdfgjklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "ol", "is")
    ]
    made: dict[str, None] = {}
    while len(made) < WORDS:
        syllables = 1 + min(3, len(made) // 100 + 1)
        made["".join(parts[place] for place in rng.integers(0, len(parts), syllables))] = None
    return list(made)


def zipf(rng: np.random.Generator, size: int, count: int) -> np.ndarray:
    """Returns `count` places below `size`, of which the first are by far the most frequent, as with words."""
    return np.minimum((size ** rng.random(count) - 1).astype(int), size - 1)


def rows(count: int = RECORDS, seed: int = 1) -> Iterator[bytes]:
    """Yields the lines of a catalogue with all five fields; about 620 bytes each, nearly as many as the real one's."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array(words(rng), dtype=object)
    sentences = {}
    for language, glue in (
        ("en", "the of and a with for is".split()),
        ("pt", "de que para com uma os não".split()),
    ):
        places = zipf(rng, WORDS, SENTENCES * 8).reshape(SENTENCES, 8)
        sentences[language] = [
            " ".join([*vocabulary[row], glue[n % 7], glue[n % 5]]).capitalize() + "."
            for n, row in enumerate(places)
        ]
    before: tuple[str, str] = ("First", "The first of all the products.")
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        kinds = rng.choice(len(DIRT) + 1, size, p=[*SHARES, 1 - sum(SHARES)]).tolist()
        lengths, tongues = (
            rng.integers(1, 8, size).tolist(),
            (rng.random(size) < PORTUGUESE).tolist(),
        )
        titles = vocabulary[zipf(rng, WORDS, 9 * size)].reshape(size, 9)
        told = rng.integers(0, SENTENCES, (size, 16)).tolist()
        many = np.minimum(1 + rng.exponential(8, size), 16).astype(int).tolist()
        for n in range(size):
            pool = sentences["pt" if tongues[n] else "en"]
            title = " ".join([*titles[n][: lengths[n]], titles[n][8]]).title()
            content = " ".join([pool[place] for place in told[n][: many[n]]])
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
                    "target_ind": told[n][:5],
                    "target_rel": [1.0] * 5,
                }
            )


def dirty(kind: str, title: str, content: str, before: tuple[str, str]) -> tuple[str, str]:
    """Returns title and content with one kind of dirt, or as they are."""
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


def write(path: Path, count: int = RECORDS) -> Path:
    """Writes such a catalogue to `path`."""
    with path.open("wb") as file:
        for line in rows(count):
            file.write(line + b"\n")
    return path
