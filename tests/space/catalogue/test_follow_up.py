"""Which records a follow-up is about, on the sample's own catalogue."""

import pytest

from space.catalogue.follow_up import records_for_follow_up
from space.catalogue.search import Catalogue, keep_relevant
from space.model.prompt_template import PromptTemplate
from tests.toy import TOY
from train.examples.unanswerable import swap_halves

FOLLOW_UPS = PromptTemplate().follow_ups.values()
PHRASES = [phrase for ways in FOLLOW_UPS for kind in ("short", "more") for phrase in ways[kind]]
OTHERS = [phrase for ways in FOLLOW_UPS for phrase in ways["other"]]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue.open(TOY / "catalogue")


def about(catalogue, question: str, before: list[dict]) -> list[str]:
    return [
        record["uid"]
        for record in records_for_follow_up(
            question, before, catalogue.search(question, 3), PHRASES
        )
    ]


@pytest.fixture(scope="module")
def titles(catalogue) -> list[str]:
    return catalogue.titles(12)


def read(catalogue, title: str) -> list[dict]:
    return keep_relevant(catalogue.search(f"What is {title}?", 3))


@pytest.mark.parametrize(
    "question",
    [
        *PHRASES,
        "Conte mais.",
        "How heavy is it?",
        "What is it made of?",
        "Do they come in red?",
        "Is that waterproof?",
        "And the price?",
        "Why?",
        "Translate that to Portuguese.",
        "HOW MUCH DOES IT WEIGH?",
        "Quanto ele pesa?",
        "E a cor?",
        "Posso lavá-lo?",
        "Esse é pesado?",
        "Is it better than the Qwxyz Zzyx?",
    ],
)
def test_a_question_that_points_back_keeps_the_records(catalogue, titles, question):
    for title in titles[:3]:
        before = read(catalogue, title)
        assert about(catalogue, question, before) == [record["uid"] for record in before]


@pytest.mark.parametrize(
    "phrase", [*OTHERS, "What is {title}, and how heavy is it?", "Do you have that {title}?"]
)
def test_another_title_has_its_own_records(catalogue, titles, phrase):
    for title, other in zip(titles[:6], titles[6:], strict=True):
        for spelled in (other, other.lower()):
            own = read(catalogue, other)[0]["uid"]
            assert about(catalogue, phrase.format(title=spelled), read(catalogue, title))[0] == own


@pytest.mark.parametrize(
    "phrase", [*OTHERS, "Do you have that {title}?", "Tell me about the {title}, please."]
)
def test_what_is_absent_has_none(catalogue, titles, phrase):
    absent = [
        name
        for name in (swap_halves(one, other) for one in titles for other in titles)
        if not read(catalogue, name)
    ]
    for name in [*absent[:4], "Qwxyz Zzyx", "Let It Qwx"]:
        assert about(catalogue, phrase.format(title=name), read(catalogue, titles[0])) == [], name


def test_what_the_records_before_hold_is_asked_of_them():
    before = [
        {
            "title": "Dovenka Kettle",
            "content": "A kettle of steel. The handle folds flat.",
            "score": 0.9,
        }
    ]
    own = [{"title": "Handle", "content": "A handle.", "score": 0.9}]
    assert (
        records_for_follow_up("Does the handle fold flat?", before, []) == []
    )  # "fold" is not what the record says
    assert records_for_follow_up("Does the handle stand or folds flat?", before, []) == []
    assert records_for_follow_up("What of the handle?", before, []) == before
    assert records_for_follow_up("Is its handle flat?", before, own) == before, (
        "it points back, and they hold every word of it"
    )
    assert (
        records_for_follow_up("What is a handle?", before, own) == own
        and records_for_follow_up("And Handle?", before, own) == own
    )


def test_a_question_after_an_absent_title_is_still_about_nothing(catalogue):
    assert about(catalogue, "Tell me more about it.", []) == []
