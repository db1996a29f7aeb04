"""Sketches of texts, whose likeness is that of the texts: the smallest hashes of their 4-grams.

A bottom-k sketch estimates the Jaccard similarity of two sets (Cohen and Kaplan, "Summarizing data
using bottom-k sketches", 2007; Broder, "On the resemblance and containment of documents", 1997).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

GRAM = 4  # words
SKETCH = 64  # hashes of a text; most contents have fewer 4-grams, and are compared exactly
# Two texts are near duplicates from this Jaccard similarity of their 4-grams on. An estimate from
# 64 hashes has a standard deviation of .06, so a little less is asked of one. Much
# less would join a templated catalogue to one group, by the chance
# of a few pairs among many.
SIMILAR, SIMILAR_ESTIMATE = 0.6, 0.53
JOINED = 6  # smallest hashes of a text of which two near duplicates share at least one, P > .99
NEIGHBOURS = 64  # of those with the same hash that each text is compared with, at most
EMPTY = np.uint32(2**32 - 1)
CHUNK, LONGEST = 2**18, 2**16  # bytes that are hashed at a time, and of one text
PAIRS = 2**15  # compared at a time

_FACTOR = 0x9E3779B97F4A7C15
_MIX = np.uint64(0xBF58476D1CE4E5B9)
_PLACES = np.array(
    [0xD6E8FEB86659FD93, 0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3], np.uint64
)


def _powers(factor: int) -> np.ndarray:
    factors = np.full(CHUNK + LONGEST + 2, factor, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)


_POWERS, _INVERSES = _powers(_FACTOR), _powers(pow(_FACTOR, -1, 2**64))


def sketch_texts(texts: Sequence[bytes]) -> np.ndarray:
    """Sketch texts by the smallest hashes of their 4-grams.

    Return uint32 of shape (texts, SKETCH), each row in order.

    EMPTY where a text has fewer. Words are parted by bytes up to 32.
    """
    sketches = np.full((len(texts), SKETCH), EMPTY, np.uint32)
    first = 0
    for chunk in _chunks(texts):
        _sketch_chunk(chunk, sketches[first : first + len(chunk)])
        first += len(chunk)
    return sketches


def _chunks(texts: Sequence[bytes]) -> Iterator[list[bytes]]:
    chunk, size = [], 0
    for text in texts:
        chunk.append(text[: LONGEST - 1])
        size += len(chunk[-1]) + 1
        if size >= CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _sketch_chunk(texts: list[bytes], sketches: np.ndarray) -> None:
    data = np.frombuffer(b"\n".join(texts) + b"\n", np.uint8)
    in_word = np.concatenate([[False], data > 32])
    edges = np.flatnonzero(in_word[1:] != in_word[:-1])
    starts, ends = edges[0::2], edges[1::2]
    if len(starts) < GRAM:
        return
    # A word's hash is a polynomial of its bytes, from the sums before its end and its start.
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(data * _POWERS[: len(data)])])
    words = (sums[ends] - sums[starts]) * _INVERSES[starts]
    words = (words ^ (words >> np.uint64(32))) * _MIX
    owners = np.searchsorted(np.flatnonzero(data == 10), starts)
    count = len(words) - GRAM + 1
    grams = np.zeros(count, np.uint64)
    for place, factor in enumerate(_PLACES):
        grams += words[place : place + count] * factor
    grams = (grams ^ (grams >> np.uint64(29))) * _MIX
    complete = owners[:count] == owners[GRAM - 1 :]
    tagged = (owners[:count].astype(np.uint64) << np.uint64(32)) | (grams >> np.uint64(32))
    tagged = np.sort(tagged[complete])
    if not len(tagged):
        return
    tagged = tagged[np.concatenate([[True], tagged[1:] != tagged[:-1]])]
    owner = (tagged >> np.uint64(32)).astype(np.int64)
    begins = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    lengths = np.diff(np.append(begins, len(owner)))
    ranks = np.arange(len(owner)) - np.repeat(begins, lengths)
    kept = ranks < SKETCH
    sketches[owner[kept], ranks[kept]] = tagged[kept].astype(np.uint32)


def candidate_pairs(sketches: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs that share one of their JOINED smallest hashes.

    Of the texts with the same hash each comes with its next one, then with the one after it, and so
    on to the NEIGHBOURS-th.
    """
    joined = sketches[:, :JOINED]
    owners = np.repeat(np.arange(len(sketches), dtype=np.uint32), joined.shape[1])
    hashes = joined.ravel()
    there = hashes != EMPTY
    owners, hashes = owners[there], hashes[there]
    # Those with the same first hash too become neighbours.
    order = np.argsort(
        (hashes.astype(np.uint64) << np.uint64(32)) | sketches[owners, 0].astype(np.uint64)
    )
    owners, hashes = owners[order], hashes[order]
    for distance in range(1, NEIGHBOURS + 1):
        same = hashes[distance:] == hashes[:-distance]
        if not same.any():
            return
        one, other = owners[distance:][same], owners[:-distance][same]
        low, high = np.minimum(one, other), np.maximum(one, other)
        pairs = np.unique((low.astype(np.uint64) << np.uint64(32)) | high)
        yield (pairs >> np.uint64(32)).astype(np.int64), (pairs & np.uint64(EMPTY)).astype(np.int64)


def are_similar(sketches: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Tell of pairs of indices whether their texts are near duplicates."""
    similar = [np.zeros(0, bool)]
    for at in range(0, len(first), PAIRS):
        one, other = first[at : at + PAIRS], second[at : at + PAIRS]
        similar.append(_are_similar(sketches[one], sketches[other]))
    return np.concatenate(similar)


def _are_similar(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    union = np.sort(np.concatenate([first, second], axis=1), axis=1)
    is_there = union != EMPTY
    is_shared = np.zeros_like(is_there)
    is_shared[:, 1:] = (union[:, 1:] == union[:, :-1]) & is_there[:, 1:]
    is_new = is_there & ~is_shared
    # Of texts with fewer hashes than a sketch holds, all are known.
    complete = (first[:, -1] == EMPTY) & (second[:, -1] == EMPTY)
    known = complete[:, None] | (np.cumsum(is_new, axis=1) <= SKETCH)
    shared, total = (is_shared & known).sum(axis=1), (is_new & known).sum(axis=1)
    least = np.where(complete, SIMILAR, SIMILAR_ESTIMATE)
    return shared >= least * np.maximum(total, 1)
