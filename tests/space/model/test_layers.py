"""space/model/layers.py: decoded and fused layers compute what bitsandbytes and PEFT compute."""

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig, PeftModel, get_peft_model

from space.model.base import load_base
from space.model.layers import DecodedLinear, FusedPart, available_memory, pair_up

IDS = torch.arange(5, 42)[None].repeat(2, 1)


def kinds(model, kind):
    return [layer for layer in model.modules() if isinstance(layer, kind)]


def test_decoded_and_fused_layers_give_the_bits_of_the_packed_base(tiny_base):
    packed, decoded = (load_base(str(tiny_base))[0] for _ in range(2))
    pair_up(decoded)
    assert len(kinds(packed, Linear4bit)) == 14 and not kinds(decoded, Linear4bit)
    # query, key and value are one matmul, and gate and up: four a layer of the model, not seven.
    assert len(kinds(decoded, DecodedLinear)) == 8 and len(kinds(decoded, FusedPart)) == 10
    with torch.no_grad():
        assert torch.equal(decoded(input_ids=IDS).logits, packed(input_ids=IDS).logits)


@pytest.mark.parametrize("alpha", [16, 24])  # 24 / 8 is no power of two
def test_fused_lora_gives_pefts_bits_step_by_step(tiny_base, adapter, alpha):
    theirs = PeftModel.from_pretrained(load_base(str(tiny_base))[0], str(adapter)).eval()
    ours = PeftModel.from_pretrained(load_base(str(tiny_base))[0], str(adapter)).eval()
    for model in (theirs, ours):
        for layer in model.modules():
            if hasattr(layer, "scaling") and isinstance(layer.scaling, dict):
                layer.scaling["default"] = alpha / 8
    paired = ours.base_model.model
    rows = pair_up(paired)
    with torch.no_grad():
        for length in (1, 2, 20, 37):
            ids = IDS[:, :length]
            expected = theirs(input_ids=ids, adapter_names=["__base__", "default"]).logits
            for base, part in ((1, slice(0, 2)), (0, slice(1, 2)), (2, slice(0, 1))):
                rows.base = base
                got = paired(input_ids=ids).logits
                index = 1 if base == 0 else 0
                assert torch.equal(got[index], expected[index])
                assert base != 1 or torch.equal(got[part], expected[part])


def test_an_adapter_on_some_layers_leaves_the_others_untouched(tiny_base):
    models = []
    for _ in range(2):
        torch.manual_seed(2)
        config = LoraConfig(r=8, target_modules=["q_proj", "up_proj"])
        models.append(get_peft_model(load_base(str(tiny_base), training=True)[0], config).eval())
        for name, parameter in models[-1].named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.2)
    theirs, paired = models[0], models[1].base_model.model
    rows = pair_up(paired)
    with torch.no_grad():
        expected = theirs(input_ids=IDS, adapter_names=["__base__", "default"]).logits
        rows.base = 1
        assert torch.equal(paired(input_ids=IDS).logits, expected)
    assert not torch.equal(expected[0], expected[1])


def test_a_containers_limit_counts(tmp_path):
    (tmp_path / "proc").mkdir()
    assert available_memory(tmp_path) == 0
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 4 kB\n")
    assert available_memory(tmp_path) == 4096
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.max").write_text("max\n")
    (group / "memory.current").write_text("1000\n")
    assert available_memory(tmp_path) == 4096
    (group / "memory.max").write_text("3000\n")
    assert available_memory(tmp_path) == 2000
