"""The adapter: gradients, rsLoRA and EVA, all saved as plain LoRA."""

import itertools
import json
import math
import os
import subprocess
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copytree

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from space.model import layers
from space.model.base import load_base, load_tokenizer
from space.model.decode import complete
from space.model.pair import load_pair
from space.model.prompt_template import PromptTemplate
from tests.encoder_decoder import tiny_base as encoder_decoder
from train import pipeline
from train.__main__ import main
from train.config import ConfigError, FitConfig, PushConfig, TrackConfig
from train.fit import training
from train.fit.adapter import add_lora, eva_batches, init_with_eva, load_start, save_adapter
from train.fit.checkpoints import MARKER, latest_checkpoint
from train.fit.trainer import AnswerTrainer
from train.run import Run, sha256_json

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


def gradients(model, ids):
    """The norm of every LoRA-A gradient; B is not zero, so none of them may be."""
    model.zero_grad()
    model(input_ids=ids, labels=ids).loss.backward()
    return {
        name: parameter.grad.norm().item()
        for name, parameter in model.named_parameters()
        if "lora_A" in name
    }


def test_gradients_survive_an_evaluation_before_training(tiny_base):
    """On AVX512-BF16, evaluation could repack weights for a kernel without a backward."""
    model, base = load_base(str(tiny_base), training=True)
    model = add_lora(model, base, FitConfig(base=str(tiny_base), rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.arange(5, 45)[None]
    model.train()
    before = gradients(model, ids)
    model.eval()
    with torch.no_grad():
        model(input_ids=ids)
        model.generate(input_ids=ids, max_new_tokens=2)
    model.train()
    assert gradients(model, ids) == before
    assert len(before) == 14 and all(norm > 0 for norm in before.values())


def test_a_base_that_is_decoded_for_training_gives_the_packed_bases_gradients(
    tiny_base, monkeypatch
):
    norms = []
    for memory in (2**40, 0):
        monkeypatch.setattr(layers, "available_memory", lambda memory=memory: memory)
        model, base = load_base(str(tiny_base), training=True)
        torch.manual_seed(0)
        model = add_lora(model, base, FitConfig(base=str(tiny_base), rank=4))
        decoded = ["forward" in vars(each) for each in model.modules() if type(each) is Linear4bit]
        assert len(decoded) == 14 and all(decoded) == (memory > 0) and any(decoded) == (memory > 0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
        norms.append(gradients(model.train(), torch.arange(5, 45)[None]))
    assert norms[0] == norms[1] and all(norm > 0 for norm in norms[0].values())


@pytest.mark.parametrize(
    ("options", "scaling"),
    [
        ({}, 5 / 6),
        ({"rank_stabilized": True}, 5 / math.sqrt(6)),
        ({"init": "eva", "rank_stabilized": True}, 5 / math.sqrt(6)),
    ],
)
def test_peft_alone_says_what_the_page_says(tmp_path, prepared, tiny_base, options, scaling):
    folder = fit(
        copytree(prepared, tmp_path / "run"), FitConfig(base=str(tiny_base), **SMALL | options)
    )
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
def test_eva_is_the_same_in_every_process_and_comes_once(
    tmp_path, prepared, tiny_base, monkeypatch
):
    """Killed after a checkpoint and resumed, against an undisturbed run in another process."""
    run, other = copytree(prepared, tmp_path / "run"), copytree(prepared, tmp_path / "other")
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
    default = fit(copytree(prepared, tmp_path / "default"), replace(config, init="default"))
    ours, theirs = (load_file(path / "adapter_model.safetensors") for path in (folder, default))
    assert any(not torch.equal(ours[name], theirs[name]) for name in ours)


def begun(prepared, run, base, **options):
    config = FitConfig(base=str(base), **SMALL | options)
    tokenizer = load_tokenizer(config.base)
    dataset, _ = training.tokenize(
        pipeline.load_examples(Run(copytree(prepared, run)), config, tokenizer, 512)
    )
    model, identity = load_base(config.base, training=True)
    return add_lora(model, identity, config), dataset, tokenizer, config


def test_eva_looks_along_what_varies_most(tmp_path, prepared, tiny_base):
    """The first layer's inputs, by a singular value decomposition of all of them at once."""
    model, dataset, tokenizer, config = begun(prepared, tmp_path / "run", tiny_base, init="eva")
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


def test_it_starts_from_another_adapters_weights(tmp_path, tiny_base, adapter):
    """From all of them, or from none: with another rank or other layers it is refused."""
    model, base = load_base(str(tiny_base), training=True)
    adapted = add_lora(model, base, FitConfig(rank=8))
    load_start(adapted, str(adapter))
    theirs = load_file(adapter / "adapter_model.safetensors")
    ours = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name].float(), theirs[name].float()) for name in theirs)
    assert all(
        parameter.dtype == torch.float32
        for parameter in adapted.parameters()
        if parameter.requires_grad
    )
    other = copytree(adapter, tmp_path / "other")
    del theirs[min(theirs)]
    save_file(theirs, other / "adapter_model.safetensors")
    with pytest.raises(ConfigError, match=r"has LoRA on other layers .* such as base_model"):
        load_start(adapted, str(other))
    settings = json.loads((other / "adapter_config.json").read_text())
    (other / "adapter_config.json").write_text(json.dumps(settings | {"r": 4}))
    with pytest.raises(ConfigError, match="has r 4, and this run 8"):
        load_start(adapted, str(other))
    with pytest.raises(ConfigError, match="is no adapter that can be read"):
        load_start(adapted, str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("rank", "words"),
    [
        (200, "finds no 200 directions in layers of 128 inputs"),
        (120, "finds no 120 directions .* lower --rank, or leave --init out, in another"),
    ],
)
def test_more_directions_than_there_are_is_a_wrong_call(tmp_path, prepared, tiny_base, rank, words):
    few = {"learn": 4, "epochs": 1, "answers": 0.0, "follow_ups": 0.0, "summarize": 0.0}
    with pytest.raises(ConfigError, match=words):
        init_with_eva(*begun(prepared, tmp_path / "run", tiny_base, init="eva", rank=rank, **few))


