"""Rehearsal: the base's own answers, taken once, trained beside the shop's."""

import json
from shutil import copytree

import pytest

from space.model.base import load_base, load_tokenizer
from tests.encoder_decoder import tiny_base as encoder_decoder
from train import pipeline
from train.config import FitConfig, PushConfig, TrackConfig
from train.fit import rehearsal
from train.fit.rehearsal import _whole_sentences, answer_as_base
from train.run import Run


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_answers_are_the_bases_own_and_are_taken_once(
    tmp_path, tiny_base, tokenizer, monkeypatch, kind
):
    base = str(tiny_base if kind == "llama" else encoder_decoder(tmp_path / "t5", tokenizer))
    model, _ = load_base(base, training=True)
    run = Run(tmp_path)
    monkeypatch.setattr(rehearsal, "_whole_sentences", str.strip)
    answers = answer_as_base(run, model, load_tokenizer(base), 5, 1)
    assert len(answers) <= 5 and (answers or kind == "t5")  # a random T5 ends at once
    assert [list(answer) for answer in answers] == json.loads(run.rehearsal.read_text())["answers"]
    monkeypatch.setattr(rehearsal, "_answer", None)
    assert answer_as_base(run, model, load_tokenizer(base), 5, 1) == answers
    assert answer_as_base(Run(tmp_path / "other"), model, None, 0, 1) == []


def test_an_answer_that_was_cut_keeps_its_whole_sentences():
    assert _whole_sentences("The sky is blue. It is also") == "The sky is blue."
    assert _whole_sentences("One of 3.5 or so") == ""


def test_a_rehearsed_run_trains_general_questions(tmp_path, prepared, tiny_base, monkeypatch):
    run = Run(copytree(prepared, tmp_path / "run"))
    monkeypatch.setattr(rehearsal, "_whole_sentences", lambda text: "Yes.")
    config = FitConfig(
        base=str(tiny_base), learn=16, rehearse=0.5, batch_size=8, max_length=300, max_steps=2
    )
    counts = []
    encode = pipeline.Examples.encode

    def counting(self, examples):
        examples = list(examples)
        counts.append(sum(example.uid.startswith("general") for example in examples))
        return encode(self, examples)

    monkeypatch.setattr(pipeline.Examples, "encode", counting)
    pipeline.fit_run(run, config, PushConfig(), TrackConfig())
    assert max(counts) == 3  # 0.5 of 16, of which two steps of eight take their share
    assert run.has_adapter() and run.rehearsal.exists()
