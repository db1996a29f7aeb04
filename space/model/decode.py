"""Two answers from ONE batched generation: the base's rows first, the tuned rows after them, one forward pass a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from space.model.family import EncodedReading, Reading
from space.model.pair import Pair

ROOM = 16  # tokens that a cache has room for before it is copied to a larger one


def answer_both(
    pair: Pair,
    base_prompt: Sequence[int],
    tuned_prompt: Sequence[int],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = None,
) -> Iterator[tuple[str, str]]:
    """Yields (base text, tuned text) after every step, growing, each ending at its own end.

    The prompts are token ids and may differ. At temperature 0 each answer is, token for token, what its model alone
    would say. Closing the generator frees the model at once; an error in the model is raised here.
    """
    for base, tuned in tokens_of_both(
        pair, base_prompt, tuned_prompt, max_new_tokens, temperature, seed
    ):
        yield text_of(pair, base), text_of(pair, tuned)


def tokens_of_both(
    pair: Pair,
    base_prompt: Sequence[int],
    tuned_prompt: Sequence[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = None,
) -> Iterator[tuple[list[int], list[int]]]:
    """Yields the same answers as token ids, without their ends: the same two lists each time, one step longer."""
    answers: tuple[list[int], list[int]] = [], []
    for tokens in stream_tokens(
        pair, [base_prompt, tuned_prompt], 1, max_new_tokens, temperature, seed
    ):
        for answer, token in zip(answers, tokens, strict=True):
            if token is not None:
                answer.append(token)
        yield answers


def complete(
    pair: Pair, prompts: Sequence[Sequence[int]], max_new_tokens: int, tuned: bool
) -> list[str]:
    """Returns the greedy answers of one of the two models to every prompt (token ids), all in one batch."""
    return [text_of(pair, answer) for answer in completions(pair, prompts, max_new_tokens, tuned)]


def completions(
    pair: Pair, prompts: Sequence[Sequence[int]], max_new_tokens: int, tuned: bool
) -> list[list[int]]:
    """Returns the same answers as token ids, without their ends; one of fewer than `max_new_tokens` came to its end."""
    answers: list[list[int]] = [[] for _ in prompts]
    for tokens in stream_tokens(pair, prompts, 0 if tuned else len(prompts), max_new_tokens):
        for answer, token in zip(answers, tokens, strict=True):
            if token is not None:
                answer.append(token)
    return answers


def text_of(pair: Pair, ids: list[int]) -> str:
    """Returns the ids as text, without a half-finished character at its end."""
    return pair.tokenizer.decode(ids, skip_special_tokens=True).rstrip("\ufffd").strip()


def stream_tokens(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    base_rows: int,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = None,
) -> Iterator[list[int | None]]:
    """Yields one token a row and step, None for a row past its end; the first `base_rows` rows are the base's.

    With a temperature, base and tuned draw with the same random numbers: where the models agree, so do the words.
    """
    device = pair.device
    dice = [torch.Generator(device).manual_seed(torch.seed() if seed is None else seed)]
    dice += [torch.Generator(device) for _ in range(len(prompts) > base_rows > 0)]
    dice[-1].set_state(dice[0].get_state())
    alive, stop_ids = [True] * len(prompts), pair.stop_ids
    reading = pair.family.reading(pair.model, prompts, roomy_cache(pair.model.config))
    said = torch.empty(len(prompts), 0, dtype=torch.long, device=device)
    with pair.lock:
        for _ in range(max_new_tokens):
            logits = _forward(pair, reading, said, base_rows)
            chosen = _choose(logits, temperature, dice, base_rows)
            tokens = chosen.tolist()
            shown = [
                token if going and token not in stop_ids else None
                for token, going in zip(tokens, alive, strict=True)
            ]
            alive = [token is not None for token in shown]
            if not any(alive):
                return
            yield shown
            said = chosen[:, None]


class RoomyLayer(DynamicLayer):
    """One layer's keys and values with room for tokens to come: a step writes one place and copies nothing before it."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, ...]:
        """Adds the keys and values, each (rows, heads, tokens, size), and returns all so far."""
        new = key_states, value_states
        if not self.is_initialized:
            self.lazy_initialization(*new)
            self.room = [states[..., :0, :] for states in new]
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self.room[0].shape[-2]:
            self.room = [_larger(kept[..., :start, :], end + ROOM) for kept in self.room]
        for kept, states in zip(self.room, new, strict=True):
            kept[..., start:end, :] = states
        self.keys, self.values = (kept[..., :end, :] for kept in self.room)
        return self.keys, self.values


def _larger(kept: torch.Tensor, length: int) -> torch.Tensor:
    rows, heads, tokens, size = kept.shape
    larger = kept.new_empty(rows, heads, length, size)
    larger[..., :tokens, :] = kept
    return larger


def roomy_cache(config) -> DynamicCache:
    """Returns an empty cache; layers with a sliding window keep to transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [
        RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    cache.layer_class_to_replicate = (
        RoomyLayer  # a T5's config counts its encoder's layers, and its decoder may have more
    )
    return cache


@torch.inference_mode()
def _forward(
    pair: Pair, reading: Reading | EncodedReading, said: torch.Tensor, base_rows: int
) -> torch.Tensor:
    """One step: the (rows, tokens) ids that were said last, at first none, to (rows, vocabulary) logits."""
    pair.rows.base = base_rows
    return reading.read(said, 1)[:, -1]


@torch.inference_mode()
def _choose(
    logits: torch.Tensor, temperature: float, dice: list[torch.Generator], base_rows: int
) -> torch.Tensor:
    if temperature <= 0:
        return logits.argmax(-1)
    likely = torch.softmax(logits.float() / temperature, dim=-1)
    sides = [side for side in (likely[:base_rows], likely[base_rows:]) if len(side)]
    return torch.cat(
        [
            torch.multinomial(side, 1, generator=die)[:, 0]
            for side, die in zip(sides, dice, strict=True)
        ]
    )
