"""Principal sentences and leads."""

from train.examples.summaries import principal_sentence, split_principal, take_lead


def test_the_principal_sentence_says_most_of_the_others_and_leaves_the_text():
    text = (
        "The kettle is oak. It weighs 300 g. The oak kettle from Lisbon weighs 300 g and is blue. "
        "It is blue. Made in Lisbon. Keep the receipt."
    )
    rest, summary = split_principal(text)
    assert summary == "The oak kettle from Lisbon weighs 300 g and is blue."
    assert (
        summary not in rest
        and rest.startswith("The kettle is oak.")
        and rest.endswith("Keep the receipt.")
    )
    assert split_principal("One. Two. Three.") is None
    assert principal_sentence(text) == summary
    assert principal_sentence("A lamp. It is blue and red. It is red.") == "A lamp."
    assert principal_sentence("no end") == "no end"


def test_a_long_answer_ends_with_a_sentence(tokenizer):
    text = "The kettle is oak. It weighs 300 g. It is blue. Made in Lisbon."
    assert take_lead(text, tokenizer, 1000) == text
    cut = take_lead(text, tokenizer, len(tokenizer(text)["input_ids"]) - 3)
    assert text.startswith(cut) and cut.endswith(".") and len(cut) < len(text)
    assert take_lead("word " * 200, tokenizer, 20).endswith("word")
