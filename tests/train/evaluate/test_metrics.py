"""Each metric of an answer, worked by hand and against the libraries that define it."""

import math

import pytest
from rouge_score.rouge_scorer import RougeScorer

from space.model.prompt_template import FORMAT_1, PromptTemplate
from train.evaluate.metrics import (
    ItemMetric,
    abstention,
    citation,
    contradicted,
    copied_run,
    faithfulness,
    invented_names,
    invented_numbers,
    length_ratio,
    repetition,
    says_absent,
    similarity,
    similarity_unicode,
    stated,
    supported,
    token_f1,
    unstated,
)

EVIDENCE = (
    "Muvoson Tray: The tray weighs 3 kg, is made of oak by Ana Lopes in Évora, and costs "
    "1,200 dollars. It has 20 pages."
)


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
    scores = ItemMetric(faithfulness, questions="string").compute(
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
    form = ItemMetric(similarity).compute(predictions=["a"], references=["b c"])
    assert (form["length_ratio"], form["repetition"]) == ([0.5], [0.0])


def test_rouge_is_rouge_scores_own_digit_for_digit():
    said = ["the kettle is blue and made of oak", "nothing alike", ""]
    references = ["the kettle is made of blue oak", "wholly other words", "not empty"]
    ours = ItemMetric(similarity).compute(predictions=said, references=references)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for place, (answer, reference) in enumerate(zip(said, references, strict=True)):
        theirs = scorer.score(reference, answer)
        assert {name: ours[name][place] for name in theirs} == {
            name: theirs[name].fmeasure for name in theirs
        }


def test_rouge_l_by_hand():
    # Longest common subsequence "a c d": precision 3/4, recall 3/3.
    score = ItemMetric(similarity).compute(predictions=["a b c d"], references=["a c d"])["rougeL"][
        0
    ]
    assert score == pytest.approx(2 * 0.75 * 1 / 1.75)


def test_token_f1_by_hand():
    assert token_f1("The Kettle, the!", "the kettle") == pytest.approx(2 * 2 / 5)
    assert token_f1("ação", "Acao") == 1.0
    assert token_f1("", "x") == 0.0
    assert ItemMetric(similarity).compute(predictions=["a b"], references=["b c"])["token_f1"] == [
        0.5
    ]


def test_portuguese_words_stay_whole():
    said, reference = ["ação"], ["eço"]
    assert (
        ItemMetric(similarity).compute(predictions=said, references=reference)["rougeL"][0] == 0.5
    )
    assert (
        ItemMetric(similarity_unicode).compute(predictions=said, references=reference)[
            "rougeL_unicode"
        ][0]
        == 0.0
    )


def test_the_right_source_by_hand():
    said = [
        "It is oak. [2]",
        "It is oak. [2] [2]",
        "It is oak. [1]",
        "It is oak.",
        "It is oak. [2] [9]",
        "It is oak. [9]",
    ]
    assert cite(said, 2)["source_right"] == [1, 1, 0, 0, 0, 0]


def cite(answers: list[str], position: int) -> dict[str, list[float]]:
    """Score answers about the tray, whose record has this position."""
    metric = ItemMetric(citation, references="int32", records="string", questions="string")
    count = len(answers)
    return metric.compute(
        predictions=answers,
        references=[position] * count,
        records=[EVIDENCE] * count,
        questions=["What is the Muvoson Tray?"] * count,
    )


def test_a_citation_alone_or_with_the_questions_words_is_no_answer():
    said = ["[1]", "", " [1] .", "What is the Muvoson Tray? [1]", "A tray. [1]", "A kettle. [1]"]
    assert cite(said, 1) == {"right": [0] * 6, "source_right": [0] * 6}
    assert cite(["It is a tray of oak. [1]"], 1) == {"right": [1], "source_right": [1]}


def test_right_needs_each_number_and_name_in_the_cited_record_and_no_loop():
    said = [
        "The tray weighs 3 kg and is made by Ana Lopes. [1]",
        "The tray weighs 4 kg and is made of oak. [1]",
        "The tray is made of oak by Rui Lopes. [1]",
        "It is made of oak." + " It is made of oak." * 9 + " [1]",
        "The tray weighs 3 kg. [2]",
        "The tray weighs 3 kg.",
    ]
    assert cite(said, 1) == {"right": [1, 0, 0, 0, 0, 0], "source_right": [1, 1, 1, 1, 0, 0]}


def test_saying_that_it_is_absent_by_hand():
    absent = {"en": "The catalogue does not have {title}.", "pt": "O catálogo não tem {title}."}
    said = [
        "The catalogue does not have Dovenka Lamp.",
        "the catalogue does not have dovinka lamp",
        "O catálogo não tem Dovenka Lamp.",
        "O catalogo nao tem Dovenka Lamp!",
        "Sorry. The catalogue does not have Dovenka Lamp. [1]",
        "The catalogue does not have Rilato Kettle.",
        "Dovenka Lamp: oak. [1]",
        "The catalogue does not have",
        "",
    ]
    scores = ItemMetric(abstention).compute(
        predictions=said, references=["Dovenka Lamp"] * len(said), absent=absent
    )["says_absent"]
    assert scores == [1, 1, 1, 1, 1, 0, 0, 0, 0]
    ours = FORMAT_1["absent"]
    said = [
        "The catalogue has nothing by that name.",
        "the catalogue has nothing by that name",
        "The catalogue has it.",
        "Nao temos. [1]",
        "Não tem garantia",
        "",
    ]
    scores = ItemMetric(abstention).compute(
        predictions=said, references=["Dovenka Lamp"] * len(said), absent=ours
    )["says_absent"]
    assert scores == [1, 1, 0, 1, 0, 0]
    said = {
        "I found nothing called Dovenka Lamp in the catalogue.": 1,
        "I found nothing called Dovenka lmp in the catalogue.": 1,
        "Não encontrei nada chamado Dovenka Lamp no catálogo.": 1,
        "I found nothing called Rilato Kettle in the catalogue.": 0,
        "I found Dovenka Lamp in the catalogue.": 0,
    }
    scores = ItemMetric(abstention).compute(
        predictions=list(said),
        references=["Dovenka Lamp"] * len(said),
        absent=PromptTemplate().absent,
    )["says_absent"]
    assert scores == list(said.values())
    around = {"en": "Sorry, {title} is not sold here."}
    assert says_absent("Sorry, Dovenka Lamp is not sold here.", "Dovenka Lamp", around)
    assert not says_absent("Sorry, Dovenka Lamp is sold here.", "Dovenka Lamp", around)
    first = {"en": "{title} is not in the catalogue."}
    assert says_absent("Sorry. Dovenka Lamp is not in the catalogue. [1]", "Dovenka Lamp", first)
    assert not says_absent("Rilato Kettle is not in the catalogue.", "Dovenka Lamp", first)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("It weighs 511 g. [1]", 1),
        ("It weighs 511g [1].", 1),
        ("The tray weighs 511 grams. [1]", 1),
        ("It weighs 511 g.", 0),
        ("It weighs 511 g. [2]", 0),
        ("It weighs 511 g. [1] [2]", 0),
        ("It weighs 511 kg. [1]", 0),
        ("It weighs 511 g and 3 kg. [1]", 0),
        ("It weighs 511 g and is oak. [1]", 0),
        ("It weighs 1511 g. [1]", 0),
        ("Yes, it weighs 511 g. [1]", 0),
        ("[1]", 0),
        ("", 0),
    ],
)
def test_an_asked_value_is_right_alone_and_with_its_record(answer, right):
    question = "How heavy is the Dovenka Tray?"
    assert stated(answer, "It weighs 511 g. [1]", question, "511 g") == {"right": right}


