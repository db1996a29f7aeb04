"""rsLoRA and EVA: other first weights and another scale, saved as LoRA like any other; the default is what it was."""

import itertools
import json
import math
import os
import subprocess
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel
from safetensors.torch import load_file

from space.model.base import load_base, load_tokenizer
from space.model.decode import complete
from space.model.pair import load_pair
from tests.encoder_decoder import tiny_base as encoder_decoder
from train import pipeline
from train.__main__ import main
from train.config import ConfigError, FitConfig, PrepareConfig, PushConfig, TrackConfig
from train.fit import training
from train.fit.adapter import add_lora, eva_batches, init_with_eva
from train.fit.checkpoints import MARKER, latest_checkpoint
from train.fit.trainer import AnswerTrainer
from train.prepare import prepare_catalogue
from train.run import Run, sha256_json
from train.sample import write_catalogue

ROOT = Path(__file__).resolve().parents[3]
SMALL = dict(
    learn=16,
    epochs=2,
    rank=6,
    alpha=5.0,
    batch_size=8,
    max_length=300,
    save_steps=2,
    max_steps=4,
    learning_rate=1e-2,
    answer_tokens=100,
)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    write_catalogue(folder / "trn.json")
    return folder / "trn.json"


def begin(source, run):
    prepare_catalogue(str(source), Run(run), PrepareConfig(limit=120), progress=False)
    return run


def fit(run, config):
    pipeline.fit_run(Run(run), config, PushConfig(), TrackConfig())
    return run / "adapter"


def dies_after_a_checkpoint(monkeypatch):
    save = AnswerTrainer._save_checkpoint

    def dying(self, *args, **kwargs):
        save(self, *args, **kwargs)
        self.callback_handler.on_save(self.args, self.state, self.control)
        raise KeyboardInterrupt

    monkeypatch.setattr(AnswerTrainer, "_save_checkpoint", dying)


