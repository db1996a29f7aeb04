"""Differences: intervals, wins and the items that one needs, by hand and by simulation."""

import json
import math

import numpy as np
import pytest
from sacrebleu import sentence_bleu, sentence_chrf

from space.evidence.findings import Change, less_is_better
from space.model.prompt_template import PromptTemplate
from tests.scored import metrics_of
from train.evaluate import report, statistics
from train.evaluate.metrics import ItemMetric, similarity


def test_bleu_and_chrf_are_sacrebleus_digit_for_digit():
    said = ["the kettle is blue and made of oak", "nothing alike", "", "ação de graças"]
    references = [
        "the kettle is made of blue oak",
        "wholly other words",
        "not empty",
        "acção de graças",
    ]
    for name, theirs in (("bleu", sentence_bleu), ("chrf", sentence_chrf)):
        ours = ItemMetric(similarity).compute(predictions=said, references=references)[name]
        assert ours == [
            theirs(one, [other]).score / 100 for one, other in zip(said, references, strict=True)
        ]


def test_the_interval_is_the_paired_bootstraps():
    ours, theirs = np.array([0.1, 0.2, 0.3, 0.4, math.nan]), np.zeros(5)
    change = statistics.difference("rougeL", theirs, ours)
    assert change.mean == 0.25 and 0.1 <= change.low < 0.25 < change.high <= 0.4
    spread = 1.96 * ours[:4].std() / 2
    assert change.high - change.low == pytest.approx(2 * spread, abs=0.05)
    assert statistics.difference("rougeL", theirs, ours) == change, "the same draws always"


def test_an_interval_covers_the_truth_as_often_as_it_says():
    generator, covered = np.random.default_rng(3), 0
    for _ in range(200):
        change = statistics.difference("rougeL", np.zeros(60), generator.normal(0.2, 1, 60))
        covered += change.low <= 0.2 <= change.high
    assert 180 <= covered <= 199


def test_wins_ties_and_losses_know_which_way_is_better():
    theirs, ours = np.array([1.0, 1, 1, 1]), np.array([2.0, 1, 0, 0])
    more, less = (statistics.difference("x", theirs, ours, less) for less in (False, True))
    assert (more.wins, more.ties, more.losses) == (1, 1, 2)
    assert (less.wins, less.ties, less.losses) == (2, 1, 1)
    neither = statistics.difference("x", theirs, ours, None)
    assert (neither.wins, neither.ties, neither.losses) == (None, 1, None)
    assert less_is_better("grounded", "says_absent") and not less_is_better("absent", "says_absent")
    assert less_is_better("seen", "loss") and less_is_better("seen", "length_ratio") is None


def test_the_items_that_a_difference_needs():
    # Mean 1, standard deviation 2: (2.8 * 2) squared is 31.36.
    assert statistics.needed(np.array([1 + math.sqrt(3), 1 - math.sqrt(3)] * 2)) == 32
    assert (
        statistics.needed(np.array([1.0, -1.0])) is None
        and statistics.needed(np.array([1.0])) is None
    )
    rounded = np.array([0.1, 0.2, -0.3])
    assert rounded.mean() and statistics.needed(rounded) is None, (
        "what the order of sums leaves is no difference"
    )


def test_one_item_claims_no_interval():
    change = statistics.difference("rougeL", np.array([0.1]), np.array([0.3]))
    assert (change.mean, change.low, change.high, change.needed) == (
        0.2,
        None,
        None,
        None,
    )
    assert not change.shown and "no interval" in report.difference_words(change)


def line(name, base, tuned, **more):
    return {
        "set": name,
        "question": "What is the kettle?",
        "base": base,
        "tuned": tuned,
        "reference": "the kettle is blue",
        "base_loss": 2.0,
        "tuned_loss": 1.0,
    } | more


def test_a_perplexity_is_that_of_all_items_together():
    lines = [line("seen", "a", "b", tuned_loss=0.0), line("seen", "a", "b", tuned_loss=2.0)]
    scores = metrics_of(lines, ["base", "tuned"])["seen"]
    assert scores["tuned"]["perplexity"] == round(math.e, 4) and scores["base"][
        "perplexity"
    ] == round(math.e**2, 4)
    change = scores["difference"]["perplexity"]
    assert (
        change["mean"] == round(math.e - math.e**2, 4)
        and change["low"] <= change["mean"] <= change["high"]
    )


def test_every_measure_has_its_place_and_a_column_without_a_model_no_loss():
    models = {
        f"{column}_{what}": value
        for column in ("base", "tuned")
        for what, value in (("tokens", 10), ("ended", column == "tuned"), ("seconds", 0.5))
    }
    lines = [
        line(
            "seen",
            "the kettle",
            "the kettle is blue",
            retrieved="blue",
            evidence="kettle: it is blue",
            **models,
        )
    ] * 3
    scores = metrics_of(lines, ["base", "retrieved", "tuned"], PromptTemplate())["seen"]
    assert set(scores["tuned"]) == {
        "rouge1",
        "rouge2",
        "rougeL",
        "bleu",
        "chrf",
        "token_f1",
        "length_ratio",
        "repetition",
        "supported",
        "ended",
        "loss",
        "invented_numbers",
        "invented_names",
        "contradicted",
        "copied_run",
        "perplexity",
        "tokens_per_second",
    }
    assert (
        scores["tuned"]["ended"] == 1
        and scores["base"]["ended"] == 0
        and scores["tuned"]["tokens_per_second"] == 20
    )
    assert not {"loss", "ended", "tokens_per_second"} & set(scores["retrieved"])
    assert (
        scores["against"]["retrieved"]["rougeL"]["mean"] > 0
        and "loss" not in scores["against"]["retrieved"]
    )


@pytest.mark.parametrize(
    ("said", "reference"),
    [("", ""), ("", "x"), ("x", ""), ("same", "same"), ("[1] !!", "\u200b"), ("é", "?")],
)
def test_empty_and_junk_texts_have_a_number_or_none_and_never_an_error(said, reference):
    lines = [line("seen", said, said, reference=reference, evidence=reference or "x")] * 2
    scores = metrics_of(lines, ["base", "tuned"])["seen"]["tuned"]
    assert all(value is None or math.isfinite(value) for value in scores.values())


@pytest.mark.parametrize(
    "losses", [(math.nan, 1.0), (math.inf, 1.0), (math.nan, math.nan), (5000.0, 1.0)]
)
def test_a_loss_that_is_no_number_is_no_score_and_json_can_say_the_rest(losses):
    lines = [line("seen", "a", "b", tuned_loss=loss) for loss in losses]
    scores = metrics_of(lines, ["base", "tuned"])["seen"]
    json.loads(json.dumps(scores, allow_nan=False))
    finite = all(map(math.isfinite, losses))
    assert ("loss" in scores["tuned"]) == (
        "perplexity" in scores["difference"]
    ) == finite and "loss" in scores["base"]
    assert "nan" not in report.as_text(report.score_rows({"seen": scores}, 3))


def test_an_interval_of_no_numbers_shows_nothing():
    assert not Change(0.0, math.nan, math.nan).shown
    assert not Change(0.0, -math.inf, math.inf).shown and Change(0.15, 0.1, 0.2).shown
