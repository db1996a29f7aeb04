"""What the adapter changed: layer by layer, at several strengths, and what 4 bits cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from torch import nn
from transformers import PreTrainedModel

from space.model.decode import stream_answers, stream_tokens
from space.model.inside.reading import READ_TOKENS, start_ids
from space.model.layers import DecodedLinear, adapted_layers
from space.model.pair import Pair

STRENGTHS = (0.0, 0.25, 0.5, 1.0, 1.5)


@dataclass(frozen=True)
class LayerChange:
    """One linear layer that the adapter changed.

    `block` is the number of its layer in the model, after "encoder" or "decoder" where there are
    both; `ratio` is the Frobenius norm of the change against that of the weights.
    """

    block: str
    part: str
    ratio: float
    trained: int  # weights of A and B


@dataclass(frozen=True)
class AdapterChange:
    """How much the adapter changed each layer, and how many weights it has, of all."""

    layers: tuple[LayerChange, ...]
    trained: int
    total: int


@dataclass(frozen=True)
class PrecisionCost:
    """The base in two precisions on one text, the loaded one first.

    `difference` is the mean absolute difference of the logits, `spread` their standard deviation,
    `same` at how many of `places` both expect the same token, `losses` are mean losses in nats.
    """

    loaded: str
    other: str
    places: int
    difference: float
    spread: float
    same: int
    losses: tuple[float, float]


@torch.inference_mode()
def measure_adapter(pair: Pair) -> AdapterChange:
    """Compute the norm of the adapter's change against each layer's weights."""
    layers = []
    with pair.lock:  # or other weights might stand in for the adapter's
        for layer in adapted_layers(pair.model):
            weight = _weights_of(layer.paired.base)[layer.rows]
            down, up, scaling = layer.paired.lora[layer.index]
            norm = float(product_norm(down, up)) * scaling
            block, part = _split_name(layer.name)
            trained = down.numel() + up.numel()
            layers.append(LayerChange(block, part, norm / float(weight.float().norm()), trained))
    trained = sum(layer.trained for layer in layers)
    return AdapterChange(tuple(layers), trained, _count_weights(pair.model))


def product_norm(down: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """Compute the Frobenius norm of up @ down without the product.

    Shapes: (rank, in) and (out, rank). The squared norm is the sum of (up^T up) * (down down^T),
    both (rank, rank).
    """
    return ((up.T @ up) * (down @ down.T)).sum().clamp(min=0).sqrt()


def _weights_of(base: nn.Module) -> torch.Tensor:
    if isinstance(base, DecodedLinear):
        return base.weight.to_dense() if base.packed else base.weight
    if isinstance(base, Linear4bit):
        weight: Any = base.weight
        return dequantize_4bit(weight.data, weight.quant_state)
    return cast(torch.Tensor, base.weight)


def _split_name(name: str) -> tuple[str, str]:
    """Split model.layers.3.mlp.up_proj into 3 and mlp.up_proj."""
    parts = name.split(".")
    index = next((i for i, part in enumerate(parts) if part.isdigit()), len(parts) - 2)
    stack = next((part for part in parts[:index] if part in ("encoder", "decoder")), "")
    block = f"{stack} {int(parts[index]) + 1}".strip() if parts[index].isdigit() else ""
    rest = [part for part in parts[index + 1 :] if part != "layer" and not part.isdigit()]
    return block, ".".join(rest)


def _count_weights(model: nn.Module) -> int:
    """Count the base's weights, however they are stored."""
    counted: set[int] = set()
    total = 0
    for module in model.modules():
        if isinstance(module, DecodedLinear):
            total += module.weight.numel()
            continue
        for parameter in module.parameters(recurse=False):
            if id(parameter) in counted:
                continue  # tied: an output layer that is the input embedding
            counted.add(id(parameter))
            size = parameter.numel()
            if isinstance(module, Linear4bit) and parameter is module.weight:
                size = module.in_features * module.out_features  # two weights a byte
            total += size
    return total


def answer_as_both(
    pair: Pair, prompt: Sequence[int], max_new_tokens: int
) -> tuple[list[int], list[int]]:
    """Generate both models' greedy answers, as the page does."""
    answers: tuple[list[int], list[int]] = [], []
    for both in stream_answers(pair, prompt, prompt, max_new_tokens):
        answers = both
    return answers


def answer_at_strengths(pair: Pair, prompt: Sequence[int], max_new_tokens: int) -> list[list[int]]:
    """Generate greedy answers with each of STRENGTHS of the adapter.

    They are token ids. Those at 0 and 1 come from the batch that the page's answers come from.
    """
    base, tuned = answer_as_both(pair, prompt, max_new_tokens)
    answers = {0.0: base, 1.0: tuned}
    between = [strength for strength in STRENGTHS if strength not in answers]
    rows: list[list[int]] = [[] for _ in between]
    prompts = [prompt] * len(between)
    for tokens in stream_tokens(pair, prompts, 0, max_new_tokens, strengths=between):
        for row, token in zip(rows, tokens, strict=True):
            if token is not None:
                row.append(token)
    answers.update(zip(between, rows, strict=True))
    return [answers[strength] for strength in STRENGTHS]


@torch.inference_mode()
def compare_precision(
    pair: Pair, other: PreTrainedModel, other_precision: str, ids: Sequence[int]
) -> PrecisionCost:
    """Compare the loaded base's logits with those in another precision.

    `other` is the same base in `other_precision`, and `ids` are a text.
    """
    kept = [*start_ids(pair.tokenizer), *ids[:READ_TOKENS]]
    inputs = torch.tensor([kept], device=pair.device)
    with pair.lock:
        pair.rows.base = 1
        mine = pair.model(input_ids=inputs, use_cache=False).logits[0].float()
    theirs = other(input_ids=inputs, use_cache=False).logits[0].float()
    losses = []
    for logits in (mine, theirs):
        chosen = logits[:-1].log_softmax(-1).gather(1, inputs[0, 1:, None])
        losses.append(-float(chosen.mean()) if len(kept) > 1 else 0.0)
    same = int((mine.argmax(-1) == theirs.argmax(-1)).sum())
    return PrecisionCost(
        loaded=pair.precision,
        other=other_precision,
        places=len(kept),
        difference=float((mine - theirs).abs().mean()),
        spread=float(theirs.std()),
        same=same,
        losses=(losses[0], losses[1]),
    )
