"""Answers of a model of transformers as it is: a teacher, or a base before it is trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch


class Generation(NamedTuple):
    """A generated text.

    `ended` is False where it was cut at the limit.
    """

    text: str
    tokens: int
    ended: bool


@torch.inference_mode()
def generate(model, tokenizer, encoded: Mapping[str, torch.Tensor], **options) -> list[Generation]:
    """Continue prompts without sampling, and stop where the model does.

    `encoded` has the tokenizer's input_ids and attention_mask, (rows, tokens), padded on the left
    unless the model has an encoder. `options` change the model's own generation config.
    """
    settings = copy.deepcopy(model.generation_config)
    settings.update(
        do_sample=False,
        max_length=None,
        temperature=None,
        top_p=None,
        top_k=None,
        forced_eos_token_id=None,  # a forced end would hide an unfinished text
        pad_token_id=tokenizer.pad_token_id,
        **options,
    )
    inputs = {name: encoded[name].to(model.device) for name in ("input_ids", "attention_mask")}
    # After the decoder's start token, or after the prompt.
    start = 1 if model.config.is_encoder_decoder else inputs["input_ids"].shape[1]
    generated = model.generate(**inputs, generation_config=settings)[:, start:]
    ends = settings.eos_token_id
    ends = {ends} if isinstance(ends, int) else set(ends or ())
    generations = []
    for row in generated.tolist():
        end = next((index for index, token in enumerate(row) if token in ends), None)
        ids = row if end is None else row[:end]
        text = cast(str, tokenizer.decode(ids, skip_special_tokens=True))
        generations.append(Generation(text, len(ids), end is not None))
    return generations


def pad_left(tokenizer, rows: Sequence[Sequence[int]]) -> Any:
    """Pad prompts' token ids to one length, as generate() takes them."""
    return tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
