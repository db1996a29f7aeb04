"""The verdict: made of the numbers and their intervals, worst news included, and nothing that they do not show."""

import pytest

from tests.scored import COLUMNS, line, lines
from train.evaluate import findings as verdict
from train.evaluate import statistics

REFERENCE = "the kettle is made of oak and it is blue"


def judged(samples, shots=0):
    """The findings of a run with these samples, by (set, metric, against)."""
    metrics = statistics.metrics(samples, COLUMNS)
    return {
        (each.set, each.metric, each.against): each for each in verdict.findings(metrics, shots)
    }, metrics


def test_better_worse_and_not_shown_are_what_the_intervals_say():
    found, metrics = judged(lines())
    better = found["seen", "rougeL", "the base"]
    change = metrics["seen"]["difference"]["rougeL"]
    assert better.outcome == "better" and "20 won, 0 tied, 0 lost" in better.words
    assert f"{change['mean']:+.3f}" in better.words and f"[{change['low']:+.3f}" in better.words
    even = found["seen", "rougeL", "the first record found"]
    assert even.outcome == "not shown" and even.words.startswith(
        "No difference to the first record found is shown in ROUGE-L"
    )
    found, _ = judged(lines("a vase"))
    assert found["seen", "rougeL", "the first record found"].outcome == "worse"
    assert found["seen", "rougeL", "the base"].words.startswith(
        "Worse than the base in ROUGE-L: 0.000 against"
    )


def test_more_of_what_is_bad_is_worse():
    samples = [
        line(
            "unseen",
            f"u{place}",
            "the kettle is made of oak",
            "the kettle of 12 Ana Lamps",
            REFERENCE,
        )
        for place in range(30)
    ]
    found, metrics = judged(samples)
    assert metrics["unseen"]["difference"]["invented_numbers"]["mean"] > 0.9
    assert found["unseen", "invented_numbers", "the base"].outcome == "worse"
    assert "worse in the share of numbers that are invented on unseen" in " ".join(
        verdict.lead(list(found.values()))
    )


def test_a_difference_that_may_be_chance_says_how_many_items_it_needs():
    samples = [
        line(
            "seen",
            f"u{place}",
            *(("a vase", REFERENCE) if place % 11 < 6 else (REFERENCE, "a vase")),
        )
        for place in range(33)
    ]
    found, metrics = judged(samples)
    change = metrics["seen"]["difference"]["rougeL"]
    assert change["low"] < 0 < change["high"] and change["needed"] > 33
    words = found["seen", "rougeL", "the base"].words
    assert f"would need about {change['needed']:,} items, and there were 33" in words


def test_one_item_shows_nothing():
    found, metrics = judged([line("seen", "u1", "a vase", REFERENCE)])
    assert {each.outcome for each in found.values()} == {"not shown"}
    assert (
        found["seen", "rougeL", "the base"].words
        == "One item shows nothing about ROUGE-L (1.000 against 0.000, the base)."
    )
    assert any("fewer than 30" in each for each in verdict.cautions(metrics))


def test_the_lead_names_every_other_column_and_hides_no_loss():
    samples = [*lines(), *lines("a vase", name="summary")]
    found, _ = judged(samples)
    sentences = verdict.lead(list(found.values()))
    assert sentences[0].startswith(
        "Against the base, the tuned model is better on seen; worse on summary."
    )
    assert sentences[1].startswith(
        "Against the first record found, the tuned model is worse on summary; not shown to differ"
    )


def test_another_columns_win_on_what_comes_second_is_told_and_its_loss_left_out():
    samples = [each | {"few_shot": REFERENCE, "few_shot_loss": 1.5} for each in lines("12 vases")]
    metrics = statistics.metrics(samples, ("base", "few_shot", "retrieved", "tuned"))
    words = [each.words for each in verdict.findings(metrics, 3) if each.metric == "supported"]
    assert any(
        each.startswith("Worse than the base with 3 worked examples in the share of words")
        for each in words
    )
    samples = [each | {"few_shot": "12 vases", "few_shot_loss": 1.5} for each in lines()]
    metrics = statistics.metrics(samples, ("base", "few_shot", "retrieved", "tuned"))
    assert [
        each.against for each in verdict.findings(metrics, 3) if each.metric == "supported"
    ] == ["the base"]


@pytest.mark.parametrize(
    ("reference", "said"), [("", ""), ("x", ""), ("", "x"), ("[1] !!", "[1] !!")]
)
def test_junk_is_told_of_without_an_error(reference, said):
    found, metrics = judged(
        [line("seen", f"u{place}", said, said, reference) for place in range(3)]
    )
    assert {each.outcome for each in found.values() if each.against == "the base"} == {"not shown"}
    assert verdict.lead(list(found.values()))
    assert list(verdict.cautions(metrics))
