"""Rebuild the toy: `python -m tests.toy.build --base` pre-trains its base, `--adapter` tunes it."""

from __future__ import annotations

import argparse
import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.trainer_utils import get_last_checkpoint

from tests.toy import TOY
from train import shop
from train.config import FitConfig, PrepareConfig
from train.run import Run
from train.sample import train_sample

WINDOW = 1024  # tokens: the base's whole context, read in full while pre-training
BASE_STEPS = 2400
LEARNING_RATE = 8e-4  # at 2e-3 it learns the templates but not to copy
BATCH_TOKENS = 4096
LENGTHS = (64, 112, 160, 256, 512, WINDOW)  # tokens in a row, each with its own compiled graph
# In two minutes: 200 records by heart, and enough others to learn to read and cite records, to say
# that something is not in them, and to summarize.
RECIPE = FitConfig(
    base=str(TOY / "base"),
    learn=200,
    epochs=20,
    answers=0.285,
    absent=0.3,
    follow_ups=0.03,
    summarize=0.03,
    rank=32,
    alpha=64.0,
    learning_rate=3.5e-3,
    batch_size=8,
    answer_tokens=160,
)

LLAMA: dict[str, Any] = dict(
    model_name="shelftalk-sample",
    hidden_size=256,
    intermediate_size=768,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=WINDOW,
    tie_word_embeddings=True,
    initializer_range=0.03,
)


def build_tokenizer(vocabulary: int = 3072, documents: int = 8000):
    """Train a byte-level BPE with a token for each digit.

    So numbers can be copied.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<s>", "</s>", "<pad>"],
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = itertools.islice(
        shop.generate_reading(seed=3), shop.FIRST_REPETITIONS, shop.FIRST_REPETITIONS + documents
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=WINDOW,
        clean_up_tokenization_spaces=False,
    )


def make_batches(tokenizer, count: int) -> list[dict[str, torch.Tensor]]:
    """Make batches of ids and labels of a few lengths only.

    Each is (rows, length), int32. A row is one document: beside another one, it would be noise to
    learning to copy.
    """
    batches = []
    waiting: dict[int, list[list[int]]] = {length: [] for length in LENGTHS}
    texts = shop.generate_reading(seed=4)
    while len(batches) < count:
        documents = list(itertools.islice(texts, 500))
        for ids in tokenizer(documents, add_special_tokens=False)["input_ids"]:
            row = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
            length = next((length for length in LENGTHS if len(row) <= length), None)
            if length is None:
                continue
            waiting[length].append(row)
            if len(waiting[length]) * length >= BATCH_TOKENS:
                batches.append(_pad(waiting[length], length, tokenizer.pad_token_id))
                waiting[length] = []
    return batches[:count]


def _pad(rows: list[list[int]], length: int, pad: int) -> dict[str, torch.Tensor]:
    ids = torch.full((len(rows), length), pad, dtype=torch.int32)
    labels = torch.full_like(ids, -100)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = labels[index, : len(row)] = torch.tensor(row, dtype=torch.int32)
    return {"input_ids": ids, "labels": labels}


def build_base(checkpoints: Path, out: Path = TOY / "base", steps: int = BASE_STEPS) -> None:
    """Pre-train the base and write it in bf16 to `out`.

    Resume from `checkpoints`.
    """
    set_seed(1)
    tokenizer: Any = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **LLAMA,
    )
    model: Any = LlamaForCausalLM(config)
    torch._dynamo.config.automatic_dynamic_shapes = False
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=steps,
        per_device_train_batch_size=1,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="cosine",
        warmup_steps=min(100, steps // 10),
        weight_decay=0.05,
        adam_beta2=0.98,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        save_steps=250,
        save_total_limit=1,
        logging_steps=25,
        report_to="none",
        train_sampling_strategy="sequential",
        # Compiling takes a minute.
        torch_compile=steps >= 200 and shutil.which("g++") is not None,
        seed=1,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=cast(Any, make_batches(tokenizer, steps)),
        data_collator=lambda rows: {name: ids.long() for name, ids in rows[0].items()},
    )
    last = get_last_checkpoint(checkpoints) if checkpoints.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    # The Trainer turned it off to compile.
    model.config.use_cache = model.generation_config.use_cache = True
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def rebuild(adapter: bool, base: bool, runs: Path) -> None:
    """Pre-train the base, or tune it on its catalogue and copy the result to tests/toy."""
    if base:
        build_base(runs / "toy-base")
    if adapter:
        shop.write_catalogue(TOY / "trn.json")
        recipe = replace(RECIPE, base=str(TOY / "base"))
        train_sample(Run(runs / "toy"), recipe, TOY / "trn.json", PrepareConfig(), TOY)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", action="store_true")
    parser.add_argument("--adapter", action="store_true")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    rebuild(**vars(parser.parse_args()))
