"""Questions for facts: the answer is in the records that are cited, and nothing else is said."""

import random
import re

import pytest

from space.catalogue import detect_language, normalise
from space.model.prompt_template import PromptTemplate
from train.examples.asked import COMPILED, Asker, Question, drop_ambiguous

SHOP = [
    ("Tarn Kettle, Green", "It is steel. It weighs 720 g. Made in Leeds."),
    ("Orrin Skillet, Navy", "It is iron. It weighs 2.4 kg. Made in Wigan."),
    ("Cane Basket, Cream", "The basket is willow. It weighs 511 g and is 30 cm long."),
    ("Hollin Shears", "They are steel. They weigh 1.1 kg. It is 55 cm long."),
    ("Caneca Bule", "A caneca é de aço esmaltado. Pesa 150 g. Feita em Gramado."),
    ("Panela Serrana", "A panela é de barro. Pesa 1,6 kg. Garantia de um ano."),
]
RECORDS = [
    {"uid": str(index), "title": title, "content": content}
    for index, (title, content) in enumerate(SHOP)
]


@pytest.fixture(scope="module")
def questions() -> list[Question]:
    asker, rng = Asker(RECORDS, PromptTemplate().unstated), random.Random(0)
    made = [asker.ask(RECORDS[turn % len(RECORDS)], rng) for turn in range(600)]
    return [question for question in made if question]


def test_every_form_is_asked_in_both_languages(questions):
    asked = {(question.form, detect_language(question.answer)) for question in questions}
    assert {form for form, _ in asked} == {"fact", "yes_no", "compare", "which"}
    assert {language for _, language in asked} == {"en", "pt"}
    assert len({question.text for question in questions}) > 100


def test_an_answer_is_short_and_has_what_its_records_say(questions):
    for question in questions:
        assert len(question.answer) < 90 and "{" not in question.text + question.answer
        assert question.answer[0].isupper() and question.answer.endswith(".")
        for value in question.expected:
            assert normalise(value) in normalise(question.answer)
        for record, said in zip(question.records, question.said, strict=True):
            assert said in record["content"] or said == record["title"]


def test_yes_is_what_the_record_says_and_no_is_what_it_does_not(questions):
    words = set()
    for question in questions:
        if question.form == "yes_no":
            (value,), (record,) = question.expected, question.records
            word = question.answer.split(",")[0]
            words.add(word)
            rest = question.text.replace(question.names[0], "")
            asked = f" {normalise(value)} " in f" {normalise(rest)} "
            assert asked == (word in ("Yes", "Sim"))
            own = normalise(f"{record['title']} {record['content']}")
            number = re.search(r"\d+ k?g", rest)
            assert asked or not number or normalise(number[0]) not in own
    assert words == {"Yes", "No", "Sim", "Não"}


def test_the_heavier_of_two_is_the_heavier(questions):
    grams = {"0": 720, "1": 2400, "2": 511, "3": 1100, "4": 150, "5": 1600}
    compared = 0
    for question in questions:
        heavier = re.search("heavier|pesa mais", question.answer)
        if question.form == "compare" and (heavier or re.search("lighter|menos", question.answer)):
            first, second = (grams[record["uid"]] for record in question.records)
            assert (first > second) == bool(heavier)
            compared += 1
    assert compared > 10


def test_what_is_unstated_is_nowhere_in_the_record():
    asker, rng = Asker(RECORDS, PromptTemplate().unstated), random.Random(0)
    said = set()
    for turn in range(900):
        question = asker.ask_unstated(RECORDS[turn % len(RECORDS)], rng)
        assert question is not None and question.expected == ()
        said.add(question.answer)
        assert not re.search("weigh|pesa", question.answer), "every record here has its weight"
    assert "The record does not say what it costs." in said
    assert "O registro não diz quanto custa." in said


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("weight", "It is light in the hand."),
        ("weight", "A 5 kg bag."),
        ("colour", "It is painted."),
        ("made_in", "From a mill in Leeds."),
        ("guarantee", "We replace broken ones."),
        ("author", "Poems about Ada Lovelace."),
        ("duration", "An hour-long comedy."),
        ("duration", "1 Hello 3:35"),
        ("tracks", "Nine pieces for flute."),
    ],
)
def test_whatever_may_state_a_fact_is_not_called_unstated(kind, text):
    assert COMPILED[kind].search(text)


def test_a_record_that_a_question_could_mean_too_is_left_out():
    asker, rng = Asker(RECORDS, PromptTemplate().unstated), random.Random(0)
    twin = {"uid": "9", "title": "Tarn Kettle, Red", "content": "It weighs 900 g."}
    same = {"uid": "8", "title": "Iron Bell", "content": "It weighs 720 g."}
    other = {"uid": "7", "title": "Ladle", "content": "It weighs 90 g."}
    seen = set()
    for _ in range(200):
        question = asker.ask(RECORDS[0], rng)
        assert question is not None
        kept = {
            record["uid"] for record in drop_ambiguous(question, [*RECORDS[:1], twin, same, other])
        }
        assert "7" in kept and "0" not in kept
        if question.form == "which" and "720 g" in question.text:
            assert "8" not in kept
            seen.add("which")
        if question.form == "fact" and "Green" not in question.text:
            assert "9" not in kept
            seen.add("short name")
    assert seen == {"which", "short name"}


def test_a_record_without_facts_is_not_asked_about():
    asker = Asker(RECORDS, PromptTemplate().unstated)
    assert asker.ask({"uid": "x", "title": "Thing", "content": "Nice."}, random.Random(0)) is None
