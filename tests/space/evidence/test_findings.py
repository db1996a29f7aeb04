"""Findings: what the interval of each difference shows, for every column and metric."""

from space.evidence.findings import (
    COLUMNS,
    JUDGED,
    METRICS,
    OUTCOMES,
    SETS,
    Change,
    Scores,
    list_findings,
    metric_key,
)
from space.texts import TEXTS
from tests.evidence import set_scores


def outcome(each: Scores, metric: str) -> str:
    (found,) = (
        one for one in list_findings([each]) if (one.metric, one.against) == (metric, "base")
    )
    return found.outcome


def test_better_worse_and_not_shown_are_what_the_interval_says():
    assert outcome(set_scores(low=0.1, high=0.3), "rougeL") == "better"
    assert outcome(set_scores(tuned=0.1, low=-0.4, high=-0.2), "rougeL") == "worse"
    assert (
        outcome(set_scores(low=-0.1, high=0.4), "rougeL")
        == "unclear"
        == outcome(set_scores(), "rougeL")
    )
    more_invented = set_scores(metric="invented_numbers", base=0.1, tuned=0.5, low=0.3, high=0.5)
    assert outcome(more_invented, "invented_numbers") == "worse"


def test_every_other_column_is_compared_on_every_metric_that_both_have():
    means = {
        "base": {"rougeL": 0.2, "loss": 2.0},
        "retrieved": {"rougeL": 0.9},
        "tuned": {"rougeL": 0.6, "loss": 1.0, "token_f1": 0.5},
    }
    changes = {
        "base": {"rougeL": Change(0.4, 0.3, 0.5, 8, 1, 1, 5)},
        "retrieved": {"rougeL": Change(-0.3, -0.4, -0.2, 0, 1, 9, 7)},
    }
    found = list_findings([Scores("seen", 10, means, changes)])
    assert [(each.metric, each.against, each.outcome) for each in found] == [
        ("rougeL", "base", "better"),
        ("rougeL", "retrieved", "worse"),
        ("loss", "base", "unclear"),
    ]
    assert found[0].values == {"base": 0.2, "retrieved": 0.9, "tuned": 0.6}
    assert found[0].principal and found[0].judged and found[0].change.needed == 5
    assert not found[2].judged and found[2].change == Change(-1.0), "means alone have no interval"
    assert {each.items for each in found} == {10} and {each.column for each in found} == {"tuned"}


def test_every_set_and_measure_has_words_in_both_languages():
    keys = [key for pair in SETS.values() for key in pair]
    keys += [*METRICS.values(), *COLUMNS.values(), *OUTCOMES.values()]
    keys += [metric_key(name, metric) for name in SETS for metric in METRICS]
    assert set(SETS) == set(JUDGED) and set(keys) <= set(TEXTS)
    assert {metric for metrics in JUDGED.values() for metric in metrics} <= set(METRICS)


def test_an_older_adapter_is_judged_by_the_first_metric_that_it_has():
    change = {"base": {"rougeL": Change(0.4, 0.3, 0.5), "right": Change(0.5, 0.4, 0.6)}}
    old = {"base": {"rougeL": 0.2}, "tuned": {"rougeL": 0.6}}
    new = {"base": {"rougeL": 0.2, "right": 0.0}, "tuned": {"rougeL": 0.6, "right": 0.5}}
    for means, metric in ((old, "rougeL"), (new, "right")):
        found = list_findings([Scores("grounded", 10, means, change)])
        assert [each.metric for each in found if each.principal] == [metric]


def test_summaries_that_lost_support_are_worse_whatever_words_they_share():
    more = Change(0.2, 0.1, 0.3)
    for fell, principal, outcome in (
        (Change(-0.3, -0.4, -0.2), "supported", "worse"),
        (Change(-0.1, -0.3, 0.1), "rougeL", "better"),
    ):
        means = {
            "base": {"rougeL": 0.2, "supported": 0.9},
            "retrieved": {"rougeL": 0.2, "supported": 1.0},
            "tuned": {"rougeL": 0.4, "supported": 0.6},
        }
        changes = {name: {"rougeL": more, "supported": fell} for name in ("base", "retrieved")}
        found = list_findings([Scores("summary", 40, means, changes)])
        told = [each for each in found if each.principal]
        assert [
            (each.against, each.metric, each.outcome) for each in told if each.against == "base"
        ] == [("base", principal, outcome)]
        assert [each.metric for each in told if each.against == "retrieved"] == ["rougeL"]
