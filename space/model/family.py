"""What a base is built of, a decoder alone or an encoder before it, and all that this changes: loading, reading, learning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    Cache,
    DataCollatorForSeq2Seq,
    DynamicCache,
    EncoderDecoderCache,
)

from space.model.prompt import CHAT_TEMPLATE, ENCODER_TEMPLATE

UNLIMITED = 512  # tokens; what T5 was trained on, where a config that only knows distances between tokens does not say it
UNLEARNED = -100  # the label of a token that is not learned, as transformers has it


class Window(int):
    """How many tokens a model has room for: a prompt and its answer together."""

    def within(self, tokens: int) -> Window:
        """Returns the window, or one of so many tokens where that is less."""
        return type(self)(min(self, tokens))

    def before(self, answer: int) -> int:
        """Returns how many tokens a prompt may have before an answer of so many."""
        return self - answer

    def after(self, prompt: int) -> int:
        """Returns how many tokens an answer may have after a prompt of so many."""
        return self - prompt

    def holds(self, prompt: int, answer: int) -> bool:
        """Whether there is room for a prompt and an answer of so many tokens."""
        return prompt + answer <= self


class WindowEach(Window):
    """How many tokens an encoder has room for, and its decoder as many: prompt and answer do not share them."""

    def before(self, answer: int) -> int:
        """Returns how many tokens a prompt may have, whatever its answer."""
        return int(self)

    def after(self, prompt: int) -> int:
        """Returns how many tokens an answer may have, whatever its prompt: two places are the decoder's own first tokens."""
        return self - 2

    def holds(self, prompt: int, answer: int) -> bool:
        """Whether there is room for a prompt and an answer of so many tokens."""
        return prompt <= self and answer <= self.after(prompt)


def parts(row: dict) -> tuple[list[int], list[int]]:
    """Returns (prompt ids, answer ids) of a row: input_ids, prompt and answer one after the other, and labels at the answer."""
    start = next(
        (place for place, label in enumerate(row["labels"]) if label != UNLEARNED),
        len(row["labels"]),
    )
    return list(row["input_ids"][:start]), list(row["input_ids"][start:])


