"""The merged model loads alone, answers as base and adapter do, and is written atomically."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from huggingface_hub import metadata_load
from safetensors.torch import load_file

from train.__main__ import main
from train.merge import agreement, describe_agreement, merge
from train.run import Run

FILES = {
    "model.safetensors",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "prompt.json",
    "merge.json",
    "Modelfile",
    "README.md",
}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def merged(tuned_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("merged") / "shop"
    assert main(["merge", "--run", str(tuned_run), "--out", str(out), "--items", "2"]) == 0
    return out


def said(capsys, arguments, code):
    assert main(arguments) == code
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("error: ")
    return line


def test_agreement_by_hand():
    told = agreement([[1, 2], [1, 2, 3, 4], [], [5]], [[1, 2], [1, 2, 9], [], [5, 6]])
    assert told == {"equal": 0.5, "common_prefix": 0.75}
    words = describe_agreement(
        {"questions": 4, "nf4": told, "bf16": {"equal": 1.0, "common_prefix": 1.0}}
    )
    assert (
        "Of its answers to 4 questions of the run, 50% are token for token those of base and "
        "adapter in 4 bits" in words
    )
    assert "on average 75% of an answer" in words


def test_it_is_complete_and_says_how_far_it_agrees(merged, tuned_run):
    assert {path.name for path in merged.iterdir()} == FILES
    assert not merged.with_name("shop.unfinished").exists()
    told = json.loads((merged / "merge.json").read_text())
    assert told["questions"] >= 8 and told["base"]["name"] == "tiny-llama"
    # Random weights find all tokens about as likely: rounding to bf16 once more changes answers.
    assert told["bf16"]["common_prefix"] >= 0.3 and 0 <= told["nf4"]["equal"] <= 1
    card = (merged / "README.md").read_text()
    assert (
        describe_agreement(told) in card
        and metadata_load(merged / "README.md")["base_model_relation"] == "finetune"
    )
    steps = ["convert_hf_to_gguf.py . --outfile shop.gguf", "shop.gguf shop-Q4_K_M.gguf Q4_K_M"]
    steps += ["llama-server -m shop-Q4_K_M.gguf", "ollama create shop -f Modelfile"]
    assert [card.count(step) for step in steps] == [1] * 4
    assert sorted(steps, key=card.index) == steps
    assert (merged / "Modelfile").read_text().startswith("FROM ./shop-Q4_K_M.gguf\n")
    for path in merged.iterdir():
        if path.suffix != ".safetensors":
            assert (
                str(tuned_run.parent) not in path.read_text()
                and str(merged.parent) not in path.read_text()
            )


def test_its_weights_are_the_bases_and_the_adapters_sum(merged, tuned_run, tiny_base):
    sums, base = load_file(merged / "model.safetensors"), load_file(tiny_base / "model.safetensors")
    lora = load_file(tuned_run / "adapter/adapter_model.safetensors")
    scaling = json.loads((tuned_run / "adapter/adapter_config.json").read_text())
    scaling = scaling["lora_alpha"] / scaling["r"]
    name = "model.layers.0.mlp.down_proj"
    a, b = (lora[f"base_model.model.{name}.lora_{side}.weight"].float() for side in "AB")
    wanted = base[f"{name}.weight"].float() + scaling * b @ a
    assert sums.keys() == base.keys() and all(
        tensor.dtype == torch.bfloat16 for tensor in sums.values()
    )
    torch.testing.assert_close(sums[f"{name}.weight"].float(), wanted, rtol=2**-7, atol=2e-4)
    assert torch.equal(sums["model.embed_tokens.weight"], base["model.embed_tokens.weight"])


def test_plain_transformers_loads_it_and_it_stops(merged, tmp_path):
    """By the snippet of its own card and by AutoModel, without this project."""
    snippet = (merged / "README.md").read_text().split("```python\n")[1].split("```")[0]
    program = (
        snippet
        + """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
model, tokenizer = AutoModelForCausalLM.from_pretrained("."), AutoTokenizer.from_pretrained(".")
settings = model.generation_config
assert model.dtype.itemsize == 2 and tokenizer.chat_template and not settings.do_sample
assert tokenizer.eos_token_id in settings.eos_token_id and settings.max_new_tokens == 60
assert settings.pad_token_id == tokenizer.pad_token_id
assert not {"space", "train", "peft", "bitsandbytes"} & set(sys.modules), sys.modules.keys()
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=merged,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0 and done.stdout.strip(), done.stderr[-2000:]


def test_what_cannot_be_merged_is_refused(tuned_run, merged, tmp_path, capsys):
    assert "is there already: remove it, or name another --out" in said(
        capsys, ["merge", "--run", str(tuned_run), "--out", str(merged)], 2
    )
    assert "none has no adapter yet: run fit first" in said(
        capsys, ["merge", "--run", str(tmp_path / "none")], 2
    )
    assert "--items is 0" in said(capsys, ["merge", "--run", str(tuned_run), "--items", "0"], 2)
    run = tmp_path / "run"
    shutil.copytree(tuned_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"base": "./gone"}))
    assert "base ./gone is not a folder" in said(capsys, ["merge", "--run", str(run)], 1)
    assert not (run / "merged").exists()


def test_a_sentencepiece_model_comes_along_for_the_gguf(tuned_run, tiny_base, tmp_path):
    from train.config import MergeConfig

    base, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(tiny_base, base)
    (base / "tokenizer.model").write_bytes(b"pieces")
    shutil.copytree(tuned_run, run, ignore=shutil.ignore_patterns("checkpoints"))
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"base": str(base)}))
    merge(Run(run), tmp_path / "out", MergeConfig(items=1))
    assert (tmp_path / "out" / "tokenizer.model").read_bytes() == b"pieces"


def test_a_full_disk_leaves_nothing_behind(tuned_run, tmp_path, monkeypatch):
    from transformers import PreTrainedModel

    from train.config import MergeConfig

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", full)
    with pytest.raises(OSError, match="No space left"):
        merge(Run(tuned_run), tmp_path / "out", MergeConfig(items=1))
    assert list(tmp_path.iterdir()) == []
