"""Checks before publishing: what keeps a run from being sent."""

import os
import shutil

import pytest

from tests.train.publish.conftest import call, edit, refused
from train.__main__ import main
from train.run import Run

SPOILT = {
    "no adapter": (
        lambda run: shutil.rmtree(run / "adapter"),
        "adapter/run.json are missing: run `python -m train fit`",
    ),
    "no card": (
        lambda run: (run / "adapter/README.md").unlink(),
        "README.md is missing: run `python -m train evaluate`",
    ),
    "another adapter": (
        lambda run: (run / "adapter/prompt.json").write_text('{"format": 1}'),
        "adapter/prompt.json was changed after the adapter was scored: "
        "run `python -m train evaluate`",
    ),
    "older scores": (
        lambda run: (run / "evaluation.json").write_text('{"version": 0}'),
        "evaluation.json is of version 0, this reads 1: run `python -m train evaluate`",
    ),
    "no evaluation": (
        lambda run: (run / "evaluation.json").unlink(),
        "evaluation.json is missing: run `python -m train",
    ),
    "no scores": (
        lambda run: (run / "metrics.json").unlink(),
        "metrics.json is missing: run `python -m train evaluate`",
    ),
    "no catalogue": (
        lambda run: shutil.rmtree(run / "catalogue"),
        "are missing: run `python -m train prepare`",
    ),
    "half the weights": (
        lambda run: os.truncate(run / "adapter/adapter_model.safetensors", 10**6),
        "adapter/adapter_model.safetensors is damaged",
    ),
    "half a line": (
        lambda run: os.truncate(run / "samples.jsonl", 300),
        "samples.jsonl is damaged",
    ),
    "half a picture": (
        lambda run: os.truncate(run / "plots/loss.png", 5000),
        "plots/loss.png is damaged",
    ),
    "half the records": (
        lambda run: os.truncate(run / "catalogue/records/part-00000.parquet", 9000),
        "catalogue/records/part-00000.parquet is damaged",
    ),
    "half an index": (
        lambda run: next((run / "catalogue/index").glob("*.term")).unlink(),
        "search index",
    ),
    "a report of others": (
        lambda run: edit(run, "catalogue/report.json", lambda text: text.replace("2400", "2401")),
        "has 2,400 records where its report says 2,401",
    ),
    "a placeholder": (
        lambda run: edit(run, "adapter/README.md", lambda text: text + "{{ hardware }}"),
        "README.md has nothing filled in for hardware",
    ),
    "no metadata": (
        lambda run: edit(run, "adapter/README.md", lambda text: text.split("---", 2)[2]),
        "README.md has no library_name, pipeline_tag, model-index",
    ),
    "broken metadata": (
        lambda run: edit(
            run, "adapter/README.md", lambda text: text.replace("language:", "language: [", 1)
        ),
        "README.md has metadata that cannot be read",
    ),
    "optimizer": (
        lambda run: (run / "adapter/optimizer.pt").write_bytes(b"\x80\x04."),
        "adapter/optimizer.pt does not belong",
    ),
    "a folder": (
        lambda run: (run / "adapter/checkpoint-5").mkdir(),
        "adapter/checkpoint-5 does not belong",
    ),
    "a path of a base": (
        lambda run: edit(
            run,
            "adapter/adapter_config.json",
            lambda text: text.replace('"shelftalk-sample"', '"/data/models/mine"'),
        ),
        "adapter_config.json holds a path, /data/models/mine",
    ),
    "a path in words": (
        lambda run: edit(run, "adapter/README.md", lambda text: f"{text}\nsee {run}/adapter"),
        "README.md holds a path of this machine",
    ),
    "a token": (
        lambda run: edit(
            run, "samples.jsonl", lambda text: text.replace("a vase", "hf_" + "abcDEF123" * 4)
        ),
        "samples.jsonl holds an access token",
    ),
    "the user's token": (
        lambda run: edit(run, "catalogue/report.md", lambda text: text + os.environ["HF_TOKEN"]),
        "report.md holds an access token",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_run_that_is_not_fit_to_be_seen(hub, run, capsys, name):
    spoil, words = SPOILT[name]
    spoil(run)
    line = refused(capsys, call(run), 2)
    assert words in line and "is not ready to be published" in line
    assert hub.requests == [] and not (run / "published.json").exists()
    if "catalogue" in words or "search index" in words or "report" in words or "prepare" in words:
        assert main(call(run, "--no-catalogue")) == 0


def test_every_problem_is_named_at_once(hub, run, capsys):
    for name in ("no scores", "a placeholder", "optimizer", "half a picture"):
        SPOILT[name][0](run)
    line = refused(capsys, call(run), 2)
    assert all(
        SPOILT[name][1] in line
        for name in ("no scores", "a placeholder", "optimizer", "half a picture")
    )


def test_an_evaluation_is_there_with_its_card_or_not_at_all(
    hub, run, tmp_path, capsys, monkeypatch
):
    """Killed while it is put in place, an older card does not stand beside newer scores."""
    unfinished = run / "evaluation.unfinished"
    for name in ("samples.jsonl", "metrics.json", "plots/loss.png", "plots/before_after.png"):
        (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / name, unfinished / name)
    shutil.copy(run / "adapter/README.md", unfinished / "README.md")
    replace, moves = os.replace, []

    def killed(source, target):
        if len(moves) == 2:
            raise KeyboardInterrupt
        moves.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        Run(run).keep_evaluation(unfinished)
    monkeypatch.undo()
    assert "README.md is missing: run `python -m train evaluate`" in refused(capsys, call(run), 2)
