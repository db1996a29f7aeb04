"""Principal sentences and leads."""

import pytest

from train.examples.summaries import (
    principal_sentence,
    shorten_sentence,
    summarize_text,
    take_lead,
)


def test_the_summary_is_the_principal_sentence_which_the_text_keeps():
    text = (
        "The kettle is oak. It weighs 300 g. The oak kettle from Lisbon weighs 300 g and is blue. "
        "It is blue. Made in Lisbon. Keep the receipt."
    )
    assert summarize_text(text) == "The oak kettle from Lisbon weighs 300 g and is blue."
    assert summarize_text("One. Two. Three.") is None
    assert principal_sentence(text) == summarize_text(text)
    assert principal_sentence("A lamp. It is blue and red. It is red.") == "A lamp."
    assert principal_sentence("no end") == "no end"


def test_two_sentences_of_a_long_text_stay_in_its_order():
    text = (
        "The red oak kettle weighs 300 g. One. Two. Three. Four. Five. Six. "
        "The blue oak kettle from Lisbon weighs 300 g and is red."
    )
    assert summarize_text(text) == (
        "The red oak kettle weighs 300 g. The blue oak kettle from Lisbon weighs 300 g and is red."
    )


@pytest.mark.parametrize(
    ("sentence", "shorter"),
    [
        ("The lamp (a gift) is made of oak.", "The lamp is made of oak."),
        ("The lamp (30 cm) is made of oak.", None),
        ("The lamp is made of solid oak, which darkens.", "The lamp is made of solid oak."),
        ("A mesa é feita de carvalho, que escurece.", "A mesa é feita de carvalho."),
        ("It is oak, which darkens.", None),
        ("The lamp, which is made of oak, weighs 300 g.", None),
        ("The lamp is made of solid oak, which darkens, and steel.", None),
        ("The box that holds it is made of oak.", None),
    ],
)
def test_a_sentence_is_cut_only_where_it_stays_true(sentence, shorter):
    assert shorten_sentence(sentence) == (shorter or sentence)


def test_a_long_answer_ends_with_a_sentence(tokenizer):
    text = "The kettle is oak. It weighs 300 g. It is blue. Made in Lisbon."
    assert take_lead(text, tokenizer, 1000) == text
    cut = take_lead(text, tokenizer, len(tokenizer(text)["input_ids"]) - 3)
    assert text.startswith(cut) and cut.endswith(".") and len(cut) < len(text)
    assert take_lead("word " * 200, tokenizer, 20).endswith("word")
