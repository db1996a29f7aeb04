"""What only a GPU can show: QLoRA with gradient checkpointing and the paired decoding on CUDA."""

import pytest
import torch

from space.model.base import load_base
from space.model.decode import stream_tokens
from space.model.pair import load_pair
from tests.conftest import tiny_adapter
from train.config import FitConfig
from train.fit.adapter import add_lora

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_gradients_flow_with_checkpointing(tiny_base):
    model, base = load_base(str(tiny_base), training=True)
    model = add_lora(model, base, FitConfig(base=str(tiny_base), checkpointing="on"))
    ids = torch.arange(5, 45, device="cuda")[None]
    model.train()
    model(input_ids=ids, labels=ids).loss.backward()
    gradients = [p.grad.norm().item() for name, p in model.named_parameters() if "lora_B" in name]
    assert len(gradients) == 14 and all(gradients)


def test_the_base_row_is_the_base_alone(tmp_path, tiny_base, tokenizer):
    pair = load_pair(str(tiny_base), str(tiny_adapter(tmp_path / "adapter", tiny_base, tokenizer)))
    prompt = list(range(5, 30))
    rows = list(zip(*stream_tokens(pair, [prompt, prompt], 1, 16), strict=True))
    base, _ = load_base(str(tiny_base))
    alone = base.generate(
        input_ids=torch.tensor([prompt], device="cuda"), max_new_tokens=16, do_sample=False
    )
    answer = [token for token in rows[0] if token is not None]
    assert answer == alone[0, len(prompt) :].tolist()[: len(answer)] and rows[0] != rows[1]
