"""Scores: worked by hand, recomputed from the samples, kept, and never flattering."""

import json
import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from space.model.base import load_base
from space.model.prompt_template import PromptTemplate
from tests.scored import metrics_of
from train.__main__ import main
from train.evaluate import report
from train.evaluate import score as evaluate


def test_a_citation_becomes_a_uid_or_nothing():
    assert evaluate.cited("so [2], and [1] but [4], [0]", ["a", "b"]) == ["b", "a", None, None]
    assert evaluate.cited("so", ["a"]) == []


def line(name, base, tuned, reference="the kettle is blue", **more):
    return {
        "set": name,
        "base": base,
        "tuned": tuned,
        "reference": reference,
        "base_loss": 2.0,
        "tuned_loss": 1.0,
    } | more


def test_metrics_can_be_recomputed_from_the_samples():
    lines = [
        line("seen", "a lamp", "the kettle is blue"),
        line("seen", "the kettle", "the kettle is blue"),
        line("unseen", "a lamp", "a lamp", reference="o relógio é de aço e não para"),
    ]
    metrics = metrics_of(lines, ["base", "tuned"])
    assert metrics["seen"]["n"] == 2
    assert metrics["seen"]["tuned"]["rougeL"] == 1.0
    assert metrics["seen"]["base"]["token_f1"] == round((0 + 2 * 2 / 6) / 2, 4)
    assert metrics["seen"]["difference"]["loss"] == {
        "mean": -1.0,
        "low": -1.0,
        "high": -1.0,
        "wins": 2,
        "ties": 0,
        "losses": 0,
        "needed": 2,
    }
    assert (
        "rougeL_unicode" in metrics["unseen"]["tuned"]
        and "rougeL_unicode" not in metrics["seen"]["tuned"]
    )


def test_only_questions_with_records_have_sources_to_be_right():
    records = {
        "sources": ["a", "b"],
        "uid": "b",
        "title": "Blue Kettle",
        "evidence": "Red Lamp: It is red and of 7 pages.\nBlue Kettle: It is blue.",
    }
    lines = [
        line("grounded", "It has 7 pages, blue. [1]", "It is blue. [2]", **records),
        line(
            "grounded",
            "It is blue. [2]",
            "I found nothing called Blue Kettle in the catalogue.",
            **records,
        ),
        line(
            "absent",
            "It is blue. [1]",
            "I found nothing called Red Kettle in the catalogue.",
            **records | {"title": "Red Kettle"},
        ),
        line("seen", "It is blue.", "It is blue."),
    ]
    metrics = metrics_of(lines, ["base", "tuned"])
    assert (
        metrics["grounded"]["base"]["source_right"]
        == metrics["grounded"]["tuned"]["source_right"]
        == 0.5
    )
    assert (
        metrics["grounded"]["tuned"]["says_absent"] == 0.5
        and metrics["grounded"]["base"]["says_absent"] == 0
    )
    assert metrics["absent"]["difference"]["says_absent"]["mean"] == 1.0
    assert metrics["grounded"]["tuned"]["right"] == 0.5, "each record is a line of the evidence"
    assert metrics["absent"]["tuned"]["right"] == 1.0
    assert (
        "source_right" not in metrics["absent"]["tuned"]
        and "says_absent" not in metrics["seen"]["tuned"]
    )
    other = metrics_of(lines, ["base", "tuned"], PromptTemplate(absent={"en": "We lack {title}."}))
    assert other["absent"]["tuned"]["says_absent"] == 0
    text = report.as_text(report.score_rows(metrics, 3))
    assert "source_right" in text and "says_absent" in text
    assert ["grounded", "2", "right", "1 of 2", "1 of 2"] in [
        row[:5] for row in report.score_rows(metrics, 3)
    ]
    assert report.describe_scores(metrics, 3).startswith(
        "Right on grounded: base 1 of 2, tuned 1 of 2.\n"
    )


def test_a_difference_that_may_be_nothing_is_called_that():
    lines = [line("seen", "the kettle", "a lamp"), line("seen", "a lamp", "the kettle")]
    text = report.as_text(report.score_rows(metrics_of(lines, ["base", "tuned"]), 3))
    assert "no difference shown" in text and "seen" in text
    loss = next(row for row in text.splitlines() if "loss" in row)
    assert "no difference shown" not in loss and "-1.000" in loss


def test_reference_loss_is_the_models_own(pair, tiny_base):
    prompt, answer = [0, 7, 8, 9], [20, 21, 22, 1]
    rows = [
        {"input_ids": prompt + answer, "labels": [-100] * 4 + answer},
        {"input_ids": [0, *answer], "labels": [-100, *answer]},
    ]
    losses = evaluate.reference_losses(pair, rows, tuned=False)
    untouched = load_base(str(tiny_base))[0]
    for row, loss in zip(rows, losses, strict=True):
        with torch.no_grad():
            alone = untouched(
                input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])
            ).loss
        assert loss == pytest.approx(alone.item(), rel=0.02)
    assert evaluate.reference_losses(pair, rows, tuned=True) != losses


