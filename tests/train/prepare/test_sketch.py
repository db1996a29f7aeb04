"""Near duplicates are found by their 4-grams, whatever stands at their beginning."""

from __future__ import annotations

import random

import numpy as np
import pytest

from train.prepare.duplicates import group_near_duplicates
from train.prepare.sketch import EMPTY, SKETCH, candidate_pairs, sketch_texts

WORDS = [f"word{n}" for n in range(3000)]


def text(rng: random.Random, length: int = 60) -> list[str]:
    return [rng.choice(WORDS) for _ in range(length)]


def jaccard(first: list[str], second: list[str]) -> float:
    one, other = (
        {tuple(words[i : i + 4]) for i in range(len(words) - 3)} for words in (first, second)
    )
    return len(one & other) / len(one | other)


def labels(texts: list[list[str]]) -> np.ndarray:
    sketches = sketch_texts([" ".join(words).encode() for words in texts])
    alone = np.zeros(len(texts), np.uint64)
    return group_near_duplicates({"stem_key": alone, "opening_key": alone}, sketches)


@pytest.mark.parametrize("length", [12, 30, 60, 300])
def test_texts_that_differ_in_few_words_are_one_group(length):
    rng = random.Random(length)
    texts, similar = [], []
    for _ in range(400):
        first = text(rng, length)
        second = list(first)
        for at in rng.sample(range(length), max(1, length // 30)):
            second[at] = rng.choice(WORDS)
        similar.append(jaccard(first, second) >= 0.6)
        texts += [first, second]
    found = labels(texts)
    joined = (found[0::2] == found[1::2])[np.array(similar)]
    assert len(joined) > 100 and joined.mean() > 0.98


def test_unrelated_texts_with_a_common_phrase_stay_apart():
    rng = random.Random(0)
    phrase = "the record shop of the old town sells it with a warranty of two years".split()
    texts = [text(rng) + phrase for _ in range(2000)]
    assert len(set(labels(texts).tolist())) == 2000


def test_a_templated_catalogue_is_not_one_group():
    """Its texts have a similarity of .32, and no two of .5."""
    rng, names = random.Random(3), WORDS[:15]
    texts = []
    for number in range(200):
        words: list[str] = []
        for turn in range(8):
            first, second = rng.choice(names), rng.choice(names)
            line = f"the {first} of case {number} and the {second} were seen by {turn} people"
            words += line.split()
        texts.append(words)
    found = labels(texts)
    assert np.bincount(found).max() < 20


def test_short_texts_are_compared_exactly():
    texts = ["a kettle of copper number one", "a kettle of copper number two", "of tin", ""]
    assert len(set(labels([words.split() for words in texts]).tolist())) == 4
    twins = ["one old kettle of red copper for two", "one old kettle of red copper for three"]
    assert len(set(labels([words.split() for words in twins]).tolist())) == 1


def test_a_sketch_does_not_depend_on_its_neighbours():
    rng = random.Random(1)
    texts = [" ".join(text(rng, rng.randrange(0, 4000))).encode() for _ in range(60)]
    together = sketch_texts(texts)
    alone = np.concatenate([sketch_texts([one]) for one in texts])
    assert np.array_equal(together, alone)
    assert (
        together.shape == (60, SKETCH) and (np.diff(together.astype(np.int64), axis=1) >= 0).all()
    )
    assert (sketch_texts([b"", b"one two three"]) == EMPTY).all()


def test_variants_of_one_phrase_are_one_group_however_many_there_are():
    rng = random.Random(2)
    phrase = text(rng, 40)
    texts = [[*text(rng, 2), *phrase] for _ in range(500)] + [text(rng) for _ in range(500)]
    found = labels(texts)
    assert len(set(found[:500].tolist())) == 1 and len(set(found.tolist())) == 501


@pytest.mark.parametrize("count", [0, 5])
def test_nothing_is_similar_to_nothing(count):
    assert list(candidate_pairs(np.full((count, SKETCH), EMPTY))) == []
