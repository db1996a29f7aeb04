"""Titles that no catalogue has: swapped or of foreign words, really absent, and on one side each, word for word."""

import itertools

from space.catalogue.text import normalise
from train.examples.foreign import JOINTS
from train.examples.unanswerable import made_up, side, swapped

RECORDS = [
    {"title": title, "content": "It is made of oak and it is blue."}
    for title in ("Ana Lamp", "Bela Mug", "Caro Tray", "Dora Vase", "Elsa Kettle", "Fabi Radio")
]
TITLES = {normalise(record["title"]) for record in RECORDS}


def test_two_titles_swap_their_halves():
    assert swapped("Dovenka Kettle", "Bamu Lamp") == "Dovenka Lamp"
    assert swapped("One Two Three", "Four Five Six") == "One Two Five Six"
    assert swapped("Dune", "Emma") == "Dune Emma"


def made(split, records=RECORDS, titles=TITLES, seed=1, count=400):
    return list(itertools.islice(made_up(records, titles, split, seed), count))


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
        and {side(key) for key in train} == {"train"}
        and {side(key) for key in unseen} == {"unseen"}
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
    assert list(made_up([], set(), "train", 1)) == []
    found = made("train", RECORDS[:1], {"ana lamp"}, count=20)
    assert len(found) == 20 and not shops_own(found, RECORDS[:1])
