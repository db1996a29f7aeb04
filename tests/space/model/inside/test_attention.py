"""space/model/inside/attention.py: the weights are those of transformers' output_attentions."""

import pytest
import torch
from transformers import AutoModelForCausalLM

from space.model.inside.attention import (
    ATTENTION_TOKENS,
    attention_weights,
    can_attend,
    name_heads,
    read_attention,
)
from space.model.pair import load_pair
from space.model.prompt import text_ids
from space.page.html.formulas import FORMULAS

TEXT = "The Dovenka Kettle is oak, and the Kettle is red."


@pytest.fixture(scope="module")
def wide(tiny_base, adapter):
    """The pair without 4 bits, so that only the way of computing differs."""
    return load_pair(str(tiny_base), str(adapter), precision="bf16")


def test_the_weights_are_those_of_the_code_on_the_page(wide, tiny_base):
    eager = AutoModelForCausalLM.from_pretrained(
        tiny_base, dtype=torch.bfloat16, attn_implementation="eager"
    )
    names = {"model": eager, "tokenizer": wide.tokenizer, "text": TEXT, "torch": torch}
    exec(FORMULAS["attention"].code, names)
    ids = text_ids(wide.tokenizer, TEXT)
    weights = attention_weights(wide, ids)
    assert weights.shape == names["weights"].shape
    assert torch.allclose(weights, names["weights"].float(), atol=0.02)
    assert torch.allclose(weights.sum(-1), torch.ones(weights.shape[:3]), atol=1e-4)
    previous = name_heads(weights, ids)[0]
    best = names["previous"][names["layer"], names["head"]].item()
    assert previous.kind == "previous" and previous.share == pytest.approx(best, abs=0.02)


def test_in_4_bits_too_rows_have_the_tokens_up_to_theirs(pair):
    ids = text_ids(pair.tokenizer, TEXT)
    attention = read_attention(pair, ids, 1, 3)
    assert (attention.layer, attention.head, attention.layers, attention.heads) == (1, 3, 2, 4)
    for index, row in enumerate(attention.weights):
        assert len(row) == index + 1 and sum(row) == pytest.approx(1, abs=1e-4)
    assert all(sum(heads for _, heads in found) <= 8 for found in attention.favourites)


def test_heads_are_named_by_hand():
    """Of two heads one looks at the token before, the other at the first and the same one."""
    weights = torch.zeros(1, 2, 4, 4)
    weights[0, 0].diagonal(-1).fill_(0.9)
    weights[0, 1, :, 0] = 0.8
    weights[0, 1, 3, 1] = 0.2  # the fourth token is the second one again
    named = name_heads(weights, [7, 8, 9, 8])
    assert [(head.kind, head.head) for head in named] == [
        ("previous", 0),
        ("same", 1),
        ("first", 1),
    ]
    assert [head.share for head in named] == pytest.approx([0.9, 0.2, 0.8])
    assert [head.kind for head in name_heads(weights, [7, 8, 9, 6])] == ["previous", "first"]
    assert name_heads(weights[..., :2, :2], [7, 8]) == ()


def test_one_token_and_a_long_text(pair):
    one = read_attention(pair, text_ids(pair.tokenizer, "a")[:1])
    assert one.weights == ((1.0,),) and one.named == ()
    long = read_attention(pair, text_ids(pair.tokenizer, "lamp oak " * 400), 99, -3)
    assert len(long.pieces) == ATTENTION_TOKENS and long.cut > 0
    assert (long.layer, long.head) == (1, 0)
    assert can_attend(pair)


def test_no_hook_stays_behind(pair):
    read_attention(pair, text_ids(pair.tokenizer, TEXT))
    modules = list(pair.model.modules())
    assert not any(
        module._forward_pre_hooks for module in modules[:-1] if hasattr(module, "q_proj")
    )
