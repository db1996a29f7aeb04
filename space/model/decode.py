"""Generate answers: base rows first, tuned rows after them, one forward pass a step."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from typing import cast

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from space.model.family import DecoderForward, EncoderDecoderForward
from space.model.layers import OtherLora, other_lora
from space.model.pair import Pair

SPARE = 16  # tokens; a full cache is copied to one with room for so many more


def stream_answers(
    pair: Pair,
    base_prompt: Sequence[int],
    tuned_prompt: Sequence[int],
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = None,
    seconds: float = math.inf,
) -> Generator[tuple[list[int], list[int]]]:
    """Generate the base's and the tuned model's answer together.

    The prompts are token ids and may differ. Yields the same two growing lists of token ids after
    every step, without end tokens. At temperature 0 each answer is, token for token, that of its
    model alone. They end after `seconds`, counted from their first token. Closing the generator
    frees the model at once.
    """
    answers: tuple[list[int], list[int]] = [], []
    steps = stream_tokens(pair, [base_prompt, tuned_prompt], 1, max_new_tokens, temperature, seed)
    begun = 0.0
    with closing(steps):
        for tokens in steps:
            begun = begun or time.monotonic()
            _append(answers, tokens)
            yield answers
            if time.monotonic() - begun > seconds:
                return


def complete(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    tuned: bool,
    lora: OtherLora | None = None,
) -> list[list[int]]:
    """Generate one model's greedy answers to all prompts in one batch.

    Answers are token ids and have no end tokens: an answer shorter than `max_new_tokens` ended by
    itself. `lora` stands in for the adapter's weights.
    """
    answers: list[list[int]] = [[] for _ in prompts]
    base_rows = 0 if tuned else len(prompts)
    with closing(stream_tokens(pair, prompts, base_rows, max_new_tokens, lora=lora)) as steps:
        for tokens in steps:
            _append(answers, tokens)
    return answers


def _append(answers: Iterable[list[int]], tokens: Iterable[int | None]) -> None:
    for answer, token in zip(answers, tokens, strict=True):
        if token is not None:
            answer.append(token)


def decode_text(pair: Pair, ids: list[int]) -> str:
    """Decode token ids, without an unfinished character at the end."""
    text = cast(str, pair.tokenizer.decode(ids, skip_special_tokens=True))
    return text.rstrip("\ufffd").strip()


def stream_tokens(
    pair: Pair,
    prompts: Sequence[Sequence[int]],
    base_rows: int,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int | None = None,
    strengths: Sequence[float] | None = None,
    lora: OtherLora | None = None,
) -> Generator[list[int | None]]:
    """Generate one token a row and step.

    It is None for a row that has ended. The first `base_rows` rows are the base's. With a
    temperature, base and tuned rows draw with the same random numbers: where the models agree, so
    do the tokens. `strengths` has the share of the adapter's change for each tuned row, and `lora`
    stands in for the adapter's weights.
    """
    device = pair.device
    generators = seed_generators(device, seed, 2 if 0 < base_rows < len(prompts) else 1)
    running, stop_ids = [True] * len(prompts), pair.stop_ids
    cache = preallocated_cache(pair.model.config)
    forward = pair.family.cached_forward(pair.model, prompts, cache)
    last = torch.empty(len(prompts), 0, dtype=torch.long, device=device)
    with pair.lock, _changed(pair, strengths, lora):
        for _ in range(max_new_tokens):
            logits = _forward(pair, forward, last, base_rows)
            chosen = choose_tokens(logits, temperature, generators, base_rows)
            tokens: list[int | None] = []
            for token, still in zip(chosen.tolist(), running, strict=True):
                tokens.append(token if still and token not in stop_ids else None)
            running = [token is not None for token in tokens]
            if not any(running):
                return
            yield tokens
            last = chosen[:, None]


@contextmanager
def _changed(
    pair: Pair, strengths: Sequence[float] | None, lora: OtherLora | None
) -> Iterator[None]:
    if strengths is not None:
        pair.rows.strength = torch.tensor(strengths, device=pair.device)[:, None, None]
    try:
        with other_lora(pair.model, lora) if lora else nullcontext():
            yield
    finally:
        pair.rows.strength = None


@torch.inference_mode()
def _forward(
    pair: Pair,
    forward: DecoderForward | EncoderDecoderForward,
    last: torch.Tensor,
    base_rows: int,
) -> torch.Tensor:
    """Read the last step's ids, (rows, tokens), into logits, (rows, vocabulary)."""
    pair.rows.base = base_rows
    return forward.step(last, 1)[:, -1]


def seed_generators(device: torch.device, seed: int | None, sides: int) -> list[torch.Generator]:
    """Make a generator for each side, all with the same numbers."""
    generators = [torch.Generator(device).manual_seed(torch.seed() if seed is None else seed)]
    for _ in range(sides - 1):
        generators.append(torch.Generator(device))
        generators[-1].set_state(generators[0].get_state())
    return generators


@torch.inference_mode()
def choose_tokens(
    logits: torch.Tensor, temperature: float, generators: list[torch.Generator], base_rows: int
) -> torch.Tensor:
    """Choose each row's next token from logits, (rows, vocabulary)."""
    if temperature <= 0:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits.float() / temperature, dim=-1)
    sides = [side for side in (probabilities[:base_rows], probabilities[base_rows:]) if len(side)]
    drawn = []
    for side, generator in zip(sides, generators, strict=True):
        drawn.append(torch.multinomial(side, 1, generator=generator)[:, 0])
    return torch.cat(drawn)


class PreallocatedLayer(DynamicLayer):
    """One layer's keys and values with spare room: a step writes its own position only."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add keys and values, each (rows, heads, tokens, size)."""
        new = key_states, value_states
        if not self.is_initialized:
            self.lazy_initialization(*new)
            self.buffers = [states[..., :0, :] for states in new]
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self.buffers[0].shape[-2]:
            self.buffers = [_grow(buffer[..., :start, :], end + SPARE) for buffer in self.buffers]
        for buffer, states in zip(self.buffers, new, strict=True):
            buffer[..., start:end, :] = states
        self.keys, self.values = (buffer[..., :end, :] for buffer in self.buffers)
        return self.keys, self.values


def _grow(states: torch.Tensor, length: int) -> torch.Tensor:
    rows, heads, tokens, size = states.shape
    larger = states.new_empty(rows, heads, length, size)
    larger[..., :tokens, :] = states
    return larger


def preallocated_cache(config) -> DynamicCache:
    """Make an empty cache, whose sliding windows are transformers' own."""
    cache = DynamicCache(config=config)
    cache.layers = [
        PreallocatedLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers
    ]
    # A T5's config counts its encoder's layers, and its decoder may have more.
    cache.layer_class_to_replicate = PreallocatedLayer
    return cache