@pytest.mark.parametrize(
    ("options", "scaling"),
    [
        ({}, 5 / 6),
        ({"rank_stabilized": True}, 5 / math.sqrt(6)),
        ({"init": "eva", "rank_stabilized": True}, 5 / math.sqrt(6)),
    ],
)
def test_peft_alone_says_what_the_page_says(tmp_path, source, tiny_base, options, scaling):
    folder = fit(begin(source, tmp_path / "run"), FitConfig(base=str(tiny_base), **SMALL | options))
    told = json.loads((folder / "adapter_config.json").read_text())
    plain = LoraConfig().to_dict()
    assert {name for name in plain if name in told and told[name] != plain[name]} <= {
        "r",
        "lora_alpha",
        "target_modules",
        "task_type",
        "base_model_name_or_path",
        "inference_mode",
        "use_rslora",
        "peft_version",
    }
    assert (
        told["use_rslora"] == options.get("rank_stabilized", False)
        and told["rank_pattern"] == told["alpha_pattern"] == {}
    )
    pair = load_pair(str(tiny_base), str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", FutureWarning)  # of transformers, at what PEFT calls
        theirs = PeftModel.from_pretrained(load_base(str(tiny_base))[0], str(folder)).eval()
    layer = theirs.base_model.model.model.layers[0].mlp.down_proj
    assert layer.scaling["default"] == pytest.approx(scaling)
    prompt = torch.arange(5, 45)[None]
    said = theirs.generate(
        input_ids=prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=8, do_sample=False
    )
    assert said[0, 40:].tolist()[:6] == complete(pair, [prompt[0].tolist()], 8, tuned=True)[0][:6]


@pytest.mark.slow
def test_eva_is_the_same_in_every_process_and_comes_once(tmp_path, source, tiny_base, monkeypatch):
    """Killed after its checkpoint and gone on with, against another process that nothing disturbed."""
    run, other = begin(source, tmp_path / "run"), begin(source, tmp_path / "other")
    config = FitConfig(base=str(tiny_base), **SMALL | {"init": "eva"})
    dies_after_a_checkpoint(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(run, config)
    monkeypatch.undo()
    monkeypatch.setattr(
        training, "init_with_eva", lambda *_: pytest.fail("a checkpoint has its weights already")
    )
    folder = fit(run, config)
    options = [
        word
        for name, value in asdict(config).items()
        if value != getattr(FitConfig(), name)
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    done = subprocess.run(
        [sys.executable, "-m", "train", "fit", "--run", str(other), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (folder / name).read_bytes() == (other / "adapter" / name).read_bytes(), name
    default = fit(begin(source, tmp_path / "default"), replace(config, init="default"))
    ours, theirs = (load_file(path / "adapter_model.safetensors") for path in (folder, default))
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def begun(source, run, base, **options):
    config = FitConfig(base=str(base), **SMALL | options)
    tokenizer = load_tokenizer(config.base)
    dataset, _ = training.tokenize(
        pipeline.load_examples(Run(begin(source, run)), config, tokenizer, 512)
    )
    model, identity = load_base(config.base, training=True)
    return add_lora(model, identity, config), dataset, tokenizer, config


def test_eva_looks_along_what_varies_most(tmp_path, source, tiny_base):
    """The first layer's inputs, by a singular value decomposition of all of them at once."""
    model, dataset, tokenizer, config = begun(source, tmp_path / "run", tiny_base, init="eva")
    init_with_eva(model, dataset, tokenizer, config)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    found = layer.lora_A["default"].weight
    assert (
        found.dtype == torch.float32
        and found.requires_grad
        and not layer.lora_B["default"].weight.any()
    )
    assert torch.allclose(found @ found.T, torch.eye(6), atol=1e-4)
    seen = []
    hook = layer.register_forward_hook(lambda _, given, __: seen.append(given[0][0].float()))
    with torch.no_grad():
        for row in dataset.select(sorted(itertools.chain(*eva_batches(dataset, config)))):
            start = next(place for place, label in enumerate(row["labels"]) if label >= 0)
            model.get_base_model().model(torch.tensor([row["input_ids"]]), use_cache=False)
            seen[-1] = seen[-1][start:]
    hook.remove()
    inputs = torch.cat(seen)
    inputs -= inputs.mean(0)
    kept = (inputs @ found.T).square().sum() / inputs.square().sum()
    best = torch.linalg.svdvals(inputs).square()
    assert kept > 0.9 * best[:6].sum() / best.sum()


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        (200, "finds no 200 directions in layers of 128 inputs"),
        (120, "finds no 120 directions .* lower --rank, or leave --init out, in another"),
    ],
)
def test_more_directions_than_there_are_is_a_wrong_call(tmp_path, source, tiny_base, rank, words):
    few = {"learn": 4, "epochs": 1, "answers": 0.0, "follow_ups": 0.0, "summarize": 0.0}
    with pytest.raises(ConfigError, match=words):
        init_with_eva(*begun(source, tmp_path / "run", tiny_base, init="eva", rank=rank, **few))


@pytest.mark.parametrize("verb", ["fit", "all"])
def test_eva_on_an_encoder_decoder_is_refused_before_anything_is_scored_or_kept(
    tmp_path, source, verb, capsys
):
    run, base = begin(source, tmp_path / "run"), encoder_decoder(tmp_path / "base", "t5")
    given = [str(source), "--limit", "120"] if verb == "all" else []
    assert main([verb, *given, "--run", str(run), "--base", str(base), "--init", "eva"]) == 2
    assert "--init eva is for decoder-only bases" in capsys.readouterr().err
    assert not (run / "scores").exists() and not (run / "config.json").exists()


def test_a_run_that_was_begun_before_there_were_these_options_goes_on(
    tmp_path, source, tiny_base, monkeypatch
):
    run, config = begin(source, tmp_path / "run"), FitConfig(base=str(tiny_base), **SMALL)
    dies_after_a_checkpoint(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(run, config)
    monkeypatch.undo()
    older = {
        name: value
        for name, value in asdict(config).items()
        if name not in ("rank_stabilized", "init")
    }
    (run / "config.json").write_text(json.dumps(older, indent=1) + "\n")
    mark = latest_checkpoint(run / "checkpoints").folder / MARKER
    base = load_base(str(tiny_base))[1]
    prompt_template = asdict(pipeline.PromptTemplate())
    was = sha256_json(
        {
            "base": asdict(base),
            "config": older | {"base": base.name},
            "data": Run(run).data_digest(),
            "wording": prompt_template,
        }
    )
    assert json.loads(mark.read_text())["of"] == was
    record = json.loads((fit(run, config) / "run.json").read_text())
    assert (
        record["steps"] == 4
        and record["config"]["init"] == "default"
        and record["config"]["rank_stabilized"] is False
    )
    with pytest.raises(ConfigError, match="--init was default, now eva"):
        fit(run, replace(config, init="eva"))
