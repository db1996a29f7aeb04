"""The Trainer: its loss, and that a NaN or infinity stops it and nothing of it is kept."""

import collections
import json
from shutil import copytree

import pytest
import torch
from transformers import AutoModelForCausalLM

from space.model.base import load_base, load_tokenizer
from tests.conftest import tiny_model
from train import pipeline
from train.__main__ import main
from train.config import FitConfig, PushConfig, TrackConfig
from train.fit import training
from train.fit.adapter import add_lora, save_adapter
from train.fit.checkpoints import latest_checkpoint
from train.fit.trainer import DivergedError, build_trainer
from train.run import Run

SMALL = dict(
    learn=16,
    epochs=2,
    rank=4,
    batch_size=8,
    max_length=300,
    save_steps=1,
    learning_rate=1e-2,
    answer_tokens=100,
    asked=0.0,
)


@pytest.fixture
def run(prepared, tmp_path):
    return copytree(prepared, tmp_path / "run")


def poisoned(base, run):
    """Make the embedding of a rare token infinite, so that training begins well."""
    config, tokenizer = FitConfig(base=str(base), **SMALL), load_tokenizer(str(base))
    examples = pipeline.load_examples(Run(run), config, tokenizer, 512)
    rows = examples.encode(examples.build_training()[0])
    found = collections.Counter(token for row in rows for token in set(row["input_ids"]))
    longest = collections.Counter()  # the first batch has the longest row
    for row in rows:
        for token in row["input_ids"]:
            longest[token] = max(longest[token], len(row["input_ids"]))
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.get_input_embeddings().weight[
            min(found, key=lambda token: (found[token], longest[token], token))
        ] = torch.inf
    model.to(torch.bfloat16).save_pretrained(base)
    return config


def test_a_nan_loss_ends_the_run_in_one_line(tmp_path, run, tokenizer, capsys):
    config = poisoned(tiny_model(tmp_path / "base", tokenizer), run)
    options = [
        word
        for name, value in (SMALL | {"base": config.base}).items()
        for word in ("--" + name.replace("_", "-"), str(value))
    ]
    assert main(["fit", "--run", str(run), *options]) == 1
    error = next(
        line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")
    )
    last = latest_checkpoint(run / "checkpoints")
    step = last.step
    assert step >= 1
    assert error == (
        f"error: the loss is nan at step {step + 1} of 8: training stopped there and no adapter "
        f"was written; the checkpoint of step {step} is kept. Try a lower --learning-rate (it was "
        "0.01) or a longer --warmup (it was 0.03), or --precision bf16, in another --run"
    )
    assert not (run / "adapter").exists() and not (run / "adapter.unfinished").exists()
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in history] == list(range(1, step + 1)) and "NaN" not in (
        run / "history.jsonl"
    ).read_text()
    assert all(tensor.isfinite().all() for tensor in weights(last.folder).values())


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "adapter_model.safetensors")


def begun(run, base):
    """(model, base, examples) as fit_run has them."""
    config = FitConfig(base=str(base), **SMALL)
    model, identity = load_base(config.base, training=True)
    return (
        model,
        identity,
        pipeline.load_examples(Run(run), config, load_tokenizer(config.base), 512),
    )


def test_the_loss_at_answers_alone_is_the_models_own_loss(run, tiny_base):
    """Leaving the prompts' logits out changes neither the loss nor a gradient."""
    model, base, examples = begun(run, tiny_base)
    model = add_lora(model, base, examples.config)
    data, left_out = training.tokenize(examples)
    trainer = build_trainer(Run(run), model, data, examples.tokenizer, examples.config)
    batch = trainer.data_collator(
        [{k: data[i][k] for k in ("input_ids", "labels")} for i in range(4)]
    )
    ours = trainer.compute_loss(model, dict(batch))
    theirs = model(**batch).loss
    assert left_out == 0 and torch.allclose(ours, theirs, rtol=1e-3)
    assert trainer.tokens_seen == int(batch["attention_mask"].sum())


def test_an_infinite_gradient_changes_no_weight(run, tiny_base, monkeypatch):
    model, base, examples = begun(run, tiny_base)
    kept = {}

    def exploding(*args, **kwargs):
        kept["model"] = adapted = add_lora(*args, **kwargs)
        last = [parameter for parameter in adapted.parameters() if parameter.requires_grad][-1]
        last.register_hook(lambda gradient: torch.full_like(gradient, torch.inf))
        return adapted

    monkeypatch.setattr(training, "add_lora", exploding)
    with pytest.raises(
        DivergedError,
        match=r"gradient's norm is inf at step 1 of 8: .* there is no checkpoint from before",
    ):
        training.fit(Run(run), model, base, examples, PushConfig(), TrackConfig())
    assert all(
        parameter.isfinite().all()
        for parameter in kept["model"].parameters()
        if parameter.requires_grad
    )
    assert not (run / "adapter").exists() and not list(run.glob("checkpoints/checkpoint-*"))


def test_an_adapter_with_nan_weights_is_not_written(run, tiny_base):
    """As from a spoiled checkpoint of the last step, after which there is no loss."""
    model, base, examples = begun(run, tiny_base)
    adapted = add_lora(model, base, examples.config)
    next(parameter for parameter in adapted.parameters() if parameter.requires_grad).data[0, 0] = (
        torch.nan
    )
    with pytest.raises(
        DivergedError,
        match=r"after step 8 are NaN or infinite, and no adapter was written: train "
        r"with a lower --learning-rate, in another --run$",
    ):
        save_adapter(Run(run), adapted, examples.tokenizer, examples.prompt_template, {"steps": 8})
    assert not (run / "adapter").exists() and not (run / "adapter.unfinished").exists()