def test_the_answer_to_an_item_does_not_depend_on_its_batch(pair):
    """Near the window an answer has less room, and that of a shorter prompt beside it has not."""
    answer = [20, 21, 22, 1]
    rows = []
    for length in (8, pair.window - 10, 12, pair.window - 6):
        prompt = [0, *(7 + place % 5 for place in range(length - 1))]
        labels = [-100] * length + answer
        rows.append({"input_ids": prompt + answer, "labels": labels, "length": length + 4})
    limits = evaluate.answer_limits(pair, rows)
    assert limits == [4 + evaluate.MARGIN, 10, 4 + evaluate.MARGIN, 6]
    jobs = [
        evaluate.Job("seen", str(place), row, limit, "")
        for place, (row, limit) in enumerate(zip(rows, limits, strict=True))
    ]
    together, alone = {}, {}
    for batch in evaluate.batches(jobs, 8):
        together |= {line["uid"]: line for line in evaluate.generate(pair, batch, tuned=False)}
    for job in jobs:
        (alone[job.uid],) = evaluate.generate(pair, [job], tuned=False)
    for uid, line in alone.items():
        for name in ("said", "tokens", "ended"):
            assert together[uid][name] == line[name], (uid, name)
    assert max(line["tokens"] for line in alone.values()) > 10, "an answer that has room takes it"


def scored(uid, **changed):
    return json.dumps(
        {
            "set": "seen",
            "uid": uid,
            "said": "x",
            "loss": 1.5,
            "tokens": 1,
            "ended": True,
            "seconds": 0.1,
            "prompt": "p",
            "fingerprint": "f",
        }
        | changed
    )


@pytest.mark.parametrize("torn", [b'{"set": "se', '{"set": "seen", "said": "é'.encode()[:-1], b""])
def test_a_line_cut_by_a_kill_is_scored_again(tmp_path, torn):
    path = tmp_path / "base.jsonl"
    path.write_bytes(scored("1").encode() + b"\n" + torn)
    assert list(evaluate._read_kept(path)) == [("seen", "1")]


def test_a_loss_that_is_no_number_is_scored_again(tmp_path):
    path = tmp_path / "tuned.jsonl"
    path.write_text(
        "\n".join([scored("1", loss=math.nan), scored("2", loss=math.inf), scored("3")])
    )
    assert list(evaluate._read_kept(path)) == [("seen", "3")]


def test_lines_of_another_shape_are_scored_again(tmp_path):
    path = tmp_path / "tuned.jsonl"
    path.write_text(
        "\n".join(
            [
                "3",
                "[]",
                "null",
                '"x"',
                "{}",
                '{"set": "seen", "uid": "1", "fingerprint": "f"}',
                scored("2", loss=None),
                scored(["3"]),
                scored("4"),
            ]
        )
    )
    assert list(evaluate._read_kept(path)) == [("seen", "4")]


def test_what_a_run_beside_this_one_scored_of_the_base_is_taken_from_there(
    tmp_path, tuned_run, monkeypatch
):
    """For the same base, data and wording; never of a tuned model."""
    one = shutil.copytree(tuned_run, tmp_path / "one")
    other = shutil.copytree(tuned_run, tmp_path / "other", ignore=shutil.ignore_patterns("scores"))
    (tmp_path / "theirs" / "scores").mkdir(parents=True)
    (tmp_path / "theirs" / "scores" / "base.jsonl").write_text("3\n")
    score, asked = evaluate.generate, []
    monkeypatch.setattr(
        evaluate,
        "generate",
        lambda pair, batch, tuned: asked.append(tuned) or score(pair, batch, tuned),
    )
    assert main(["evaluate", "--run", str(other), "--items", "3", "--shots", "1"]) == 0
    assert set(asked) == {True}
    for column in ("base", "few_shot"):
        ours, theirs = (
            evaluate._read_kept(run / "scores" / f"{column}.jsonl") for run in (other, one)
        )
        assert ours == theirs and ours


def test_weights_that_overflow_get_no_scores(tmp_path, tuned_run, capsys):
    run = tmp_path / "shop"
    shutil.copytree(tuned_run, run)
    weights = load_file(run / "adapter/adapter_model.safetensors")
    save_file(
        {name: torch.full_like(weight, 1e38) for name, weight in weights.items()},
        run / "adapter/adapter_model.safetensors",
    )
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["evaluate", "--run", str(run), "--items", "3", "--shots", "1"]) == 1
    error = next(line for line in capsys.readouterr().err.splitlines() if "error: " in line)
    assert (
        "error: the tuned model's loss is NaN or infinite on 3 of 3 references of" in error
        and "train it again with a lower --learning-rate, in another --run" in error
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
