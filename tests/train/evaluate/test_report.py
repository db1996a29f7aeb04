"""Findings in words: what the intervals show, losses included, and nothing else."""

import pytest

from space.evidence.files import read_scores
from space.evidence.findings import list_findings
from tests.scored import line, lines, metrics_of
from train.evaluate import report

REFERENCE = "the kettle is made of oak and it is blue"


def reported(metrics):
    """The findings to report of a run with this metrics.json."""
    return report.reported(list_findings(read_scores(metrics)))


def names(metrics, shots=0):
    return report.in_sentences(report.column_names(read_scores(metrics), shots))


def judged(samples, shots=0):
    """The findings of a run with these samples, by (set, metric, against), and what they say."""
    metrics = metrics_of(samples)
    found = {(each.set, each.metric, each.against): each for each in reported(metrics)}
    words = {key: report.sentence(each, names(metrics, shots)) for key, each in found.items()}
    return found, words, metrics


def test_better_worse_and_not_shown_are_what_the_intervals_say():
    found, words, metrics = judged(lines())
    better = found["seen", "rougeL", "base"]
    told = words["seen", "rougeL", "base"]
    change = metrics["seen"]["difference"]["rougeL"]
    assert better.outcome == "better" and "20 won, 0 tied, 0 lost" in told
    assert f"{change['mean']:+.3f}" in told and f"[{change['low']:+.3f}" in told
    even = found["seen", "rougeL", "retrieved"]
    assert even.outcome == "unclear" and words["seen", "rougeL", "retrieved"].startswith(
        "No difference to the first record found is shown in words shared with the right answer "
        "(ROUGE-L)"
    )
    found, words, _ = judged(lines("a vase"))
    assert found["seen", "rougeL", "retrieved"].outcome == "worse"
    assert words["seen", "rougeL", "base"].startswith(
        "Worse than the base in words shared with the right answer (ROUGE-L): 0.000 against"
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
    found, _, metrics = judged(samples)
    assert metrics["unseen"]["difference"]["invented_numbers"]["mean"] > 0.9
    assert found["unseen", "invented_numbers", "base"].outcome == "worse"
    assert "worse in invented numbers on unseen" in " ".join(
        report.lead(list(found.values()), names(metrics))
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
    _, words, metrics = judged(samples)
    change = metrics["seen"]["difference"]["rougeL"]
    assert change["low"] < 0 < change["high"] and change["needed"] > 33
    told = words["seen", "rougeL", "base"]
    assert f"would need about {change['needed']:,} items, and there were 33" in told


def test_one_item_shows_nothing():
    found, words, metrics = judged([line("seen", "u1", "a vase", REFERENCE)])
    assert {each.outcome for each in found.values()} == {"unclear"}
    assert words["seen", "rougeL", "base"] == (
        "One item shows nothing about words shared with the right answer (ROUGE-L) "
        "(1.000 against 0.000, the base)."
    )
    assert any("fewer than 30" in each for each in report.cautions(read_scores(metrics)))


def test_the_lead_names_every_other_column_and_hides_no_loss():
    samples = [*lines(), *lines("a vase", name="summary")]
    found, _, metrics = judged(samples)
    sentences = report.lead(list(found.values()), names(metrics))
    assert sentences[0].startswith(
        "Against the base, the tuned model is better on seen; worse on summary."
    )
    assert sentences[1].startswith(
        "Against the first record found, the tuned model is worse on summary; not shown to differ"
    )


def test_another_columns_win_on_what_comes_second_is_told_and_its_loss_left_out():
    columns = ("base", "few_shot", "retrieved", "tuned")
    samples = [each | {"few_shot": REFERENCE, "few_shot_loss": 1.5} for each in lines("12 vases")]
    metrics = metrics_of(samples, columns)
    words = [
        report.sentence(each, names(metrics, 3))
        for each in reported(metrics)
        if each.metric == "supported"
    ]
    assert any(
        each.startswith("Worse than the base with 3 examples in words that the record supports")
        for each in words
    )
    samples = [each | {"few_shot": "12 vases", "few_shot_loss": 1.5} for each in lines()]
    metrics = metrics_of(samples, columns)
    assert [each.against for each in reported(metrics) if each.metric == "supported"] == ["base"]


@pytest.mark.parametrize(
    ("reference", "said"), [("", ""), ("x", ""), ("", "x"), ("[1] !!", "[1] !!")]
)
def test_junk_is_told_of_without_an_error(reference, said):
    found, _, metrics = judged(
        [line("seen", f"u{place}", said, said, reference) for place in range(3)]
    )
    assert {each.outcome for each in found.values() if each.against == "base"} == {"unclear"}
    assert report.lead(list(found.values()), names(metrics))
    assert list(report.cautions(read_scores(metrics)))


def test_summaries_that_lost_support_are_worse_and_that_comes_first():
    """Of the text they share more words with the reference, and invent the others."""
    samples = [
        line(
            "summary",
            f"u{index}",
            "the kettle",
            f"{REFERENCE} 12 vases sold again cheaply",
            REFERENCE,
        )
        for index in range(30)
    ]
    found, words, metrics = judged(samples)
    assert metrics["summary"]["difference"]["rougeL"]["low"] > 0
    assert next(iter(found)) == ("summary", "supported", "base")
    assert words["summary", "supported", "base"].startswith("Worse than the base in words")
    assert report.lead(list(found.values()), names(metrics))[0].startswith(
        "Against the base, the tuned model is worse on summary."
    )
