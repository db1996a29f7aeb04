"""Titles that a catalogue does not have: each put together from two that it has, or of words that no shop knows."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence, Set

from space.catalogue import detect_language, normalise
from train.examples.foreign import foreign_title

DONORS = 20_000  # records that give halves of their titles, at most
DRAWS = 50  # records looked at for one in the language whose turn it is
# Of the titles. Whoever tries a shop's page asks for anything; a model that met nothing but the shop's own words, swapped,
# answers a name of other words with nonsense.
FOREIGN = 0.5


def made_up(
    records: Sequence[dict], titles: Set[str], split: str, seed: int
) -> Iterator[tuple[str, str]]:
    """Yields (title, language) without end: FOREIGN of them of made-up words, the others of halves of two records' titles.

    None of them, normalised, is in `titles`, and none comes twice. `split` is "train" or "unseen": a made-up title, and
    each made-up word, is on one side by a hash, as a record is, so that what is scored was never trained on. The
    languages take turns, so that the sentence of the rarer one is learned too. Yields nothing where there is no record.
    """
    rng, known = random.Random(f"{seed} {split}"), set(titles)
    spoken = [(record["title"], detect_language(record["content"])) for record in records[:DONORS]]
    alike = {
        tongue: [title for title, other in spoken if other == tongue]
        for tongue in {code for _, code in spoken}
    }
    for tongue in itertools.cycle(sorted(alike)):
        if rng.random() < FOREIGN:
            title = foreign_title(rng, lambda word: side(normalise(word)) == split)
        else:
            title = swapped(rng.choice(alike[tongue]), rng.choice(alike[tongue]))
        key = normalise(title)
        if key not in known and side(key) == split:
            known.add(key)
            yield title, tongue


def swapped(first: str, second: str) -> str:
    """Returns the first half of one title's words and the second half of the other's; of one word, that word."""
    ours, theirs = first.split(), second.split()
    return " ".join([*ours[: (len(ours) + 1) // 2], *theirs[len(theirs) // 2 :]])


def side(key: str) -> str:
    """Returns "train" or "unseen" for a normalised title."""
    return ("train", "unseen")[hashlib.sha256(key.encode()).digest()[0] % 2]


def absent_ones(maker, count: int, rng: random.Random) -> Iterator:
    """Yields `count` Examples that ask for made-up titles, and in between for real ones whose record is withheld.

    `maker` is an Examples.
    """
    for place, (title, tongue) in enumerate(maker.made_up("train", count)):
        if place % 3 == 2:
            drawn = rng.choices(maker.read, k=DRAWS)
            record = next(
                (each for each in drawn if detect_language(each["content"]) == tongue), drawn[0]
            )
            yield maker.absent(
                record["title"],
                detect_language(record["content"]),
                record["uid"],
                rng.randrange(99),
                rng,
            )
        else:
            yield maker.absent(title, tongue, "", rng.randrange(99), rng)
