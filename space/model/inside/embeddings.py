"""What the base finds alike: tokens by their embeddings, texts by their mean hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch.nn.functional import normalize

from space.model.explain import spell_token
from space.model.family import DecoderOnly
from space.model.inside.reading import READ_TOKENS, Word
from space.model.pair import Pair

NEIGHBOURS = 6
VOCABULARY_STEP = 8192  # embeddings in fp32 at once
# A batch's tokens with padding, and how much longer than its shortest text its longest may be.
BATCH_TOKENS, LONGEST = 512, 1.5


@dataclass(frozen=True)
class Neighbour:
    """A token with the cosine of its embedding and a word's."""

    text: str
    cosine: float


@dataclass(frozen=True)
class WordNeighbours:
    """A word, and the tokens whose embeddings lie nearest to the mean of its own."""

    word: str
    pieces: tuple[str, ...]
    neighbours: tuple[Neighbour, ...]


@torch.inference_mode()
def nearest_tokens(
    pair: Pair, words: Sequence[Word], count: int = NEIGHBOURS
) -> list[WordNeighbours]:
    """Find the tokens nearest to each word.

    Nearness is the cosine of input embeddings. A word of several tokens is the mean of theirs. Its
    own tokens and special ones are left out.
    """
    if not words:
        return []
    weight = cast(torch.Tensor, pair.model.get_input_embeddings().weight)
    own = []
    for word in words:
        rows = torch.tensor(word.ids, device=weight.device)
        own.append(weight[rows].float().mean(dim=0))
    wanted = normalize(torch.stack(own), dim=-1)
    cosines = []
    for part in weight[: len(pair.tokenizer)].split(VOCABULARY_STEP):
        cosines.append(wanted @ normalize(part.float(), dim=-1).T)
    scores = torch.cat(cosines, dim=1)
    special = torch.tensor(sorted(set(pair.tokenizer.all_special_ids)), device=scores.device)
    scores[:, special.long()] = -2.0  # below every cosine
    for row, word in zip(scores, words, strict=True):
        row[torch.tensor(word.ids, device=scores.device)] = -2.0
    top = scores.topk(min(count, scores.shape[1]))
    found = []
    for word, values, ids in zip(words, top.values.tolist(), top.indices.tolist(), strict=True):
        neighbours = []
        for cosine, token in zip(values, ids, strict=True):
            neighbours.append(Neighbour(spell_token(pair.tokenizer, token), cosine))
        found.append(WordNeighbours(word.text, word.pieces, tuple(neighbours)))
    return found


@torch.inference_mode()
def mean_hidden(pair: Pair, texts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Compute the base's mean last hidden state of each text.

    Shape: (texts, hidden), in fp32. A text is its token ids. Before it stands a start token that
    does not count: a model gathers there what belongs to no token. An encoder-decoder's encoder
    reads it without one.
    """
    decoder = isinstance(pair.family, DecoderOnly)
    start: list[int] = []
    if decoder:
        tokenizer: Any = pair.tokenizer
        first = tokenizer.bos_token_id
        start = [tokenizer.eos_token_id if first is None else first]
    model = pair.model.base_model if decoder else pair.model.get_encoder()
    means: list[torch.Tensor] = [torch.empty(0)] * len(texts)
    for batch in group_lengths([len(text) for text in texts]):
        rows = [[*start, *texts[index][:READ_TOKENS]] for index in batch]
        with pair.lock:
            pair.rows.base = len(rows)
            hidden = _read_rows(pair, model, rows)
        for index, states, row in zip(batch, hidden, rows, strict=True):
            means[index] = states[len(start) : len(row)].float().mean(dim=0).cpu()
    return torch.stack(means)


def group_lengths(lengths: Sequence[int]) -> list[list[int]]:
    """Group texts of similar lengths, as indices.

    Padding costs as much as tokens.
    """
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index]):
        length, batch = lengths[index], batches[-1] if batches else []
        fits = (len(batch) + 1) * length <= BATCH_TOKENS
        if batch and fits and length <= LONGEST * lengths[batch[0]]:
            batch.append(index)
        else:
            batches.append([index])
    return batches


def _read_rows(pair: Pair, model, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    longest = max(len(row) for row in rows)
    padded, mask = [], []
    for row in rows:
        padding = [0] * (longest - len(row))
        padded.append([*row, *padding])
        mask.append([1] * len(row) + padding)
    options = {"use_cache": False} if isinstance(pair.family, DecoderOnly) else {}
    return model(
        input_ids=torch.tensor(padded, device=pair.device),
        attention_mask=torch.tensor(mask, device=pair.device),
        **options,
    ).last_hidden_state


def nearest_vectors(
    vector: Sequence[float], known: Sequence[Sequence[float]], count: int
) -> list[tuple[int, float]]:
    """Rank known vectors by cosine, less the mean of all.

    Without the mean, which all hidden states share, every cosine would be near 1. Returns up to
    `count` of (index, cosine), nearest first.
    """
    if not known:
        return []
    table = torch.tensor(known)
    mean = table.mean(dim=0)
    cosines = normalize(table - mean, dim=-1) @ normalize(torch.tensor(vector) - mean, dim=-1)
    top = cosines.topk(min(count, len(table)))
    return list(zip(top.indices.tolist(), top.values.tolist(), strict=True))