class DecoderOnly:
    """Llama, Mistral: one stack of layers reads the prompt and goes on with the answer."""

    name, task = "decoder_only", "CAUSAL_LM"
    loader, peft_loader = AutoModelForCausalLM, "AutoPeftModelForCausalLM"
    template = CHAT_TEMPLATE
    # An answer by transformers alone, in a card's snippet; and whether Ollama runs the merged model.
    answer = 'model.generate(**ids, max_new_tokens={tokens}, do_sample=False)[0, ids["input_ids"].shape[1]:]'
    on_ollama = True

    def window(self, config) -> Window:
        """Returns the window that a config gives."""
        return Window(config.max_position_embeddings)

    def opening(self, model) -> list[int]:
        """Returns the tokens that stand before every answer, and are none of the prompt's."""
        return []

    def reading(self, model, prompts: Sequence[Sequence[int]], cache: Cache) -> Reading:
        """Returns prompts (token ids) as the model reads them."""
        return Reading(model, prompts, cache)

    def collator(self, model, tokenizer) -> Callable:
        """Returns what makes a training batch of rows, see train/examples/examples.py."""
        return DataCollatorForSeq2Seq(tokenizer)

    def batch(self, model, rows: Sequence[dict], device: torch.device) -> dict[str, torch.Tensor]:
        """Returns the same rows for scoring, each (rows, tokens), padded at the right."""
        columns = {
            "input_ids": [row["input_ids"] for row in rows],
            "labels": [row["labels"] for row in rows],
        }
        return _padded(columns, device)

    def tokens(self, attention_mask: torch.Tensor, **inputs) -> int:
        """Returns how many tokens a batch has, padding aside."""
        return int(attention_mask.sum())

    def answer_logits(
        self, model, labels: torch.Tensor, **inputs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (logits, labels) at the answers' tokens alone, row by row: (answer tokens, vocabulary) and (answer tokens).

        A prompt's tokens have no label, and the vocabulary's projection and softmax are dear: leaving them out of it changes
        neither the loss nor a gradient.
        """
        labels = labels[:, 1:]
        hidden = model.model(**inputs, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels != UNLEARNED
        return model.lm_head(hidden[wanted]), labels[wanted]


class EncoderDecoder:
    """T5, PTT5, BART: an encoder reads the prompt, and a decoder that looks at it writes the answer."""

    name, task = "encoder_decoder", "SEQ_2_SEQ_LM"
    loader, peft_loader = AutoModelForSeq2SeqLM, "AutoPeftModelForSeq2SeqLM"
    template = ENCODER_TEMPLATE
    # Some of these bases are set to search with several beams and to forbid repetition: that would be another answer.
    answer = (
        "model.generate(**ids, max_new_tokens={tokens}, do_sample=False, num_beams=1, min_length=0,\n"
        "                      no_repeat_ngram_size=0, forced_eos_token_id=None)[0]"
    )
    on_ollama = False

    def window(self, config) -> WindowEach:
        """Returns the window that a config gives; T5's, which knows distances alone, says for how many tokens it was made."""
        told = config.to_dict()
        limits = (told.get(name) for name in ("max_position_embeddings", "n_positions"))
        return WindowEach(next(filter(None, limits), UNLIMITED))

    def opening(self, model) -> list[int]:
        """Returns the tokens that stand before every answer: the decoder's first, and one that BART is made to say."""
        settings = model.generation_config
        firsts = (
            settings.decoder_start_token_id,
            getattr(model.config, "decoder_start_token_id", None),
            settings.bos_token_id,
            settings.pad_token_id,
        )
        first = next((token for token in firsts if token is not None), None)
        if first is None:
            raise ValueError(
                "its config has no decoder_start_token_id, the token that a decoder begins with"
            )
        forced = settings.forced_bos_token_id
        return [first] if forced is None else [first, forced]

    def reading(self, model, prompts: Sequence[Sequence[int]], cache: Cache) -> EncodedReading:
        """Returns prompts (token ids) as the model reads them."""
        return EncodedReading(model, prompts, cache, self.opening(model))

    def collator(self, model, tokenizer) -> Callable:
        """Returns what makes a training batch of rows, see train/examples/examples.py."""
        return lambda rows: self.batch(model, rows, torch.device("cpu"))

    def batch(self, model, rows: Sequence[dict], device: torch.device) -> dict[str, torch.Tensor]:
        """Returns rows as the model learns and scores them, each (rows, tokens): the prompt is the encoder's, and the decoder
        reads its opening and the answer, which is what it is asked for one token later."""
        opening = self.opening(model)
        columns: dict[str, list] = {"input_ids": [], "decoder_input_ids": [], "labels": []}
        for row in rows:
            prompt, answer = parts(row)
            columns["input_ids"].append(prompt)
            columns["decoder_input_ids"].append([*opening, *answer[:-1]])
            columns["labels"].append([UNLEARNED] * (len(opening) - 1) + answer)
        return _padded(columns, device)

    def tokens(self, attention_mask: torch.Tensor, labels: torch.Tensor, **inputs) -> int:
        """Returns how many tokens a batch has, padding aside."""
        return int(attention_mask.sum() + (labels != UNLEARNED).sum())

    def answer_logits(
        self, model, labels: torch.Tensor, **inputs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns (logits, labels) at the answers' tokens alone, row by row: (answer tokens, vocabulary) and (answer tokens).

        The decoder reads nothing but answers, so the model's own head does all its places: T5 scales what goes into it, BART
        adds to what comes out.
        """
        logits, wanted = model(**inputs, use_cache=False).logits, labels != UNLEARNED
        return logits[wanted], labels[wanted]


FAMILIES = (DecoderOnly(), EncoderDecoder())


def family_of(config) -> DecoderOnly | EncoderDecoder:
    """Returns the family of a base, by its transformers config."""
    return FAMILIES[bool(config.is_encoder_decoder)]


def family_of_task(task: str | None) -> DecoderOnly | EncoderDecoder:
    """Returns the family of an adapter, by the task_type of its adapter_config.json."""
    return FAMILIES[task == EncoderDecoder.task]


# --- reading ---------------------------------------------------------------------------------------------------------


class Reading:
    """A batch of prompts, read with the first piece of their answers; every later piece goes on from the one before."""

    def __init__(self, model, prompts: Sequence[Sequence[int]], cache: Cache) -> None:
        self.model, self.cache, length = model, cache, max(map(len, prompts))
        self.first = torch.tensor(
            [[0] * (length - len(prompt)) + list(prompt) for prompt in prompts], device=model.device
        )
        # None where no row is padded: attention then takes its fast path.
        even = all(len(prompt) == length for prompt in prompts)
        self.mask = (
            None
            if even
            else torch.tensor(
                [[0] * (length - len(p)) + [1] * len(p) for p in prompts], device=model.device
            )
        )

    def read(self, ids: torch.Tensor, keep: int) -> torch.Tensor:
        """Reads (rows, tokens) more of the answers and returns the logits of the last places, (rows, keep, vocabulary)."""
        if self.mask is not None:
            self.mask = torch.cat([self.mask, torch.ones_like(ids)], dim=1)
        if self.first is not None:
            ids, self.first = torch.cat([self.first, ids], dim=1), None
        positions = (
            None
            if self.mask is None
            else (self.mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        )
        return self.model(
            input_ids=ids,
            attention_mask=self.mask,
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=keep,
        ).logits


class EncodedReading:
    """The same, where an encoder reads the prompts once and a decoder the answers."""

    def __init__(
        self, model, prompts: Sequence[Sequence[int]], cache: Cache, opening: Sequence[int]
    ) -> None:
        self.model, self.cache = model, EncoderDecoderCache(cache, DynamicCache())
        # Padded at the right, since BART counts places from a row's beginning.
        self.prompts = _padded({"input_ids": prompts}, model.device)
        if all(len(prompt) == len(prompts[0]) for prompt in prompts):
            self.prompts["attention_mask"] = None
        self.first = torch.tensor([opening] * len(prompts), device=model.device)

    def read(self, ids: torch.Tensor, keep: int) -> torch.Tensor:
        """Reads (rows, tokens) more of the answers and returns the logits of the last places, (rows, keep, vocabulary)."""
        if self.first is not None:
            self.encoded = self.model.get_encoder()(**self.prompts)
            *before, last = self.first.split(1, dim=1)
            # One by one, as generate() reads them: together they would be rounded otherwise.
            for token in before:
                self._decode(token)
            ids, self.first = torch.cat([last, ids], dim=1), None
        return self._decode(ids)[:, -keep:]

    def _decode(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(
            encoder_outputs=self.encoded,
            attention_mask=self.prompts["attention_mask"],
            decoder_input_ids=ids,
            past_key_values=self.cache,
            use_cache=True,
        ).logits


def _padded(
    columns: dict[str, Sequence[Sequence[int]]], device: torch.device
) -> dict[str, torch.Tensor]:
    """Returns the columns, each (rows, tokens), padded at the right, with the attention_mask of input_ids."""
    padded = {
        name: pad_sequence(
            [torch.tensor(row) for row in rows],
            batch_first=True,
            padding_value=UNLEARNED if name == "labels" else 0,
        ).to(device)
        for name, rows in columns.items()
    }
    real = [torch.ones(len(row), dtype=torch.long) for row in columns["input_ids"]]
    return {**padded, "attention_mask": pad_sequence(real, batch_first=True).to(device)}
