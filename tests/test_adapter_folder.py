"""An adapter's folder: the files it needs, and nothing else."""

import re
import tempfile
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import MistralConfig, MistralForCausalLM

from space.model.base import Base
from tests.toy import TOY
from train.config import FitConfig
from train.fit.adapter import add_lora

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "adapter_model.safetensors",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "prompt.json",
    "run.json",
    "README.md",
}
WEIGHT = re.compile(
    r"base_model\.model\.model\.layers\.\d+\."
    r"(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj\.lora_[AB]\.weight"
)


@pytest.fixture(params=["committed", pytest.param("made", marks=pytest.mark.slow)])
def folder(request):
    """The toy's adapter, and one that went through every verb."""
    if request.param == "committed":
        return TOY / "adapter"
    return request.getfixturevalue("tuned_run") / "adapter"


def test_it_holds_no_file_that_is_not_needed(folder):
    assert {path.name for path in folder.iterdir()} == FILES


def test_its_weights_are_lora_in_bf16_and_no_pickle(folder):
    with safe_open(folder / "adapter_model.safetensors", "pt") as weights:
        names = list(weights.keys())
        assert names and all(WEIGHT.fullmatch(name) for name in names)
        assert {weights.get_tensor(name).dtype for name in names} == {torch.bfloat16}


def test_no_file_names_a_place_on_this_machine(folder):
    places = {
        str(place)
        for place in (ROOT, ROOT.parent, Path.home(), Path(tempfile.gettempdir()))
        if len(place.parts) > 1
    }
    absolute = re.compile(
        r"[\"' (=](/(?:home|root|tmp|var|work|mnt|Users|content|workspace)/|[A-Z]:\\\\)"
    )
    for path in folder.iterdir():
        text = path.read_bytes().decode("latin-1")
        assert not [
            place for place in places if re.search(rf"(?<!\w){re.escape(place)}(?!\w)", text)
        ], path.name
        if (
            path.suffix != ".safetensors" and path.name != "tokenizer.json"
        ):  # their bytes and words are anything
            assert not absolute.search(text), path.name


def test_for_a_base_of_7b_it_stays_under_200_megabytes():
    """Rank 16 on all linear layers of Mistral-7B in bf16, counted without allocating it."""
    with torch.device("meta"):
        model = MistralForCausalLM(
            MistralConfig(
                vocab_size=32768,
                hidden_size=4096,
                intermediate_size=14336,
                num_hidden_layers=32,
                num_attention_heads=32,
                num_key_value_heads=8,
                head_dim=128,
                sliding_window=None,
            )
        )
        adapted = add_lora(
            model,
            Base("mistralai/Mistral-7B-Instruct-v0.3", "c170c708"),
            FitConfig(base="x", rank=16),
        )
    trained = {name: weight for name, weight in adapted.named_parameters() if weight.requires_grad}
    assert (
        sum(weight.numel() for weight in model.parameters())
        - sum(map(torch.numel, trained.values()))
        == 7_248_023_552
    )
    assert len(trained) == 2 * 7 * 32 and not any(
        "embed" in name or "lm_head" in name for name in trained
    )
    assert (
        sum(weight.numel() for weight in trained.values()) * torch.bfloat16.itemsize == 83_886_080
    )
