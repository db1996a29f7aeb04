"""A loss or a gradient that is no number stops training in words, and nothing of it is kept."""

import collections
import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from space.model.base import load_base, load_tokenizer
from tests.conftest import tiny_model
from train import pipeline
from train.__main__ import main
from train.config import FitConfig, PrepareConfig, PushConfig, TrackConfig
from train.fit import training
from train.fit.adapter import save_adapter
from train.fit.checkpoints import latest_checkpoint
from train.fit.trainer import DivergedError
from train.prepare import prepare_catalogue
from train.run import Run
from train.sample import write_catalogue

SMALL = dict(
    learn=16,
    epochs=2,
    rank=4,
    batch_size=8,
    max_length=300,
    save_steps=1,
    learning_rate=1e-2,
    answer_tokens=100,
)


@pytest.fixture
def run(tmp_path):
    write_catalogue(tmp_path / "trn.json")
    prepare_catalogue(
        str(tmp_path / "trn.json"), Run(tmp_path / "run"), PrepareConfig(limit=120), progress=False
    )
    return tmp_path / "run"


def poisoned(base, run):
    """Makes one word of a base infinite: a word that few examples have, so that training begins well."""
    config, tokenizer = FitConfig(base=str(base), **SMALL), load_tokenizer(str(base))
    examples = pipeline.load_examples(Run(run), config, tokenizer, 512)
    rows = examples.encode(examples.build_training()[0])
    found = collections.Counter(token for row in rows for token in set(row["input_ids"]))
    model = AutoModelForCausalLM.from_pretrained(base)
    with torch.no_grad():
        model.get_input_embeddings().weight[min(found, key=lambda token: (found[token], token))] = (
            torch.inf
        )
    model.to(torch.bfloat16).save_pretrained(base)
    return config


def test_a_loss_that_is_no_number_ends_the_run_in_one_line(tmp_path, run, tokenizer, capsys):
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
        f"error: the loss is nan at step {step + 1} of 8: training stopped there and no adapter was written; the "
        f"checkpoint of step {step} is kept. Try a lower --learning-rate (it was 0.01) or a longer --warmup (it "
        "was 0.03), or --precision bf16, in another --run"
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


def test_a_gradient_that_is_no_number_touches_no_weight(run, tiny_base, monkeypatch):
    model, base, examples = begun(run, tiny_base)
    add_lora, kept = training.add_lora, {}

    def exploding(*args, **kwargs):
        kept["model"] = adapted = add_lora(*args, **kwargs)
        last = [parameter for parameter in adapted.parameters() if parameter.requires_grad][-1]
        last.register_hook(lambda gradient: gradient * torch.inf)
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


def test_an_adapter_of_no_numbers_is_not_written(run, tiny_base):
    """A checkpoint that something else spoiled, of the very last step: no loss would tell."""
    model, base, examples = begun(run, tiny_base)
    adapted = training.add_lora(model, base, examples.config)
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
