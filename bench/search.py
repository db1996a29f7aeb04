"""Search at the size of the real catalogue: building, speed and what is found."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.figures import ROOT, Figure, Options, Outcome, peak_memory
from space.catalogue import Catalogue, build_index, keep_relevant, normalise

RECORDS, ASKED = 2_200_000, 1000
WORDS = 200_000  # different ones, drawn as Zipf and Mandelbrot have it
SHORT_WORDS = (
    "the of and in a to for with on from".split()
)  # every second one of the most common words
LENGTHS = (
    0.04,
    0.13,
    0.18,
    0.18,
    0.15,
    0.12,
    0.09,
    0.06,
    0.05,
)  # the share of titles with 1 to 9 words
QUESTIONS = (
    "What is {}?",
    "tell me about {} please",
    "Describe {}.",
    "O que é {}?",
    "fale sobre {}",
)
ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def measure(options: Options) -> Outcome:
    """Build an invented catalogue in its own process, open it and search it in four ways."""
    with tempfile.TemporaryDirectory() as folder:
        rows, catalogue = Path(folder, "rows.tsv"), Path(folder, "catalogue")
        catalogue.mkdir()
        write_rows(rows, 2000 if options.tiny else RECORDS)
        built = build_apart(rows, catalogue)
        rows.unlink()
        begun = time.perf_counter()
        opened = Catalogue.open(catalogue)
        opening = time.perf_counter() - begun
        asked = {
            name: ask(opened, damage, 20 if options.tiny else ASKED)
            for name, damage in DAMAGES.items()
        }
    found = [
        Figure("building", built["seconds"], "s", high=25),
        Figure("most memory held while building", built["peak"] / 1e6, "MB", high=500),
        Figure("index", built["bytes"] / 1e6, "MB"),
        Figure("opening", opening, "s", high=1),
        Figure("clean: p50", asked["clean"]["p50"], "ms"),
        Figure("clean: p99", asked["clean"]["p99"], "ms", high=10),
        Figure("clean: the right record first", asked["clean"]["first"], low=0.97),
        Figure("a slip in every third word: p50", asked["slips"]["p50"], "ms"),
        Figure("a slip in every third word: p99", asked["slips"]["p99"], "ms", high=40),
        Figure(
            "a slip in every third word: the right record first", asked["slips"]["first"], low=0.90
        ),
        Figure("half of the words: p99", asked["half"]["p99"], "ms"),
        Figure("half of the words: the right record first", asked["half"]["first"]),
        Figure("half of the words: the right record among five", asked["half"]["among"]),
        Figure(
            "an invented word and one of a title: taken for a record",
            asked["absent"]["relevant"],
            high=0.01,
        ),
    ]
    return Outcome(found, {"build": built, "asked": asked})


# --- an invented catalogue ---


def write_rows(path: Path, count: int, seed: int = 1) -> None:
    """Write `count` lines of uid, title and content between tabs; no title comes twice."""
    rng, titles = np.random.default_rng(seed), set()
    words = np.array(vocabulary(random.Random(seed)), dtype=object)
    shares = np.cumsum(1 / (np.arange(len(words)) + 3.7) ** 1.05)
    with path.open("w", encoding="utf-8") as file:
        while len(titles) < count:
            sizes = rng.choice(len(LENGTHS), 20_000, p=LENGTHS) + 1, rng.integers(30, 80, 20_000)
            title_words, content_words = (
                iter(words[np.searchsorted(shares, rng.random(size.sum()) * shares[-1])].tolist())
                for size in sizes
            )
            for many, more in zip(*map(np.ndarray.tolist, sizes), strict=True):
                title, content = take(title_words, many), take(content_words, more)
                if title not in titles and len(titles) < count:
                    file.write(f"U{len(titles):08d}\t{title.title()}\t{content}.\n")
                    titles.add(title)


def take(words: Iterator[str], count: int) -> str:
    """Join the next `count` words."""
    return " ".join(next(words) for _ in range(count))


def vocabulary(rng: random.Random) -> list[str]:
    """Invent words of one to four syllables, with short English words among the first."""
    words: dict[str, None] = {}
    while len(words) < WORDS:
        word = "".join(
            rng.choice("bcdfghjklmnprstvwz")
            + rng.choice("aeiou")
            + rng.choice(["", "", "", *"lnr"])
            for _ in range(rng.choice((1, 2, 2, 2, 3, 3, 3, 4)))
        )
        if len(word) > 2:
            words[word] = None
    ordered = list(words)
    for place, word in enumerate(SHORT_WORDS):
        ordered.insert(2 * place, word)
    return ordered


def build_apart(rows: Path, catalogue: Path) -> dict:
    """Build the index in its own process; return seconds, peak memory and size in bytes."""
    called = subprocess.run(
        [sys.executable, "-m", "bench.search", str(rows), str(catalogue)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(called.stdout)


def build(rows: Path, catalogue: Path) -> dict:
    """Build the index in this process."""

    def records() -> Iterator[list[str]]:
        with rows.open(encoding="utf-8") as file:
            for line in file:
                yield line.rstrip("\n").split("\t")

    begun = time.perf_counter()
    count = build_index(records(), catalogue / "index")
    seconds = time.perf_counter() - begun
    return {
        "records": count,
        "seconds": round(seconds, 2),
        "peak": peak_memory(),
        "bytes": sum(file.stat().st_size for file in (catalogue / "index").iterdir()),
    }


# --- questions ---


def ask(catalogue: Catalogue, damage: Callable[[str, random.Random], str], count: int) -> dict:
    """Search for `count` titles as `damage` leaves them; return milliseconds and shares found."""
    rng, times, scores = random.Random(5), [], []
    first = among = taken = 0
    titles = catalogue.titles(count)
    for title in titles:
        question = rng.choice(QUESTIONS).format(damage(title, rng))
        begun = time.perf_counter()
        found = catalogue.search(question, 5)
        times.append(1000 * (time.perf_counter() - begun))
        right = [normalise(record["title"]) == normalise(title) for record in found]
        first, among, taken = (
            first + any(right[:1]),
            among + any(right),
            taken + bool(keep_relevant(found)),
        )
        scores.append(found[0]["score"] if found else 0)
    return {
        "asked": len(titles),
        "first": first / len(titles),
        "among": among / len(titles),
        "relevant": taken / len(titles),
        "p50": percentile(times, 50),
        "p99": percentile(times, 99),
        "best_score": {
            f"p{percent}": percentile(scores, percent) for percent in (0, 1, 5, 50, 95, 99, 100)
        },
    }


def percentile(values: list[float], percent: int) -> float:
    """Return the value that `percent` of the values do not exceed."""
    return round(sorted(values)[(len(values) - 1) * percent // 100], 4)


def clean(title: str, rng: random.Random) -> str:
    """Leave the title as it is."""
    return title


def misspell(title: str, rng: random.Random) -> str:
    """Put a typing error into every third word, and into one at least, in lower case."""
    words = title.lower().split()
    for place in range(rng.randrange(min(3, len(words))), len(words), 3):
        words[place] = misspell_word(words[place], rng)
    return " ".join(words)


def misspell_word(word: str, rng: random.Random) -> str:
    """Delete, insert or replace one letter, or swap it with the next."""
    place = rng.randrange(len(word))
    before, here, after = word[:place], word[place], word[place + 1 :]
    kind = rng.choice(("lost", "added", "replaced", "swapped"))
    if kind == "swapped" and after:
        return before + after[0] + here + after[1:]
    if kind == "lost" and len(word) > 1:
        return before + after
    return before + rng.choice(ALPHABET) + (here if kind == "added" else "") + after


def half(title: str, rng: random.Random) -> str:
    """Drop a random half of the title's words."""
    words = title.split()
    return " ".join(
        words[place] for place in sorted(rng.sample(range(len(words)), (len(words) + 1) // 2))
    )


def absent(title: str, rng: random.Random) -> str:
    """Put an invented word before one of the title's: the catalogue has no such title."""
    invented = "".join(rng.choice("bdfgklmnprstvzx") + rng.choice("aeiouy") for _ in range(4))
    return (
        f"{invented} {rng.choice([word for word in title.split() if len(word) > 3] or ['Kettle'])}"
    )


DAMAGES = {"clean": clean, "slips": misspell, "half": half, "absent": absent}

if __name__ == "__main__":
    print(json.dumps(build(Path(sys.argv[1]), Path(sys.argv[2]))))
