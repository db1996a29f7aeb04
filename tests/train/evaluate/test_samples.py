"""samples.jsonl: its lines are read and written alike, and metrics.json is made of them."""

import json
import math
from statistics import fmean

import pytest

from tests.toy import TOY
from train.evaluate.samples import ScoredItem
from train.evaluate.statistics import compute_metrics


@pytest.fixture(scope="module")
def texts():
    return (TOY / "samples.jsonl").read_text(encoding="utf-8").splitlines()


def test_a_line_is_written_as_it_was_read(texts):
    for text in texts:
        line = ScoredItem.from_json(json.loads(text)).to_json()
        assert json.dumps(line, ensure_ascii=False) == text


def test_metrics_are_recomputed_from_the_samples_alone(texts):
    """By hand: the mean of the scores, to the four digits that metrics.json has."""
    metrics = json.loads((TOY / "metrics.json").read_text(encoding="utf-8"))
    lines = [json.loads(text) for text in texts]
    for name, told in metrics.items():
        members = [line for line in lines if line["set"] == name]
        assert len(members) == told["n"]
        for column in ("base", "few_shot", "retrieved", "tuned"):
            scores = [line["scores"][column] for line in members]
            for metric, mean in told[column].items():
                if metric == "tokens_per_second":
                    continue
                source = "loss" if metric == "perplexity" else metric
                value = fmean([each[source] for each in scores if source in each])
                value = math.exp(value) if metric == "perplexity" else value
                assert mean == pytest.approx(value, abs=1e-4), (name, column, metric)
            assert {metric for each in scores for metric in each} <= set(told[column])


def test_the_committed_metrics_are_what_the_committed_samples_give(texts):
    items = [ScoredItem.from_json(json.loads(text)) for text in texts]
    metrics = json.loads((TOY / "metrics.json").read_text(encoding="utf-8"))
    del metrics["summary"]["references"]
    assert compute_metrics(items, ["base", "few_shot", "retrieved", "tuned"]) == metrics
