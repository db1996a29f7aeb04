"""General questions for rehearsal: enough of them, and none that is scored."""

from space.catalogue.text import detect_language
from train.evaluate.kept import INSTRUCTIONS
from train.examples.general import general_questions


def test_no_question_is_scored_and_none_comes_twice():
    questions = general_questions(1)
    assert len(questions) == len(set(questions)) > 200
    assert not set(questions) & {each.text for each in INSTRUCTIONS}


def test_a_seed_always_gives_the_same_order_and_both_languages_come_early():
    assert general_questions(1) == general_questions(1) != general_questions(2)
    assert sorted(general_questions(1)) == sorted(general_questions(2))
    languages = [detect_language(question) for question in general_questions(1)[:80]]
    assert 4 < languages.count("pt") < 40


def test_every_placeholder_is_filled_in():
    assert not [question for question in general_questions(1) if {*"{}|"} & {*question}]
