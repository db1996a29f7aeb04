"""Unanswerable titles: really absent, and in one split each, word for word."""

import itertools
import random
import re

from space.catalogue.text import normalise
from train.examples.unanswerable import (
    JOINTS,
    hash_split,
    invent_code,
    invent_title,
    invent_titles,
    invent_word,
    swap_halves,
)

RECORDS = [
    {"title": title, "content": "It is made of oak and it is blue."}
    for title in ("Ana Lamp", "Bela Mug", "Caro Tray", "Dora Vase", "Elsa Kettle", "Fabi Radio")
]
TITLES = {normalise(record["title"]) for record in RECORDS}


def test_two_titles_swap_their_halves():
    assert swap_halves("Dovenka Kettle", "Bamu Lamp") == "Dovenka Lamp"
    assert swap_halves("One Two Three", "Four Five Six") == "One Two Five Six"
    assert swap_halves("Dune", "Emma") == "Dune Emma"


def made(split, records=RECORDS, titles=TITLES, seed=1, count=400):
    return list(itertools.islice(invent_titles(records, titles, split, seed), count))


def shops_own(found, records=RECORDS):
    """The titles that are put together from the shop's own words."""
    words = {word for record in records for word in record["title"].split()}
    return [title for title, _ in found if set(title.split()) <= words]


def test_a_made_up_title_is_in_no_catalogue_and_comes_once():
    found = made("train")
    titles = [title for title, _ in found]
    assert len(set(titles)) == 400 and found == made("train") != made("train", seed=2)
    assert not TITLES & {normalise(title) for title in titles}


def test_what_is_made_for_training_is_never_made_for_scoring():
    train, unseen = (
        {normalise(title) for title, _ in made(split)} for split in ("train", "unseen")
    )
    assert (
        not train & unseen
        and {hash_split(key) for key in train} == {"train"}
        and {hash_split(key) for key in unseen} == {"unseen"}
    )
    # All pairs are found in the end: 6 * 6 less the 6 that are real.
    assert len(shops_own(made("train"))) + len(shops_own(made("unseen"))) == 30


def test_no_foreign_word_that_is_scored_was_trained_on():
    joints = {word for joint in JOINTS for word in joint.split()}
    words = {
        split: {word for title, _ in made(split) for word in title.casefold().split()} - joints
        for split in ("train", "unseen")
    }
    known = {word for key in TITLES for word in key.split()}
    assert words["train"] & words["unseen"] <= known and len(words["train"] - known) > 300


def test_as_many_are_of_foreign_words_as_should_be():
    shop = [
        {"title": f"{first}{second} Lamp{second}{first}", "content": "It is oak."}
        for first in "ABCDEFGH"
        for second in "klmnopqr"
    ]
    found = made("train", shop, {normalise(record["title"]) for record in shop}, count=300)
    assert 0.4 < len(shops_own(found, shop)) / 300 < 0.6


def test_both_halves_speak_one_language_and_the_languages_take_turns():
    mixed = [
        *RECORDS,
        {"title": "Rede Bamu", "content": "É de linho e não pesa."},
        {"title": "Banco Zaro", "content": "É de carvalho e pesa 300 g."},
    ]
    titles = {normalise(record["title"]) for record in mixed}
    for split in ("train", "unseen"):
        found = made(split, mixed, titles)
        spoken = dict(found)
        for title in shops_own(found, mixed):
            assert (spoken[title] == "pt") == (title in ("Rede Zaro", "Banco Bamu")), title
        foreign = [tongue for title, tongue in found if title not in shops_own(found, mixed)]
        assert 0.4 < foreign.count("pt") / len(foreign) < 0.6


def test_a_catalogue_with_nothing_to_swap_has_foreign_names_and_an_empty_one_none():
    assert list(invent_titles([], set(), "train", 1)) == []
    found = made("train", RECORDS[:1], {"ana lamp"}, count=20)
    assert len(found) == 20 and not shops_own(found, RECORDS[:1])


# --- invented names ---


def invent(count, allowed=lambda word: True, seed=1):
    rng = random.Random(seed)
    return [invent_title(rng, allowed) for _ in range(count)]


def test_they_are_the_same_always_and_hardly_ever_alike():
    assert invent(50) == invent(50) != invent(50, seed=2)
    assert len(set(invent(1000))) > 950


def test_they_look_like_whatever_people_ask_for():
    made = invent(1000)
    assert max(len(title.split()) for title in made) <= 6 and all(
        title == " ".join(title.split()) for title in made
    )
    for look in (
        r"^[A-Z][a-z]+$",
        r" \d{4}$",
        r"[A-Z]+-?\d+",
        r"^[eiu][A-Z][a-z]",
        r"[a-z][A-Z][a-z]",
        r"^[a-z]+",
        r"\b[A-Z]{4}",
        r" of | de ",
        r"[ãáéí]",
    ):
        assert 5 < sum(bool(re.search(look, title)) for title in made) < 900, look
    letters = {letter for title in made for letter in title.casefold()}
    assert set("abcdefghijklmnopqrstuvwxyz0123456789-&") <= letters


def test_every_word_is_an_allowed_one_or_joins_two():
    joints = {word for joint in JOINTS for word in joint.split()}
    for title in invent(200, allowed=lambda word: len(word) % 2 == 0):
        words = title.split()
        assert words[0] not in joints and words[-1] not in joints
        assert all(len(word) % 2 == 0 or word in joints for word in words)


def test_a_word_can_be_spoken_and_a_code_can_not():
    rng = random.Random(0)
    assert all(re.search(r"[aeiouyãáéêíóú]", invent_word(rng).casefold()) for _ in range(200))
    assert all(re.fullmatch(r"[A-Z\d-]+", invent_code(rng)) for _ in range(200))