@pytest.mark.parametrize(
    ("answer", "reference", "question", "expected", "right"),
    [
        ("No, it is made of walnut. [2]", "No, it is made of walnut. [2]", "oak?", "walnut", 1),
        ("No, it is walnut, not oak. [2]", "No, it is made of walnut. [2]", "oak?", "walnut", 1),
        ("Yes, it is made of walnut. [2]", "No, it is made of walnut. [2]", "oak?", "walnut", 0),
        ("It is walnut. [2]", "No, it is made of walnut. [2]", "oak?", "walnut", 0),
        ("Não, é de nogueira. [1]", "Não, é de nogueira. [1]", "", "nogueira", 1),
        ("It has twelve songs. [1]", "It has 12 tracks. [1]", "", "12", 1),
        ("It holds 1.8 litres. [1]", "It holds 1.8 litres. [1]", "", "1.8 litres", 1),
        ("It holds 1,8 l. [1]", "It holds 1.8 litres. [1]", "", "1.8 litres", 1),
        ("It holds 8 litres. [1]", "It holds 1.8 litres. [1]", "", "1.8 litres", 0),
        ("It is by Ada Bell. [1]", "It is by Ada Bell. [1]", "", "Ada Bell", 1),
        ("It is by Ada Bell and Tom Crane. [1]", "It is by Ada Bell. [1]", "", "Ada Bell", 0),
        (
            "Walnut Tray is heavier: 900 g against 511 g. [2] [1]",
            "Walnut Tray is heavier: 900 g against 511 g. [2] [1]",
            "Which is heavier, Oak Tray or Walnut Tray?",
            "Walnut Tray\n900 g\n511 g",
            1,
        ),
        (
            "Oak Tray is heavier: 900 g against 511 g. [2] [1]",
            "Walnut Tray is heavier: 900 g against 511 g. [2] [1]",
            "Which is heavier, Oak Tray or Walnut Tray?",
            "Walnut Tray\n900 g\n511 g",
            0,
        ),
    ],
)
def test_an_answer_to_a_yes_or_no_or_a_comparison(answer, reference, question, expected, right):
    assert stated(answer, reference, question, expected) == {"right": right}


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("The record does not say how heavy it is. [2]", 1),
        ("The weight is not mentioned. [2]", 1),
        ("O registro não diz quanto pesa. [2]", 1),
        ("It doesn't mention the weight. [2]", 1),
        ("The record does not say how heavy it is.", 0),
        ("The record does not say how heavy it is. [1]", 0),
        ("The record does not say, but it weighs 3 kg. [2]", 0),
        ("It weighs three kilos. [2]", 0),
        ("[2]", 0),
    ],
)
def test_what_is_not_stated_is_said_to_be_so(answer, right):
    reference = "The record does not say how heavy it is. [2]"
    assert unstated(answer, reference, "How heavy is it?") == {"right": right}
