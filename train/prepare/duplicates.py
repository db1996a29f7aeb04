"""De-duplication, sampling and the split, by the records' keys alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from train.prepare.clean import BOILERPLATE
from train.prepare.sketch import are_similar, candidate_pairs

# Why a record is dropped, by code; code 0 stays.
REASONS = ("", "duplicate_title", "boilerplate", "duplicate_content", "not_sampled")
STRATA = 10  # of content lengths, over which a sample is spread
SPLITS = ("train", "unseen")
MORE_PAIRS = 200_000  # that are compared beside one a record, at most


def find_duplicates(keys: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return an index into REASONS for each record, in the source's order.

    A dropped record is nobody's original: its title or content may come again after it.
    """
    titles, contents = _dense(keys["title_key"]), _dense(keys["content_key"])
    first = np.unique(titles, return_index=True)[1]
    shared = np.bincount(contents[first], minlength=contents.max(initial=-1) + 1) >= BOILERPLATE
    codes = np.where(shared[contents], REASONS.index("boilerplate"), 0).astype(np.uint8)
    title_seen, content_seen = bytearray(titles.max(initial=-1) + 1), bytearray(len(shared))
    rest = np.flatnonzero(codes == 0)
    # In chunks: as Python's numbers they take eight times the memory.
    for chunk in np.array_split(rest, len(rest) // 100_000 + 1):
        columns = (chunk.tolist(), titles[chunk].tolist(), contents[chunk].tolist())
        for index, title, content in zip(*columns, strict=True):
            if title_seen[title]:
                codes[index] = REASONS.index("duplicate_title")
            elif content_seen[content]:
                codes[index] = REASONS.index("duplicate_content")
            else:
                title_seen[title] = content_seen[content] = 1
    return codes


def mark_not_sampled(keys: Mapping[str, np.ndarray], codes: np.ndarray, limit: int | None) -> None:
    """Mark all but a sample of `limit` records as not sampled.

    The sample is the same in any order of the source. A tenth of the sample comes from each tenth
    of the lengths, chosen there by a hash of the title.
    """
    stays = np.flatnonzero(codes == 0)
    if limit is None or len(stays) <= limit:
        return
    by_length = stays[np.lexsort((keys["title_key"][stays], keys["characters"][stays]))]
    lots = rehash(keys["title_key"], "sample")
    strata = np.array_split(by_length, min(STRATA, limit))
    ends = np.cumsum(list(map(len, strata))) * limit // len(stays)
    sampled = []
    for stratum, share in zip(strata, np.diff(ends, prepend=0), strict=True):
        sampled.append(stratum[np.argsort(lots[stratum], kind="stable")[:share]])
    codes[stays] = REASONS.index("not_sampled")
    codes[np.concatenate(sampled)] = 0


def group_near_duplicates(
    keys: Mapping[str, np.ndarray], sketches: np.ndarray | None = None
) -> np.ndarray:
    """Return the label of each record's group of near duplicates.

    Two records are near duplicates when their titles are the same but for their brackets, when
    their contents begin with the same words, or when they share most of their 4-grams; so are the
    near duplicates of near duplicates. `sketches` are those of sketch_texts().
    """
    labels = connected_groups([keys["stem_key"], keys["opening_key"]])
    if sketches is None:
        return labels
    left = len(sketches) + MORE_PAIRS
    for first, second in candidate_pairs(sketches):
        apart = labels[first] != labels[second]
        first, second = first[apart], second[apart]
        similar = are_similar(sketches, first, second)
        labels = _merge_groups(labels, first[similar], second[similar])
        left -= len(first)
        if left < 0:
            break
    return labels


def _merge_groups(labels: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Join the groups of each pair."""
    while True:
        before = labels.copy()
        least = np.minimum(labels[first], labels[second])
        np.minimum.at(labels, before[first], least)
        np.minimum.at(labels, before[second], least)
        labels = labels[labels]
        if np.array_equal(labels, before):
            return labels


def assign_splits(
    title_keys: np.ndarray, labels: np.ndarray, unseen_share: float, test_set: np.ndarray
) -> np.ndarray:
    """Return an index into SPLITS for each record.

    Near duplicates are always on one side. `labels` are those of group_near_duplicates().
    `test_set` marks the source's own test set: where there is one, it alone is unseen, but for what
    has a near duplicate in the rest.
    """
    if test_set.any():
        known = np.zeros(labels.max(initial=-1) + 1, bool)
        known[labels[~test_set]] = True
        return (test_set & ~known[labels]).astype(np.uint8)
    # The smallest title key decides for its group, so the order of the source does not matter.
    smallest = np.full(labels.max(initial=-1) + 1, np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(smallest, labels, title_keys)
    threshold = np.uint64(min(unseen_share * 2**64, 2**64 - 1))
    return (rehash(smallest, "split")[labels] < threshold).astype(np.uint8)


def connected_groups(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Label the connected groups of records that share keys.

    Each column has a key for each record. Key 0 is shared with nobody.
    """
    count = len(columns[0])
    labels = np.arange(count)
    shared = []
    for column in columns:
        dense = _dense(column)
        members = np.flatnonzero((np.bincount(dense, minlength=1)[dense] > 1) & (column != 0))
        if len(members):
            shared.append((members, _dense(column[members])))
    while True:
        before = labels.copy()
        for members, dense in shared:
            least = np.full(dense.max() + 1, count)
            np.minimum.at(least, dense, labels[members])
            labels[members] = least[dense]
        labels = labels[labels]  # a label's own label, which shortens chains
        if np.array_equal(labels, before):
            return labels


def needs_uid(uid_keys: np.ndarray) -> np.ndarray:
    """Mark records without a uid or with an earlier record's."""
    first = np.zeros(len(uid_keys), bool)
    first[np.unique(uid_keys, return_index=True)[1]] = True
    return ~first | (uid_keys == 0)


def rehash(numbers: np.ndarray, purpose: str) -> np.ndarray:
    """Return another 64-bit hash for each number, independent of other purposes' hashes.

    This is the finalizer of splitmix64.
    """
    word = numbers + np.uint64(int.from_bytes(purpose.encode().ljust(8, b"\0")[:8], "big"))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
    return word ^ (word >> np.uint64(31))


def _dense(numbers: np.ndarray) -> np.ndarray:
    return np.unique(numbers, return_inverse=True)[1].astype(np.int32)
