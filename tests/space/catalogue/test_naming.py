"""Whole titles in a question: which runs of its words count, and which are inside a longer name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from space.catalogue.index import build_index
from space.catalogue.naming import HEAD, named_titles, title_key, title_keys
from space.catalogue.search import Catalogue, keep_relevant
from space.catalogue.text import fold

TITLES = [
    "Blue Kettle",
    "Red Lamp",
    "Mog's Kittens",
    "The Prophet",
    "The Future",
    "The Future of What",
    "Mirror",
    "Houdini",
    "Crimson & Clover",
    "Don't Look Back",
    "The Tide Clerk (Paperback)",
    "The Tide Clerk (Hardback, Signed)",
    "What Is It?",
    "مصباح أحمر",
]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Catalogue:
    folder: Path = tmp_path_factory.mktemp("catalogue")
    filler = [(f"f{index}", f"Filler {index}", "Nothing else.") for index in range(60)]
    rows = [(title, title, "A record of the shop.") for title in TITLES]
    build_index([*rows, *filler], folder / "index")
    return Catalogue.open(folder)


def titles(catalogue: Catalogue, question: str, k: int = 3) -> list[str]:
    return [hit["title"] for hit in keep_relevant(catalogue.search(question, k))]


@pytest.mark.parametrize("title", ["Blue Kettle", "Crimson & Clover", "Don't Look Back"])
@pytest.mark.parametrize(
    "way",
    [
        "Is the {t} good for camping?",
        "hi, can you tell me something about the {t} please?",
        "Queria comprar {t} para minha irmã, vale a pena?",
        "is {t} worth the money or should I rather keep my very old one another winter",
        "Does the {t} that Amazon sells fit my brother's Volvo, or has London no roads?",
    ],
)
def test_a_whole_title_is_found_whatever_else_is_said(catalogue, way, title):
    for spelled in (title, title.lower(), title.upper()):
        assert titles(catalogue, way.format(t=spelled)) == [title]


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("would mogs kitten be good for camping, or do cats get wet in tents?", "Mog's Kittens"),
        ("would Mog\u2019s Kittens be good for camping, or do cats get wet?", "Mog's Kittens"),
        ("dont look back: would that suit somebody who likes driving?", "Don't Look Back"),
        ("are those blue kettles any good for camping in the winter?", "Blue Kettle"),
        ("does The Prophet by that poet suit somebody who likes driving?", "The Prophet"),
    ],
)
def test_small_slips_do_not_hide_a_title(catalogue, question, title):
    assert titles(catalogue, question)[:1] == [title]


@pytest.mark.parametrize(
    "way", ["compare {a} and {b}", "Which is heavier, the {a} or {b}?", "{a}, {b}", "{a} vs. {b}"]
)
def test_two_titles_give_both_records(catalogue, way):
    asked = ["Blue Kettle", "Don't Look Back"]
    assert titles(catalogue, way.format(a=asked[0], b=asked[1])) == asked
    assert titles(catalogue, way.format(a=asked[1], b=asked[0])) == asked[::-1]


def test_of_many_titles_each_has_its_best_record_first(tmp_path):
    rows = [
        (f"{title} {copy}", title, "A.") for title in ("Red Lamp", "Oak Bench") for copy in "123"
    ]
    build_index(rows, tmp_path / "index")
    catalogue = Catalogue.open(tmp_path)
    assert titles(catalogue, "compare Red Lamp and Oak Bench", 3) == [
        "Red Lamp",
        "Oak Bench",
        "Red Lamp",
    ]


def test_the_longest_of_titles_inside_each_other_counts(catalogue):
    question = "would the future of what suit somebody who likes driving?"
    assert titles(catalogue, question) == ["The Future of What"]


@pytest.mark.parametrize(
    "question",
    [
        "What is the Zorvaxi Blue Kettle?",
        "Zorvaxi Blue Kettle",
        "Is the Blue Kettle Zorvaxi good for camping?",
        "Is the Houdini of Zorvaxi good for camping?",
        "Is the Tide Clerk: Zorvaxi good for camping?",
        "Is there a mirror for somebody who likes driving?",
        "Can you say what is it that somebody likes in driving?",
    ],
)
def test_a_title_inside_another_name_is_not_named(catalogue, question):
    assert all(hit["score"] < 0.9 for hit in catalogue.search(question, 3))


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("mirror", "Mirror"),
        ("What is a mirror?", "Mirror"),
        ("Is the Houdini good for camping?", "Houdini"),
        ('does "houdini" suit somebody who likes driving?', "Houdini"),
        ("does “what is it?” suit somebody who likes driving?", "What Is It?"),
    ],
)
def test_a_title_of_one_word_counts_alone_quoted_or_with_a_capital(catalogue, question, title):
    assert titles(catalogue, question)[:1] == [title]


def test_the_head_of_a_title_names_all_that_have_it(catalogue):
    found = titles(catalogue, "is the tide clerk good for somebody who likes driving?")
    assert found == ["The Tide Clerk (Paperback)", "The Tide Clerk (Hardback, Signed)"]
    assert (
        titles(catalogue, "is The Tide Clerk (Hardback, Signed) good for camping?")[0] == found[1]
    )


def test_a_misspelled_longer_title_comes_before_the_title_inside_it(tmp_path):
    rows = [(title, title, "A.") for title in ("Bake Tola", "Bake Tola Zuri Wobo")]
    build_index([*rows, *((f"{n}", f"Filler {n}", "B.") for n in range(2000))], tmp_path / "index")
    assert titles(Catalogue.open(tmp_path), "what is bake tola zuir wobo?")[0] == rows[1][1]


def test_text_from_right_to_left_is_searched_as_any_other(catalogue):
    assert titles(catalogue, "هل يصلح مصباح أحمر للتخييم في الشتاء أم لا؟") == ["مصباح أحمر"]


@pytest.mark.parametrize(
    "text",
    [
        " and ".join(TITLES * 4),
        "Is the Blue Kettle good? " + "very " * 4000,
        "(" * 20_000,
        "The Future of What " * 1000,
        "A" * 20_000,
        "\u202e" * 20_000,
    ],
)
def test_a_long_question_takes_little_time(catalogue, text):
    begun = time.perf_counter()
    assert len(catalogue.search(text[:20_000], 3)) <= 3
    assert time.perf_counter() - begun < 0.5


def test_keys_leave_out_what_people_leave_out():
    assert title_key("the dragon s jaws") == title_key("dragons jaw") == "dragon jaw"
    assert title_key("don t") == title_key("dont") == "dont"
    assert title_key("glass") == "glass" and title_key("the") == "the"
    title = "The Tide Clerk (Paperback)"
    assert title_keys(title, fold(title)) == ["tide clerk paperback", "tide clerk" + HEAD]
    assert title_keys("Mirror (DVD)", "mirror dvd") == ["mirror dvd"]


def test_a_named_title_says_which_words_it_takes():
    (named,) = named_titles("Is the Blue Kettle good?", "blue kettle".__eq__, bool)
    assert (named.key, named.start, named.end) == ("blue kettle", 1, 4)
