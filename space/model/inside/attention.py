"""Compute the attention of the base's heads from queries and keys, and name some heads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from transformers.models.llama.modeling_llama import LlamaAttention, apply_rotary_pos_emb
from transformers.models.mistral.modeling_mistral import MistralAttention

from space.model.explain import spell_token
from space.model.inside.reading import start_ids
from space.model.pair import Pair

ATTENTION_TOKENS = 64  # of a text; the weights of all heads grow with its square
FAVOURITES = 4  # tokens at which most heads look


@dataclass(frozen=True)
class NamedHead:
    """A head that looks mostly at one kind of token: `kind` is previous, same or first.

    `share` is the part of its attention that goes there, as a mean over the tokens that have one.
    """

    kind: str
    layer: int
    head: int
    share: float


@dataclass(frozen=True)
class Attention:
    """One head's attention over a text.

    `weights` has a row for each token: the weights of the tokens up to it, which sum to 1.
    `favourites` has for each token the tokens that most heads of the model look at most, each as
    (index, heads). `layer` and `head` count from 0. `cut` tokens were left out.
    """

    pieces: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]
    favourites: tuple[tuple[tuple[int, int], ...], ...]
    named: tuple[NamedHead, ...]
    layer: int
    head: int
    layers: int
    heads: int
    cut: int


def can_attend(pair: Pair) -> bool:
    """Check whether this kind of base's attention can be computed."""
    return bool(_modules(pair))


def _modules(pair: Pair) -> list[LlamaAttention | MistralAttention]:
    kinds = (LlamaAttention, MistralAttention)
    return [module for module in pair.model.modules() if isinstance(module, kinds)]


@torch.inference_mode()
def read_attention(
    pair: Pair, ids: Sequence[int], layer: int | None = None, head: int | None = None
) -> Attention:
    """Compute the base's attention over a text.

    softmax(q k^T / sqrt(head size)) under the causal mask, of the first ATTENTION_TOKENS tokens.
    Without a layer and a head it is that of the first named head. The model itself runs with its
    own fused attention, which returns no weights.
    """
    kept = [*start_ids(pair.tokenizer), *ids][:ATTENTION_TOKENS]
    weights = attention_weights(pair, kept)
    named = name_heads(weights, kept)
    layers, heads = weights.shape[:2]
    if layer is None or head is None:
        layer, head = (named[0].layer, named[0].head) if named else (0, 0)
    layer, head = min(max(layer, 0), layers - 1), min(max(head, 0), heads - 1)
    rows = []
    for index, row in enumerate(weights[layer, head].tolist()):
        rows.append(tuple(row[: index + 1]))
    return Attention(
        pieces=tuple(spell_token(pair.tokenizer, token) for token in kept),
        weights=tuple(rows),
        favourites=_favourites(weights),
        named=named,
        layer=layer,
        head=head,
        layers=layers,
        heads=heads,
        cut=max(0, len(ids) - len(kept)),
    )


def attention_weights(pair: Pair, ids: Sequence[int]) -> torch.Tensor:
    """Compute every head's attention.

    Shape: (layers, heads, tokens, tokens), in fp32 on the CPU.
    """
    modules = _modules(pair)
    caught: dict[int, dict[str, torch.Tensor]] = {}
    with pair.lock, _caught(modules, caught):
        pair.rows.base = 1
        pair.model.base_model(input_ids=torch.tensor([ids], device=pair.device), use_cache=False)
    layers = []
    for index, module in enumerate(modules):
        layers.append(_weights(module, caught[index]))
    return torch.stack(layers).cpu()


@contextmanager
def _caught(
    modules: Sequence[LlamaAttention | MistralAttention], caught: dict[int, dict[str, torch.Tensor]]
) -> Iterator[None]:
    """Keep each layer's queries, keys and rotary angles of one forward pass."""
    handles = []

    def keep_angles(index: int):
        def hook(module, inputs, options) -> None:
            cos, sin = options["position_embeddings"]
            caught.setdefault(index, {}).update(cos=cos, sin=sin)

        return hook

    def keep_output(index: int, name: str):
        def hook(module, inputs, output) -> None:
            caught[index][name] = output

        return hook

    for index, module in enumerate(modules):
        handles.append(module.register_forward_pre_hook(keep_angles(index), with_kwargs=True))
        for name in ("q_proj", "k_proj"):
            layer = cast(torch.nn.Module, getattr(module, name))
            handles.append(layer.register_forward_hook(keep_output(index, name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _weights(
    module: LlamaAttention | MistralAttention, kept: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Compute (heads, tokens, tokens) from a layer's queries and keys."""
    tokens = kept["q_proj"].shape[1]
    shape = (1, tokens, -1, module.head_dim)
    query = kept["q_proj"].view(shape).transpose(1, 2)
    key = kept["k_proj"].view(shape).transpose(1, 2)
    query, key = apply_rotary_pos_emb(query, key, kept["cos"], kept["sin"])
    key = key.repeat_interleave(module.num_key_value_groups, dim=1)
    scores = query[0].float() @ key[0].float().transpose(1, 2) * module.scaling
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(later, float("-inf")).softmax(-1)


def name_heads(weights: torch.Tensor, ids: Sequence[int]) -> tuple[NamedHead, ...]:
    """Find heads that look at the previous, same or first token.

    `weights` is (layers, heads, tokens, tokens). Counted from the third token on, for which
    previous and first token differ; the same token is one of equal id before. A text without a
    third token names none, and one without a repeated token no head for that.
    """
    tokens = len(ids)
    if tokens < 3:
        return ()
    numbers = torch.tensor(ids)
    same = (numbers[:, None] == numbers[None, :]).tril(-1)
    previous = torch.zeros(tokens, tokens, dtype=torch.bool)
    previous.diagonal(-1).fill_(True)
    first = torch.zeros(tokens, tokens, dtype=torch.bool)
    first[:, 0] = True
    named = []
    for kind, wanted in (("previous", previous), ("same", same), ("first", first)):
        counted = wanted.any(dim=1)
        counted[:2] = False
        if not counted.any():
            continue
        shares = (weights * wanted).sum(dim=-1)[:, :, counted].mean(dim=-1)
        best = int(shares.argmax())
        layer, head = divmod(best, shares.shape[1])
        named.append(NamedHead(kind, layer, head, float(shares[layer, head])))
    return tuple(named)


def _favourites(weights: torch.Tensor) -> tuple[tuple[tuple[int, int], ...], ...]:
    most = weights.argmax(dim=-1).flatten(0, 1)  # (heads of all layers, tokens)
    found = []
    for column in most.T.tolist():
        found.append(tuple(Counter(column).most_common(FAVOURITES)))
    return tuple(found)
