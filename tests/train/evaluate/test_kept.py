"""The instructions that a base can obey: their rules, their order, and where they are scored."""

import math

import pytest

from space.catalogue import detect_language
from tests.scored import line, lines, metrics_of, scored
from train.evaluate import page, report
from train.evaluate.kept import INSTRUCTIONS, KEPT, kept, kept_examples

COLUMNS = ("base", "retrieved", "tuned")


def instruction_line(uid: str, question: str, base: str, tuned: str) -> dict:
    """A line of samples.jsonl of an instruction, which only the models answer."""
    found = line(KEPT, uid, base, tuned, "reference") | {"question": question, "evidence": ""}
    del found["retrieved"]
    return found


def test_there_are_sixty_and_each_reference_obeys_its_rule():
    assert len({each.text for each in INSTRUCTIONS}) == len(INSTRUCTIONS) == 60
    for each in INSTRUCTIONS:
        assert kept(each.reference, each.text) == {"kept": 1.0}, each.text
        for wrong in ("", each.text, "The lamp is made of oak and weighs 350 g. [1]"):
            assert kept(wrong, each.text) == {"kept": 0.0}, (each.text, wrong)


@pytest.mark.parametrize(
    ("question", "answer", "obeyed"),
    [
        ("What is 2 + 3?", "2 + 3 = 5", 1),
        ("What is 2 + 3?", "The sum is 5.", 1),
        ("What is 2 + 3?", "2 + 3 = 55", 0),
        ("What is 7 + 5?", "7 + 5 is 2.", 0),
        ("Is fire cold? Answer yes or no.", "No, it is hot.", 1),
        ("Is fire cold? Answer yes or no.", "Nothing is.", 0),
        ("Name three planets.", "1. Mars\n2. Venus\n3. Earth", 1),
        ("Name three planets.", "Mars, Mars and mars.", 0),
        ("Qual é a capital da França?", "É PARIS.", 1),
        ("Repita a palavra lua.", "Repita a palavra lua.", 0),
    ],
)
def test_a_rule_by_hand(question, answer, obeyed):
    assert kept(answer, question) == {"kept": obeyed}
    assert math.isnan(kept(answer, "Of another version?")["kept"])


def test_any_first_few_have_both_languages():
    assert INSTRUCTIONS[3].text == "Quanto é 3 + 4?"
    few = kept_examples(8)
    assert len(few) == 8 and len(kept_examples(200)) == 60
    assert sum(each.text.startswith("Q") for each in few) == 2
    assert all(each.task == "describe" and not each.context for each in few)
    assert detect_language("Quanto é 3 + 4?") == "pt"


def test_they_are_counted_and_compared_with_the_base_alone():
    samples = lines(count=4)
    for index, each in enumerate(INSTRUCTIONS[:4]):
        tuned = each.reference if index < 3 else "It is oak. [1]"
        samples.append(instruction_line(f"kept-{index}", each.text, each.reference, tuned))
    metrics = metrics_of(samples, COLUMNS)
    assert metrics[KEPT]["base"]["kept"] == 1.0 and metrics[KEPT]["tuned"]["kept"] == 0.75
    assert metrics[KEPT]["against"] == {} and "rougeL" not in metrics[KEPT]["tuned"]
    rows = report.score_rows(metrics, 0)
    assert [KEPT, "4", "kept", "4 of 4", "", "3 of 4"] in [row[:6] for row in rows]
    assert "Kept on kept: base 4 of 4, tuned 3 of 4." in report.describe_scores(metrics, 0)
    best, worst = page.extreme_pairs(scored(samples), "base", "tuned")
    assert {pair.item.set for pair in [*best, *worst]} == {"seen"}