@pytest.mark.parametrize("verb", ["fit", "all"])
def test_eva_on_an_encoder_decoder_is_refused_before_anything_is_scored_or_kept(
    tmp_path, source, prepared, verb, capsys
):
    run, base = copytree(prepared, tmp_path / "run"), encoder_decoder(tmp_path / "base", "t5")
    given = [str(source), "--limit", "120"] if verb == "all" else []
    assert main([verb, *given, "--run", str(run), "--base", str(base), "--init", "eva"]) == 2
    assert "--init eva is for decoder-only bases" in capsys.readouterr().err
    assert not (run / "scores").exists() and not (run / "config.json").exists()


def test_a_run_that_was_begun_before_there_were_these_options_goes_on(
    tmp_path, prepared, tiny_base, monkeypatch
):
    run = copytree(prepared, tmp_path / "run")
    config = FitConfig(base=str(tiny_base), **SMALL, asked=0.0)
    dies_after_a_checkpoint(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(run, config)
    monkeypatch.undo()
    older = {
        name: value
        for name, value in asdict(config).items()
        if name
        not in (
            *("rank_stabilized", "init", "asked", "unstated", "rehearse", "start"),
            "snapshots",
        )
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


def test_what_is_saved_names_nothing_that_older_libraries_do_not_know(
    tmp_path, tiny_base, tokenizer
):
    model, base = load_base(str(tiny_base), training=True)
    adapted = add_lora(model, base, FitConfig(base=str(tiny_base), rank=4))
    record = {"steps": 1, "base": {"name": base.name, "revision": base.revision}}
    run = Run(tmp_path)
    save_adapter(run, adapted, load_tokenizer(str(tiny_base)), PromptTemplate(), record)
    settings = json.loads((run.adapter / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "PreTrainedTokenizerFast"  # transformers 4 knows it
    saved = AutoTokenizer.from_pretrained(run.adapter)
    assert saved("A </s> [1] ação")["input_ids"] == tokenizer("A </s> [1] ação")["input_ids"]
    # PEFT 0.7, which stops at any other field.
    assert set(json.loads((run.adapter / "adapter_config.json").read_text())) <= {
        *("auto_mapping", "base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode"),
        *("init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha"),
        *("lora_dropout", "modules_to_save", "peft_type", "r", "rank_pattern", "alpha_pattern"),
        *("revision", "target_modules", "task_type", "use_rslora", "loftq_config"),
    }
    again = PeftConfig.from_pretrained(run.adapter)
    assert again.r == 4 and set(again.target_modules) == set(
        adapted.peft_config["default"].target_modules
    )
