"""Decoder-only and encoder-decoder bases, and all that differs between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import NotRequired, TypedDict

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    Cache,
    DataCollatorForSeq2Seq,
    DynamicCache,
    EncoderDecoderCache,
    PreTrainedModel,
)

from space.model.prompt import CHAT_TEMPLATE, ENCODER_TEMPLATE

# Tokens that T5 was trained on: its config has relative positions, and often no limit.
T5_WINDOW = 512
IGNORE_INDEX = -100  # the label of a token without a loss, as in transformers

# transformers sets the process's default dtype while it loads and then puts back what it found: two
# threads that load at once would leave it at bfloat16.
_LOADING = threading.Lock()


def load_weights(loader, name, **options) -> PreTrainedModel:
    """Load a model, one at a time in this process.

    `loader` is a transformers auto class; `name` and `options` are those of its `from_pretrained`,
    and so are the errors.
    """
    with _LOADING:
        return loader.from_pretrained(name, **options)


class TokenRow(TypedDict):
    """A prompt and its answer as token ids, with labels at the answer alone."""

    input_ids: list[int]
    labels: list[int]
    length: NotRequired[int]


def split_row(row: TokenRow) -> tuple[list[int], list[int]]:
    """Split a row into prompt ids and answer ids."""
    start = 0
    while start < len(row["labels"]) and row["labels"][start] == IGNORE_INDEX:
        start += 1
    return list(row["input_ids"][:start]), list(row["input_ids"][start:])


class Window(int):
    """How many tokens a prompt and its answer may have together."""

    def at_most(self, tokens: int) -> Window:
        """Limit the window to this many tokens."""
        return type(self)(min(self, tokens))

    def prompt_limit(self, answer: int) -> int:
        """Count the tokens left for a prompt beside an answer this long."""
        return self - answer

    def answer_limit(self, prompt: int) -> int:
        """Count the tokens left for an answer after a prompt this long."""
        return self - prompt

    def holds(self, prompt: int, answer: int) -> bool:
        """Check whether a prompt and an answer of these lengths fit."""
        return prompt + answer <= self


class SeparateWindow(Window):
    """How many tokens an encoder takes, and its decoder as many: they do not share them."""

    def prompt_limit(self, answer: int) -> int:
        return int(self)

    def answer_limit(self, prompt: int) -> int:
        return self - 2  # the decoder's own start tokens

    def holds(self, prompt: int, answer: int) -> bool:
        return prompt <= self and answer <= self.answer_limit(prompt)


class DecoderOnly:
    """Llama, Mistral: one stack of layers reads the prompt and continues with the answer."""

    name, task = "decoder_only", "CAUSAL_LM"
    loader, peft_loader = AutoModelForCausalLM, "AutoPeftModelForCausalLM"
    template = CHAT_TEMPLATE
    # How a card's snippet generates with transformers alone.
    generate_call = (
        "model.generate(**ids, max_new_tokens={tokens}, do_sample=False)"
        '[0, ids["input_ids"].shape[1]:]'
    )
    runs_on_ollama = True

    def window(self, config) -> Window:
        """Read the window from a config."""
        return Window(config.max_position_embeddings)

    def start_tokens(self, model) -> list[int]:
        """List the tokens between prompt and answer."""
        return []

    def cached_forward(
        self, model, prompts: Sequence[Sequence[int]], cache: Cache
    ) -> DecoderForward:
        """Prepare prompts (token ids) to be read and continued."""
        return DecoderForward(model, prompts, cache)

    def collator(self, model, tokenizer) -> Callable:
        """Make the function that turns TokenRows into a training batch."""
        return DataCollatorForSeq2Seq(tokenizer)

    def batch(
        self, model, rows: Sequence[TokenRow], device: torch.device
    ) -> dict[str, torch.Tensor]:
        """Make a batch for scoring of (rows, tokens), padded on the right."""
        inputs = [row["input_ids"] for row in rows]
        labels = [row["labels"] for row in rows]
        return _pad({"input_ids": inputs, "labels": labels}, device)

    def count_tokens(self, attention_mask: torch.Tensor, **inputs) -> int:
        """Count a batch's tokens without padding."""
        return int(attention_mask.sum())

    def answer_logits(
        self, model, labels: torch.Tensor, wrapper=None, **inputs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute (logits, labels) at the answers' tokens alone, row by row.

        Shapes: (answer tokens, vocabulary) and (answer tokens). A prompt's tokens have no label, so
        leaving them out of the costly projection and softmax changes neither loss nor gradients.
        `wrapper` is called for the model where it is inside one, such as DDP.
        """
        labels = labels[:, 1:]
        wanted = labels != IGNORE_INDEX

        def keep_wanted(_: torch.nn.Module, hidden: tuple[torch.Tensor, ...]) -> torch.Tensor:
            return hidden[0][:, :-1][wanted][None]

        # The model's own forward pass, because some (Granite, Gemma 2, Cohere) scale or cap the
        # logits after the head.
        with model.get_output_embeddings().register_forward_pre_hook(keep_wanted):
            logits = (wrapper or model)(**inputs, use_cache=False).logits
        return logits[0], labels[wanted]


class EncoderDecoder:
    """T5, PTT5, BART: an encoder reads the prompt, and a decoder writes the answer."""

    name, task = "encoder_decoder", "SEQ_2_SEQ_LM"
    loader, peft_loader = AutoModelForSeq2SeqLM, "AutoPeftModelForSeq2SeqLM"
    template = ENCODER_TEMPLATE
    # Some of these bases are set to search with beams and to forbid repetition, which would give
    # another answer.
    generate_call = (
        "model.generate(**ids, max_new_tokens={tokens}, do_sample=False, num_beams=1, min_length=0,"
        "\n                      no_repeat_ngram_size=0, forced_eos_token_id=None)[0]"
    )
    runs_on_ollama = False

    def window(self, config) -> SeparateWindow:
        """Read the window from a config."""
        values = config.to_dict()
        limit = values.get("max_position_embeddings") or values.get("n_positions")
        return SeparateWindow(limit or T5_WINDOW)

    def start_tokens(self, model) -> list[int]:
        """List the tokens between prompt and answer.

        They are the decoder's start token and the first one that BART is forced to write. Raises
        ValueError for a config that names no start token.
        """
        settings = model.generation_config
        candidates = (
            settings.decoder_start_token_id,
            getattr(model.config, "decoder_start_token_id", None),
            settings.bos_token_id,
            settings.pad_token_id,
        )
        start = next((token for token in candidates if token is not None), None)
        if start is None:
            raise ValueError(
                "its config has no decoder_start_token_id, the token that a decoder begins with"
            )
        forced = settings.forced_bos_token_id
        return [start] if forced is None else [start, forced]

    def cached_forward(
        self, model, prompts: Sequence[Sequence[int]], cache: Cache
    ) -> EncoderDecoderForward:
        """Prepare prompts (token ids) to be read and continued."""
        return EncoderDecoderForward(model, prompts, cache, self.start_tokens(model))

    def collator(self, model, tokenizer) -> Callable:
        """Make the function that turns TokenRows into a training batch."""
        return lambda rows: self.batch(model, rows, torch.device("cpu"))

    def batch(
        self, model, rows: Sequence[TokenRow], device: torch.device
    ) -> dict[str, torch.Tensor]:
        """Make a batch for training and scoring: each value is (rows, tokens).

        The encoder reads the prompt. The decoder reads its start tokens and the answer, and its
        labels are the same, one token later.
        """
        start = self.start_tokens(model)
        columns: dict[str, list] = {"input_ids": [], "decoder_input_ids": [], "labels": []}
        for row in rows:
            prompt, answer = split_row(row)
            columns["input_ids"].append(prompt)
            columns["decoder_input_ids"].append([*start, *answer[:-1]])
            columns["labels"].append([IGNORE_INDEX] * (len(start) - 1) + answer)
        return _pad(columns, device)

    def count_tokens(self, attention_mask: torch.Tensor, labels: torch.Tensor, **inputs) -> int:
        """Count a batch's tokens without padding."""
        return int(attention_mask.sum() + (labels != IGNORE_INDEX).sum())

    def answer_logits(
        self, model, labels: torch.Tensor, wrapper=None, **inputs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute (logits, labels) at the answers' tokens alone, row by row.

        Shapes: (answer tokens, vocabulary) and (answer tokens). The decoder reads answers only, so
        the model's own head computes all positions: T5 scales its input, BART shifts its output.
        `wrapper` is called for the model where it is inside one, such as DDP.
        """
        logits = (wrapper or model)(**inputs, use_cache=False).logits
        wanted = labels != IGNORE_INDEX
        return logits[wanted], labels[wanted]


Family = DecoderOnly | EncoderDecoder
DECODER_ONLY, ENCODER_DECODER = DecoderOnly(), EncoderDecoder()


def family_of(config) -> Family:
    """Choose the family of a base by its transformers config."""
    return ENCODER_DECODER if config.is_encoder_decoder else DECODER_ONLY


def family_of_task(task: str | None) -> Family:
    """Choose the family of an adapter by the task_type of its adapter_config.json."""
    return ENCODER_DECODER if task == EncoderDecoder.task else DECODER_ONLY


class DecoderForward:
    """Reads a batch of prompts with the first step, and continues from the cache after it."""

    def __init__(self, model, prompts: Sequence[Sequence[int]], cache: Cache) -> None:
        self.model, self.cache = model, cache
        lengths = [len(prompt) for prompt in prompts]
        longest = max(lengths)
        self.padding = [longest - length for length in lengths]
        rows, mask = [], []
        for prompt in prompts:
            padding = [0] * (longest - len(prompt))
            rows.append(padding + list(prompt))
            mask.append(padding + [1] * len(prompt))
        self.prompts: torch.Tensor | None = torch.tensor(rows, device=model.device)
        # None where no row is padded: attention then takes its fast path.
        padded = min(lengths) < longest
        self.mask = torch.tensor(mask, device=model.device) if padded else None

    @property
    def lengths(self) -> list[int]:
        """Get how many tokens of each row the cache holds, without padding."""
        read = self.cache.get_seq_length()
        return [read - padding for padding in self.padding]

    def step(self, ids: torch.Tensor, keep: int) -> torch.Tensor:
        """Read (rows, tokens) more of the answers.

        Returns the logits of the last `keep` positions, (rows, keep, vocabulary).
        """
        if self.mask is not None:
            self.mask = torch.cat([self.mask, torch.ones_like(ids)], dim=1)
        if self.prompts is not None:
            ids, self.prompts = torch.cat([self.prompts, ids], dim=1), None
        positions = None
        if self.mask is not None:
            positions = (self.mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        return self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=keep,
        ).logits


class EncoderDecoderForward:
    """Encodes a batch of prompts with the first step, and decodes from the cache after it."""

    def __init__(
        self, model, prompts: Sequence[Sequence[int]], cache: Cache, start: Sequence[int]
    ) -> None:
        self.model, self.cache = model, EncoderDecoderCache(cache, DynamicCache())
        # Padded on the right, since BART counts positions from a row's beginning.
        batch = _pad({"input_ids": prompts}, model.device)
        self.prompts = batch["input_ids"]
        padded = any(len(prompt) != len(prompts[0]) for prompt in prompts)
        self.mask = batch["attention_mask"] if padded else None
        self.start: torch.Tensor | None = torch.tensor([start] * len(prompts), device=model.device)

    def step(self, ids: torch.Tensor, keep: int) -> torch.Tensor:
        """Read (rows, tokens) more of the answers.

        Returns the logits of the last `keep` positions, (rows, keep, vocabulary).
        """
        if self.start is not None:
            encode = self.model.get_encoder()
            self.encoded = encode(input_ids=self.prompts, attention_mask=self.mask)
            *before, last = self.start.split(1, dim=1)
            # One by one, as generate() reads them: together they would be rounded differently.
            for token in before:
                self._decode(token)
            ids, self.start = torch.cat([last, ids], dim=1), None
        return self._decode(ids)[:, -keep:]

    def _decode(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(
            encoder_outputs=self.encoded,
            attention_mask=self.mask,
            decoder_input_ids=ids,
            past_key_values=self.cache,
            use_cache=True,
        ).logits


def _pad(
    columns: Mapping[str, Sequence[Sequence[int]]], device: torch.device
) -> dict[str, torch.Tensor]:
    """Pad columns to (rows, tokens) and add the attention_mask of input_ids."""
    padded = {}
    for name, rows in columns.items():
        fill = IGNORE_INDEX if name == "labels" else 0
        tensors = [torch.tensor(row) for row in rows]
        padded[name] = pad_sequence(tensors, batch_first=True, padding_value=fill).to(device)
    ones = [torch.ones(len(row), dtype=torch.long) for row in columns["input_ids"]]
    padded["attention_mask"] = pad_sequence(ones, batch_first=True).to(device)
    return padded
