"""What was scored is written down, and an adapter that changed afterwards is found out."""

import json
import math

import pytest

from tests.scored import lines, write_run
from train.config import EvaluateConfig
from train.evaluate.evaluation import evaluation_problems, evaluation_record
from train.evaluate.samples import ScoredItem
from train.run import Run


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "lamps", lines(count=3))


def test_a_run_as_it_was_scored_has_no_fault_and_its_card_may_change(run):
    (run / "adapter" / "README.md").write_text("another card")
    assert list(evaluation_problems(Run(run))) == []


@pytest.mark.parametrize(
    "name", ["adapter_model.safetensors", "adapter_config.json", "prompt.json", "tokenizer.json"]
)
def test_an_adapter_that_changed_after_it_was_scored_is_named(run, name):
    path = run / "adapter" / name
    path.write_bytes(path.read_bytes() + b" ")
    assert list(evaluation_problems(Run(run))) == [
        f"adapter/{name} was changed after the adapter was scored: run `python -m train "
        "evaluate` to score it again"
    ]
    path.unlink()
    assert "was changed" in next(evaluation_problems(Run(run)))


def test_scores_of_an_older_version_say_what_they_lack(run):
    metrics = json.loads((run / "metrics.json").read_text())
    for scores in metrics.values():
        del scores["against"]
        for change in scores["difference"].values():
            del change["needed"]
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert list(evaluation_problems(Run(run))) == [
        "metrics.json is of an older version, without against, needed: run `python -m "
        "train evaluate` to score it again"
    ]
    (run / "evaluation.json").write_text('{"version": 0}')
    assert next(evaluation_problems(Run(run))).startswith(
        "evaluation.json is of version 0, this reads 1: run"
    )
    (run / "evaluation.json").write_text("{cut")
    assert "cannot be read" in next(evaluation_problems(Run(run)))
    (run / "evaluation.json").unlink()
    assert next(evaluation_problems(Run(run))).startswith(
        "evaluation.json is missing: run `python -m train evaluate`"
    )


def test_scores_that_are_no_numbers_are_not_read(run):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["seen"]["tuned"]["loss"] = math.nan
    (run / "metrics.json").write_text(json.dumps(metrics))
    assert list(evaluation_problems(Run(run))) == [
        "evaluation.json or metrics.json cannot be read (NaN is not JSON): run `python -m "
        "train evaluate` to score it again"
    ]


@pytest.mark.parametrize("name", ["evaluation.json", "metrics.json"])
@pytest.mark.parametrize(
    "text",
    ["[]", "3", "null", '{"version": 1}', '{"seen": 3}', '{"seen": {"difference": {"loss": []}}}'],
)
def test_files_of_another_shape_are_refused_in_words(run, name, text):
    (run / name).write_text(text)
    found = list(evaluation_problems(Run(run)))
    assert found and all(
        "run `python -m train evaluate` to score it again" in each for each in found
    )


def test_the_fingerprint_is_of_all_that_was_asked(run):
    def items(samples):
        scored = [ScoredItem.from_json(each) for each in samples]
        return evaluation_record(Run(run), EvaluateConfig(), scored, {})["items"]

    same = items(lines(count=3))
    assert same == items(lines("another answer", 3))
    assert same != items(lines(count=2)) and same != items(
        [each | {"sources": ["s"]} for each in lines(count=3)]
    )
