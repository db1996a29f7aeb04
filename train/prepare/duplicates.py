"""Which records of a whole catalogue stay and on which side of the split: by their numbers alone, whatever its size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from train.prepare.cleaning import BOILERPLATE

REASONS = ("", "duplicate_title", "boilerplate", "duplicate_content", "not_sampled")  # "" stays
STRATA = 10  # of content lengths that a limited choice is spread over
SIDES = ("train", "unseen")


def judge(keys: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns for each record, in the source's order, an index into REASONS: 0 where it stays.

    A dropped record is nobody's original: what only it had said before may be said after it.
    """
    titles, contents = _dense(keys["title_key"]), _dense(keys["content_key"])
    first = np.unique(titles, return_index=True)[1]
    shared = np.bincount(contents[first], minlength=contents.max(initial=-1) + 1) >= BOILERPLATE
    verdicts = np.where(shared[contents], REASONS.index("boilerplate"), 0).astype(np.uint8)
    title_seen, content_seen = bytearray(titles.max(initial=-1) + 1), bytearray(len(shared))
    rest = np.flatnonzero(verdicts == 0)
    for places in np.array_split(
        rest, len(rest) // 100_000 + 1
    ):  # as Python's numbers they take eight times the room
        for place, title, content in zip(
            places.tolist(), titles[places].tolist(), contents[places].tolist(), strict=True
        ):
            if title_seen[title]:
                verdicts[place] = 1
            elif content_seen[content]:
                verdicts[place] = 3
            else:
                title_seen[title] = content_seen[content] = 1
    return verdicts


def choose(keys: Mapping[str, np.ndarray], verdicts: np.ndarray, limit: int | None) -> None:
    """Marks as not sampled all but `limit` of the records that stay: the same ones always, and as long as the others are.

    A tenth of them comes from each tenth of the lengths; there, a hash of the title decides.
    """
    stay = np.flatnonzero(verdicts == 0)
    if limit is None or len(stay) <= limit:
        return
    by_length = stay[np.lexsort((keys["title_key"][stay], keys["characters"][stay]))]
    lots = mixed(keys["title_key"], "sample")
    strata = np.array_split(by_length, min(STRATA, limit))
    ends = np.cumsum([len(stratum) for stratum in strata]) * limit // len(stay)
    chosen = [
        stratum[np.argsort(lots[stratum], kind="stable")[:share]]
        for stratum, share in zip(strata, np.diff(ends, prepend=0), strict=True)
    ]
    verdicts[stay] = REASONS.index("not_sampled")
    verdicts[np.concatenate(chosen)] = 0


def near_duplicates(keys: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the label of each record's group of near duplicates.

    Records are near duplicates when their titles are the same but for what stands in brackets, or their contents begin with
    the same words, and so are the near duplicates of near duplicates.
    """
    return groups([keys["stem_key"], keys["opening_key"]])


def sides(
    titles: np.ndarray, labels: np.ndarray, unseen_share: float, held_back: np.ndarray
) -> np.ndarray:
    """Returns an index into SIDES for each record: near duplicates are always on the same one.

    `titles` are the titles' numbers, `labels` those of near_duplicates(). `held_back` marks the source's own unseen set: where
    there is one, it alone is unseen, but for what has a near duplicate among the others.
    """
    if held_back.any():
        known = np.zeros(labels.max(initial=-1) + 1, bool)
        known[labels[~held_back]] = True
        return (held_back & ~known[labels]).astype(np.uint8)
    # The smallest title's hash speaks for its group, so that the order of the source does not matter.
    voices = np.full(labels.max(initial=-1) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(voices, labels, titles)
    return (
        mixed(voices, "split")[labels] < np.uint64(min(unseen_share * 2**64, 2**64 - 1))
    ).astype(np.uint8)


def groups(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Returns a label for each record, the same for records that share a number (but 0) in a column, and so on from them."""
    count = len(columns[0])
    labels = np.arange(count)
    shared = []
    for column in columns:
        dense = _dense(column)
        several = (np.bincount(dense, minlength=1)[dense] > 1) & (column != 0)
        members = np.flatnonzero(several)
        if len(members):
            shared.append((members, _dense(column[members])))
    while True:
        before = labels.copy()
        for members, dense in shared:
            least = np.full(dense.max() + 1, count)
            np.minimum.at(least, dense, labels[members])
            labels[members] = least[dense]
        labels = labels[
            labels
        ]  # a label's own label: chains of near duplicates are short after this
        if np.array_equal(labels, before):
            return labels


def made_uids(numbers: np.ndarray) -> np.ndarray:
    """Returns True for each record that needs a uid of its own: it has none (0), or an earlier record has the same."""
    first = np.zeros(len(numbers), bool)
    first[np.unique(numbers, return_index=True)[1]] = True
    return ~first | (numbers == 0)


def mixed(numbers: np.ndarray, purpose: str) -> np.ndarray:
    """Returns another 64-bit number for each; those of two purposes have nothing in common (splitmix64's finalizer)."""
    word = numbers + np.uint64(int.from_bytes(purpose.encode().ljust(8, b"\0")[:8], "big"))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
    return word ^ (word >> np.uint64(31))


def _dense(numbers: np.ndarray) -> np.ndarray:
    return np.unique(numbers, return_inverse=True)[1].astype(np.int32)
