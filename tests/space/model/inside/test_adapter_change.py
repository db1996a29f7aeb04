"""space/model/inside/adapter_change.py: norms as PEFT has them, and answers between the models."""

import pytest
import torch
from peft import PeftModel

from space.model.base import load_base
from space.model.decode import complete, stream_tokens
from space.model.inside.adapter_change import (
    STRENGTHS,
    answer_at_strengths,
    compare_precision,
    measure_adapter,
    product_norm,
)
from space.model.pair import load_pair
from space.model.prompt import prompt_ids, text_ids
from space.page.html.formulas import FORMULAS

NEW = 16


@pytest.fixture(scope="module")
def prompt(pair):
    return prompt_ids(pair.tokenizer, pair.prompt_template, "describe", "What is the Dovenka?")


@pytest.mark.parametrize("precision", ["nf4", "bf16"])
def test_the_norms_are_those_of_the_code_on_the_page(tiny_base, adapter, precision):
    pair = load_pair(str(tiny_base), str(adapter), precision=precision)
    names = {"model": load_base(str(tiny_base), precision="bf16")[0], "adapter": str(adapter)}
    exec(FORMULAS["tuning"].code, names)
    change = measure_adapter(pair)
    expected = {}
    for name, ratio in names["changes"].items():
        expected[name.split("layers.")[1]] = ratio
    found = {}
    for layer in change.layers:
        found[f"{int(layer.block) - 1}.{layer.part}"] = layer.ratio
    assert found == pytest.approx(expected, rel=0.02)
    assert change.trained == sum(
        parameter.numel()
        for name, parameter in names["tuned"].named_parameters()
        if "lora_" in name
    )
    plain = load_base(str(tiny_base), precision="bf16")[0]
    assert change.total == sum(parameter.numel() for parameter in plain.parameters())


def test_a_products_norm_by_hand():
    down, up = torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0], [2.0]])
    assert float(product_norm(down, up)) == pytest.approx(125**0.5)  # of [[3, 4], [6, 8]]


def test_the_ends_of_the_slider_are_the_base_and_the_tuned_model(pair, prompt):
    answers = answer_at_strengths(pair, prompt, NEW)
    (base,), (tuned,) = (complete(pair, [prompt], NEW, tuned=one) for one in (False, True))
    by_strength = dict(zip(STRENGTHS, answers, strict=True))
    assert by_strength[0.0] == base and by_strength[1.0] == tuned and base != tuned
    assert pair.rows.strength is None


def test_a_strength_is_pefts_scaling(pair, prompt, tiny_base, adapter):
    theirs = PeftModel.from_pretrained(load_base(str(tiny_base))[0], str(adapter)).eval()
    for layer in theirs.modules():
        if hasattr(layer, "lora_A"):
            layer.scaling["default"] *= 0.5
    with torch.no_grad():
        expected = theirs(input_ids=torch.tensor([prompt])).logits[0, -1].float()
    pair.rows.base, pair.rows.strength = 0, torch.tensor([0.5])[:, None, None]
    try:
        with torch.no_grad():
            got = pair.model(input_ids=torch.tensor([prompt])).logits[0, -1].float()
    finally:
        pair.rows.strength = None
    assert torch.allclose(got, expected, atol=0.13)


def test_strengths_0_and_1_in_one_batch_are_both_models(pair, prompt):
    rows = [[], []]
    for tokens in stream_tokens(pair, [prompt] * 2, 0, 4, strengths=(0.0, 1.0)):
        for row, token in zip(rows, tokens, strict=True):
            row.append(token)
    assert rows[0][0] == complete(pair, [prompt], 1, tuned=False)[0][0]
    assert rows[1][0] == complete(pair, [prompt], 1, tuned=True)[0][0]


def test_a_generation_that_is_closed_leaves_the_full_strength(pair, prompt):
    steps = stream_tokens(pair, [prompt], 0, 4, strengths=(0.5,))
    next(steps)
    assert pair.rows.strength is not None
    steps.close()
    assert pair.rows.strength is None


def test_the_cost_of_4_bits(pair, tiny_base):
    ids = text_ids(pair.tokenizer, "The Dovenka Kettle is oak.")
    wide = load_base(str(tiny_base), precision="bf16")[0]
    cost = compare_precision(pair, wide, "bf16", ids)
    assert (cost.loaded, cost.other, cost.places) == ("nf4", "bf16", len(ids))
    assert 0 < cost.difference < cost.spread and 0 <= cost.same <= cost.places
    narrow = load_base(str(tiny_base))[0]
    same = compare_precision(pair, narrow, "nf4", ids)
    assert same.difference < 0.05 and same.losses[0] == pytest.approx(same.losses[1], abs=0.05)
