"""Titles that a catalogue does not have, each put together from two that it has."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence, Set

from space.prompt import language
from space.sources import normalise

DONORS = 20_000  # records that give halves of their titles, at most
MISSES = 200  # draws in a row that make nothing new; a catalogue of one record has nothing to swap


def made_up(records: Sequence[dict], titles: Set[str], split: str, seed: int) -> Iterator[tuple[str, str]]:
    """Yields (title, language): the first half of one record's title and the second half of another's.

    None of them, normalised, is in `titles`, and none comes twice. `split` is "train" or "unseen": a made-up title is
    on one side by a hash, as a record is, so that what is scored was never trained on. The languages take turns,
    so that the sentence of the rarer one is learned too.
    """
    rng, known, missed = random.Random(f"{seed} {split}"), set(titles), 0
    spoken = [(record["title"], language(record["content"])) for record in records[:DONORS]]
    alike = {tongue: [title for title, other in spoken if other == tongue] for tongue in {code for _, code in spoken}}
    turns = itertools.cycle(sorted(alike))
    while alike and missed < MISSES:
        tongue = next(turns)
        title = swapped(rng.choice(alike[tongue]), rng.choice(alike[tongue]))
        key, missed = normalise(title), missed + 1
        if key in known or side(key) != split:
            continue
        known.add(key)
        missed = 0
        yield title, tongue


def swapped(first: str, second: str) -> str:
    """Returns the first half of one title's words and the second half of the other's; of one word, that word."""
    ours, theirs = first.split(), second.split()
    return " ".join([*ours[:(len(ours) + 1) // 2], *theirs[len(theirs) // 2:]])


def side(key: str) -> str:
    """Returns "train" or "unseen" for a normalised title."""
    return ("train", "unseen")[hashlib.sha256(key.encode()).digest()[0] % 2]


def absent_ones(maker, count: int, rng: random.Random) -> Iterator:
    """Yields `count` Examples that ask for made-up titles, and in between for real ones whose record is withheld.

    `maker` is an Examples.
    """
    for place, (title, tongue) in enumerate(maker.made_up("train", count)):
        if place % 3 == 2:
            record = rng.choice(maker.read)
            yield maker.absent(record["title"], language(record["content"]), record["uid"], rng.randrange(99), rng)
        else:
            yield maker.absent(title, tongue, "", rng.randrange(99), rng)
