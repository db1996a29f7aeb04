"""Rebuilds space/sample/ from nothing: the tiny base (long, rarely), then its catalogue and adapter (short)."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path

from space.evidence import FILES
from train import shop as invented
from train.config import (
    EvaluateConfig,
    FitConfig,
    PrepareConfig,
    PublishConfig,
    PushConfig,
    SummariesConfig,
    TrackConfig,
)
from train.pipeline import run_all
from train.run import Run

SAMPLE = Path(__file__).resolve().parent.parent / "space" / "sample"
WINDOW = 1024  # tokens: the base's whole context, read in full while pre-training
BASE_STEPS = 2400
LEARNING_RATE = 8e-4  # at 2e-3 a base of this size writes the templates and never learns to copy
BATCH_TOKENS = 4096
LENGTHS = (64, 112, 160, 256, 512, WINDOW)  # tokens in a row; one compiled graph for each
# 200 records by heart, and enough others to learn reading, citing, saying what is absent and summing up, in two minutes.
RECIPE = FitConfig(
    base=str(SAMPLE / "base"),
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

LLAMA = dict(
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
    """Trains the base's byte-level BPE; digits stand alone, so that a number is copied figure by figure."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

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
        invented.reading(seed=3), invented.FIRST_REPEATED, invented.FIRST_REPEATED + documents
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


def batches(tokenizer, count: int) -> list[dict]:
    """Returns `count` batches of (rows, length) int32 ids and labels, one document a row, of a few lengths only.

    Documents never share a row: in a row of several, what was said of another product is all noise to copying.
    """
    import torch

    made, waiting = [], {length: [] for length in LENGTHS}
    texts = invented.reading(seed=4)
    while len(made) < count:
        for ids in tokenizer(list(itertools.islice(texts, 500)), add_special_tokens=False)[
            "input_ids"
        ]:
            row = [tokenizer.bos_token_id, *ids, tokenizer.eos_token_id]
            length = next((length for length in LENGTHS if len(row) <= length), None)
            if length is None:
                continue
            waiting[length].append(row)
            if len(waiting[length]) * length >= BATCH_TOKENS:
                ids = torch.full(
                    (len(waiting[length]), length), tokenizer.pad_token_id, dtype=torch.int32
                )
                labels = torch.full_like(ids, -100)
                for place, full in enumerate(waiting[length]):
                    ids[place, : len(full)] = labels[place, : len(full)] = torch.tensor(
                        full, dtype=torch.int32
                    )
                made.append({"input_ids": ids, "labels": labels})
                waiting[length] = []
    return made[:count]


def build_base(checkpoints: Path, out: Path = SAMPLE / "base", steps: int = BASE_STEPS) -> None:
    """Pre-trains the base and writes it in bf16 to `out`; killed and called again it goes on from `checkpoints`."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments, set_seed
    from transformers.trainer_utils import get_last_checkpoint

    set_seed(1)
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        bos_token_id=tokenizer.bos_token_id,
        model_name="shelftalk-sample",
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **LLAMA,
    )
    model = LlamaForCausalLM(config)
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
        torch_compile=steps >= 200 and shutil.which("g++") is not None,
        seed=1,
    )  # compiling takes a minute
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=batches(tokenizer, steps),
        data_collator=lambda rows: {name: ids.long() for name, ids in rows[0].items()},
    )
    last = get_last_checkpoint(checkpoints) if checkpoints.is_dir() else None
    trainer.train(resume_from_checkpoint=last)
    model.config.use_cache = model.generation_config.use_cache = (
        True  # the Trainer's compiling turned it off
    )
    model.to(torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)


def write_catalogue(path: Path = SAMPLE / "trn.json") -> None:
    """Writes the invented catalogue as trn.json: one JSON object a line."""
    path.write_text(
        "".join(json.dumps(row) + "\n" for row in invented.catalogue()), encoding="utf-8"
    )


def rebuild(
    run: Run,
    base: bool = False,
    adapter: bool = False,
    out: Path | None = None,
    max_steps: int | None = None,
    items: int = 50,
) -> None:
    """Tunes the sample in `run`; with `base` pre-trains the base instead; with `adapter` also installs the result.

    `out` stands for space/sample, to rebuild it elsewhere.
    """
    out = out or SAMPLE
    if base:
        build_base(run.folder.with_name(run.name + "-base"), out / "base", max_steps or BASE_STEPS)
        return
    source = out / "trn.json"
    if adapter or not source.is_file():
        write_catalogue(source)
    fitting = replace(RECIPE, base=str(out / "base"), max_steps=max_steps)
    configs = (
        PrepareConfig(),
        SummariesConfig(),
        fitting,
        PushConfig(),
        TrackConfig(),
        EvaluateConfig(items=items),
        PublishConfig(),
    )
    run_all(str(source), run, {type(config): config for config in configs})
    if adapter:
        for name in ("catalogue", "adapter", "plots"):
            shutil.rmtree(out / name, ignore_errors=True)
            shutil.copytree(run.folder / name, out / name)
        for name in FILES:
            shutil.copyfile(run.folder / name, out / name)
