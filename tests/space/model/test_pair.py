"""space/model/pair.py: what is refused, and that the base column stays the base."""

import json
import os
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from space.errors import ModelError, PromptTemplateError
from space.model.base import digest_base, load_base
from space.model.layers import PairedLinear, pair_up
from space.model.pair import load_pair
from tests.conftest import tiny_adapter, tiny_model


def copy_of(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "run" / "adapter")


def test_a_pair_names_both_and_never_a_path(pair, tiny_base, adapter):
    assert (pair.base.name, pair.base.revision) == ("tiny-llama", digest_base(tiny_base))
    assert pair.adapter_revision.startswith("sha256:")
    config = (adapter / "adapter_config.json").read_text()
    assert str(tiny_base) not in config and '"base_model_name_or_path": "tiny-llama"' in config


def test_an_adapter_with_another_config_is_another_adapter(tmp_path, tiny_base, adapter, pair):
    folder = copy_of(adapter, tmp_path)
    assert load_pair(str(tiny_base), str(folder)).adapter_revision == pair.adapter_revision
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 1}))
    assert load_pair(str(tiny_base), str(folder)).adapter_revision != pair.adapter_revision


def test_a_base_too_large_to_decode_stays_in_four_bits(tiny_base, adapter, monkeypatch):
    # Just loaded: on some CPUs the first forward repacks weights without double quantization.
    monkeypatch.setattr("space.model.layers.available_memory", lambda: 1000)
    model = load_pair(str(tiny_base), str(adapter)).model
    layers = [layer for layer in model.modules() if isinstance(layer, PairedLinear)]
    assert len(layers) == 14
    for layer in layers:
        assert (
            layer.base.weight.quant_state.quant_type == "nf4"
            and layer.base.weight.quant_state.nested
        )
        assert layer.base.compute_dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (
            "./nowhere",
            r"base \./nowhere is not a folder: give a folder or a Hub id such as mistralai",
        ),
        ("nobody/nothing-here", r"base nobody/nothing-here .*"),
    ],
)
def test_an_unknown_base_is_named(adapter, base, words):
    with pytest.raises(ModelError, match=words) as caught:
        load_pair(base, str(adapter))
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_base(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError, match=r"base .* cannot be loaded"):
        load_base(str(tmp_path))


def test_an_adapter_for_another_base_is_refused_naming_both(tmp_path, adapter, tokenizer):
    other = tiny_model(tmp_path / "other", tokenizer, seed=7, model_name="other-llama")
    with pytest.raises(
        ModelError,
        match=r"was made for the base tiny-llama at sha256:.*, not for other-llama at sha256",
    ):
        load_pair(str(other), str(adapter))


def test_a_base_is_known_by_its_digest_whatever_its_folder_is_called(tmp_path, tiny_base, adapter):
    moved = shutil.copytree(tiny_base, tmp_path / "renamed")
    assert load_pair(str(moved), str(adapter)).base.revision == digest_base(tiny_base)


def test_an_unknown_prompt_format_is_refused(tmp_path, tiny_base, adapter):
    folder = copy_of(adapter, tmp_path)
    prompt_template = json.loads((folder / "prompt.json").read_text())
    (folder / "prompt.json").write_text(json.dumps(prompt_template | {"format": 3}))
    with pytest.raises(PromptTemplateError, match="prompt format is 3, this version reads 1 to 2"):
        load_pair(str(tiny_base), str(folder))


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("adapter_model.safetensors", "is training done?"),
        ("adapter_config.json", "is training done?"),
    ],
)
def test_an_incomplete_adapter_is_refused(tmp_path, tiny_base, adapter, missing, words):
    folder = copy_of(adapter, tmp_path)
    os.remove(folder / missing)
    with pytest.raises(ModelError, match=words):
        load_pair(str(tiny_base), str(folder))


def test_an_adapter_that_would_tune_the_base_column_is_refused(tiny_base):
    model, _ = load_base(str(tiny_base))
    dora = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", use_dora=True))
    with pytest.raises(ModelError, match="its base column would not be the untouched base"):
        pair_up(dora.base_model.model)


def test_plain_peft_gives_the_same_logits(pair, tiny_base, adapter):
    """The paired layers' logits are PEFT's own, bit for bit, on both rows."""
    model, _ = load_base(str(tiny_base))
    theirs = PeftModel.from_pretrained(model, str(adapter)).eval()
    ids = torch.arange(5, 25)[None].repeat(2, 1)
    with torch.no_grad():
        expected = theirs(input_ids=ids, adapter_names=["__base__", "default"]).logits
        pair.rows.base = 1
        ours = pair.model(input_ids=ids).logits
    assert torch.equal(ours, expected)
    assert not torch.equal(ours[0], ours[1])


def test_mistral_pairs_too(tmp_path, tokenizer):
    base = tiny_model(tmp_path / "mistral", tokenizer, kind="mistral")
    folder = tiny_adapter(tmp_path / "run" / "adapter", base, tokenizer)
    assert load_pair(str(base), str(folder)).model.config.model_type == "mistral"


def test_bf16_pairs_too(tiny_base, adapter):
    loaded = load_pair(str(tiny_base), str(adapter), precision="bf16")
    layer = next(layer for layer in loaded.model.modules() if isinstance(layer, PairedLinear))
    assert layer.base.weight.dtype == torch.bfloat16 and loaded.precision == "bf16"
