"""What an answer does with what it rests on, worked by hand."""

import math

import pytest

from train.evaluate.faithfulness import (
    Fidelity,
    Form,
    contradicted,
    copied_run,
    invented_names,
    invented_numbers,
    length_ratio,
    repetition,
    supported,
)

EVIDENCE = "Muvoson Tray: The tray weighs 3 kg, is made of oak by Ana Lopes in Évora, and costs 1,200 dollars. It has 20 pages."


@pytest.mark.parametrize(
    ("said", "share"),
    [
        ("The tray is oak.", 1.0),  # tray, oak
        ("A TRAY, of steel!", 0.5),  # tray; steel
        ("It is made of glass and lead.", 0.0),
        ("Evora", 1.0),
        ("1200 dollars", 1.0),
        ("", 0.0),
        ("What is it?", 0.0),
    ],
)
def test_supported_is_the_share_of_telling_words_in_the_evidence(said, share):
    assert supported(said, EVIDENCE) == share


@pytest.mark.parametrize(
    ("said", "share"),
    [
        ("It weighs 3 kg and has 20 pages.", 0.0),
        ("It weighs 3 kg and has 21 pages.", 0.5),
        ("1.200 dollars", 0.0),
        ("1200 dollars", 0.0),
        ("12 dollars", 1.0),
        ("3,0 kg", 1.0),
        ("no number", 0.0),
        ("", 0.0),
    ],
)
def test_invented_numbers_are_those_the_evidence_does_not_have(said, share):
    assert invented_numbers(said, EVIDENCE) == share


@pytest.mark.parametrize(
    ("said", "share"),
    [
        ("Made by Ana Lopes in Évora.", 0.0),
        ("Made by Rui Lopes in Porto.", 2 / 3),
        ("Rui made it.", 0.0),
        ("It is good. Rui made it.", 0.0),
        ("made in Evora", 0.0),
        ("", 0.0),
    ],
)
def test_invented_names_are_capitals_that_the_evidence_does_not_have(said, share):
    assert invented_names(said, EVIDENCE) == pytest.approx(share)


@pytest.mark.parametrize(
    ("said", "share"),
    [
        ("It weighs 3 kg.", 0.0),
        ("It weighs 5 kg.", 1.0),
        ("5 kg, 20 pages", 0.5),
        ("5 miles", 0.0),
        ("It is 5.", 0.0),
        ("", 0.0),
    ],
)
def test_a_number_is_contradicted_where_its_unit_has_another(said, share):
    assert contradicted(said, EVIDENCE) == share


@pytest.mark.parametrize(
    ("said", "words"), [("It is made of oak by hand.", 5), ("oak, made", 1), ("glass", 0), ("", 0)]
)
def test_the_longest_run_in_common(said, words):
    assert copied_run(said, EVIDENCE) == words


def test_length_and_repetition_by_hand():
    assert (
        length_ratio("a b c", "a b") == 1.5
        and length_ratio("", "a") == 0
        and math.isnan(length_ratio("a", ""))
    )
    # a b a b a b: of abab, baba, abab one was said before.
    assert repetition("a b a b a b") == pytest.approx(1 / 3)
    assert repetition("a b c") == repetition("") == 0.0


def test_the_question_may_be_said_again_and_a_citation_is_no_number():
    scores = Fidelity().compute(
        predictions=["Dovenka Lamp is oak. [7]"],
        references=["It is oak."],
        questions=["What is the Dovenka Lamp?"],
    )
    assert scores == {
        "supported": [1.0],
        "invented_numbers": [0.0],
        "invented_names": [0.0],
        "contradicted": [0.0],
        "copied_run": [2.0],
    }
    assert Form().compute(predictions=["a"], references=["b c"]) == {
        "length_ratio": [0.5],
        "repetition": [0.0],
    }
