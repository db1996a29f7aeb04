"""Scores: worked by hand, recomputed from the samples, kept, and never flattering."""

import json
import math
import shutil

import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer
from safetensors.torch import load_file, save_file

from space.model.base import load_base
from space.model.prompt_template import PromptTemplate
from train.__main__ import main
from train.evaluate import score as evaluate
from train.evaluate import statistics
from train.evaluate import tables as report
from train.evaluate.metrics import (
    Rouge,
    SaysAbsent,
    SourceRight,
    TokenF1,
    UnicodeRouge,
    says_absent,
    token_f1,
)


def test_rouge_is_rouge_scores_own_digit_for_digit():
    said = ["the kettle is blue and made of oak", "nothing alike", ""]
    references = ["the kettle is made of blue oak", "wholly other words", "not empty"]
    ours = Rouge().compute(predictions=said, references=references)
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=False)
    for place, (answer, reference) in enumerate(zip(said, references, strict=True)):
        theirs = scorer.score(reference, answer)
        assert {name: ours[name][place] for name in ours} == {
            name: theirs[name].fmeasure for name in theirs
        }


def test_rouge_l_by_hand():
    # Longest common subsequence "a c d": precision 3/4, recall 3/3.
    score = Rouge().compute(predictions=["a b c d"], references=["a c d"])["rougeL"][0]
    assert score == pytest.approx(2 * 0.75 * 1 / 1.75)


def test_token_f1_by_hand():
    assert token_f1("The Kettle, the!", "the kettle") == pytest.approx(2 * 2 / 5)
    assert token_f1("ação", "Acao") == 1.0
    assert token_f1("", "x") == 0.0
    assert TokenF1().compute(predictions=["a b"], references=["b c"])["token_f1"] == [0.5]


def test_portuguese_words_stay_whole():
    said, reference = ["ação"], ["eço"]
    assert Rouge().compute(predictions=said, references=reference)["rougeL"][0] == 0.5
    assert (
        UnicodeRouge().compute(predictions=said, references=reference)["rougeL_unicode"][0] == 0.0
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
    scores = SourceRight().compute(predictions=said, references=[2] * len(said))["source_right"]
    assert scores == [1, 1, 0, 0, 0, 0]


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
    scores = SaysAbsent().compute(
        predictions=said, references=["Dovenka Lamp"] * len(said), absent=absent
    )["says_absent"]
    assert scores == [1, 1, 1, 1, 1, 0, 0, 0, 0]
    ours = PromptTemplate().absent
    said = [
        "The catalogue has nothing by that name.",
        "the catalogue has nothing by that name",
        "The catalogue has it.",
        "Nao temos. [1]",
        "Não tem garantia",
        "",
    ]
    scores = SaysAbsent().compute(
        predictions=said, references=["Dovenka Lamp"] * len(said), absent=ours
    )["says_absent"]
    assert scores == [1, 1, 0, 1, 0, 0]
    around = {"en": "Sorry, {title} is not sold here."}
    assert says_absent("Sorry, Dovenka Lamp is not sold here.", "Dovenka Lamp", around)
    assert not says_absent("Sorry, Dovenka Lamp is sold here.", "Dovenka Lamp", around)
    first = {"en": "{title} is not in the catalogue."}
    assert says_absent("Sorry. Dovenka Lamp is not in the catalogue. [1]", "Dovenka Lamp", first)
    assert not says_absent("Rilato Kettle is not in the catalogue.", "Dovenka Lamp", first)


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
    metrics = statistics.metrics(lines, ["base", "tuned"])
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
    records = {"sources": ["a", "b"], "uid": "b", "title": "Blue Kettle"}
    lines = [
        line("grounded", "It is blue. [1]", "It is blue. [2]", **records),
        line("grounded", "It is blue. [2]", "The catalogue has nothing by that name.", **records),
        line(
            "absent",
            "It is blue. [1]",
            "The catalogue has nothing by that name.",
            **records | {"title": "Red Kettle"},
        ),
        line("seen", "It is blue.", "It is blue."),
    ]
    metrics = statistics.metrics(lines, ["base", "tuned"])
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
    assert (
        "source_right" not in metrics["absent"]["tuned"]
        and "says_absent" not in metrics["seen"]["tuned"]
    )
    other = statistics.metrics(
        lines, ["base", "tuned"], PromptTemplate(absent={"en": "We lack {title}."})
    )
    assert other["absent"]["tuned"]["says_absent"] == 0
    text = report.as_text(report.table_rows(metrics, 3))
    assert "source_right" in text and "says_absent" in text


def test_a_difference_that_may_be_nothing_is_called_that():
    lines = [line("seen", "the kettle", "a lamp"), line("seen", "a lamp", "the kettle")]
    text = report.as_text(report.table_rows(statistics.metrics(lines, ["base", "tuned"]), 3))
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
    assert list(evaluate._kept(path)) == [("seen", "1")]


def test_a_loss_that_is_no_number_is_scored_again(tmp_path):
    path = tmp_path / "tuned.jsonl"
    path.write_text(
        "\n".join([scored("1", loss=math.nan), scored("2", loss=math.inf), scored("3")])
    )
    assert list(evaluate._kept(path)) == [("seen", "3")]


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
    assert list(evaluate._kept(path)) == [("seen", "4")]


def test_what_a_run_beside_this_one_scored_of_the_base_is_taken_from_there(
    tmp_path, tuned_run, monkeypatch
):
    """For the same base, data and wording; never of a tuned model."""
    one = shutil.copytree(tuned_run, tmp_path / "one")
    other = shutil.copytree(tuned_run, tmp_path / "other", ignore=shutil.ignore_patterns("scores"))
    (tmp_path / "theirs" / "scores").mkdir(parents=True)
    (tmp_path / "theirs" / "scores" / "base.jsonl").write_text("3\n")
    score, asked = evaluate._score, []
    monkeypatch.setattr(
        evaluate,
        "_score",
        lambda pair, batch, tuned: asked.append(tuned) or score(pair, batch, tuned),
    )
    assert main(["evaluate", "--run", str(other), "--items", "3", "--shots", "1"]) == 0
    assert set(asked) == {True}
    for column in ("base", "few_shot"):
        ours, theirs = (evaluate._kept(run / "scores" / f"{column}.jsonl") for run in (other, one))
        assert ours == theirs and ours


def test_weights_that_are_no_numbers_get_no_scores(tmp_path, tuned_run, capsys):
    run = tmp_path / "shop"
    shutil.copytree(tuned_run, run)
    weights = load_file(run / "adapter/adapter_model.safetensors")
    save_file(
        {name: weight * torch.nan for name, weight in weights.items()},
        run / "adapter/adapter_model.safetensors",
    )
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["evaluate", "--run", str(run), "--items", "3", "--shots", "1"]) == 1
    error = next(line for line in capsys.readouterr().err.splitlines() if "error: " in line)
    assert (
        "error: the tuned model's loss is no number on 3 of 3 references of" in error
        and "train it again with a lower --learning-rate, in another --run" in error
    )
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
