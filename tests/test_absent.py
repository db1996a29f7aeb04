"""Titles that no catalogue has: swapped, really absent, and on one side each."""

import itertools

from space.sources import normalise
from train.absent import made_up, side, swapped

RECORDS = [{"title": title, "content": "It is made of oak and it is blue."} for title in (
    "Ana Lamp", "Bela Mug", "Caro Tray", "Dora Vase", "Elsa Kettle", "Fabi Radio")]
TITLES = {normalise(record["title"]) for record in RECORDS}


def test_two_titles_swap_their_halves():
    assert swapped("Dovenka Kettle", "Bamu Lamp") == "Dovenka Lamp"
    assert swapped("One Two Three", "Four Five Six") == "One Two Five Six"
    assert swapped("Dune", "Emma") == "Dune Emma"


def test_a_made_up_title_is_in_no_catalogue_and_comes_once():
    made = [title for title, _ in made_up(RECORDS, TITLES, "train", 1)]
    assert len(made) == len(set(made)) > 10
    assert not TITLES & {normalise(title) for title in made}
    assert made == [title for title, _ in made_up(RECORDS, TITLES, "train", 1)]


def test_what_is_made_for_training_is_never_made_for_scoring():
    train = {normalise(title) for title, _ in made_up(RECORDS, TITLES, "train", 1)}
    unseen = {normalise(title) for title, _ in made_up(RECORDS, TITLES, "unseen", 1)}
    assert train and unseen and not train & unseen
    assert {side(key) for key in train} == {"train"}
    # All pairs are found in the end: 6 * 6 less the 6 that are real.
    assert len(train | unseen) == 30


def test_both_halves_speak_one_language():
    mixed = [*RECORDS, {"title": "Rede Bamu", "content": "É de linho e não pesa."},
             {"title": "Banco Zaro", "content": "É de carvalho e pesa 300 g."}]
    titles = {normalise(record["title"]) for record in mixed}
    for split in ("train", "unseen"):
        for title, tongue in made_up(mixed, titles, split, 1):
            assert (tongue == "pt") == (title in ("Rede Zaro", "Banco Bamu")), title


def test_a_catalogue_with_nothing_to_swap_ends():
    assert list(made_up([], set(), "train", 1)) == []
    assert list(itertools.islice(made_up(RECORDS[:1], {"ana lamp"}, "train", 1), 5)) == []
