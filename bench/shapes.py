"""Real shapes with random weights: a Llama as large as SmolLM2-135M, a LoRA adapter for it, a
prepared catalogue.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from space.model.base import load_base, load_tokenizer
from space.model.prompt import prompt_ids
from space.model.prompt_template import PromptTemplate
from train import shop
from train.config import FitConfig
from train.fit.adapter import add_lora, save_adapter
from train.prepare import prepare_catalogue
from train.run import Run
from train.sample import build_tokenizer

SMOLLM2 = dict(
    vocab_size=49152,
    hidden_size=576,
    intermediate_size=1536,
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    max_position_embeddings=2048,
    tie_word_embeddings=True,
    rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
)
TINY = SMOLLM2 | dict(
    vocab_size=3072,
    hidden_size=128,
    intermediate_size=256,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
)
# Wider than transformers' 0.02, with which a random model only repeats its last token.
WEIGHT_STD = 0.08
LORA_STD = 0.05  # of B, which is zero in a fresh adapter


def fit_config(base: Path, **changes) -> FitConfig:
    """Returns the LoRA that all measurements use: rank 8 (PEFT's default), alpha 16, on all linear
    layers.
    """
    return FitConfig(
        base=str(base),
        **{
            "rank": 8,
            "alpha": 16.0,
            "max_length": 512,
            "batch_size": 8,
            "learning_rate": 2e-4,
            **changes,
        },
    )


def make_base(folder: Path, tiny: bool = False) -> Path:
    """Writes a Llama with random weights, in bf16, and a tokenizer trained on the invented text."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tokenizer(documents=400 if tiny else 8000)
    torch.manual_seed(0)
    config = LlamaConfig(
        **(TINY if tiny else SMOLLM2),
        initializer_range=WEIGHT_STD,
        model_name=folder.name,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(run: Path, base: Path) -> Path:
    """Writes run/adapter for `base` as fit writes it, with random weights in A and B alike."""
    model, identity = load_base(str(base), training=True)
    torch.manual_seed(1)
    adapted = add_lora(model, identity, fit_config(base))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=LORA_STD)
    run.mkdir(parents=True, exist_ok=True)
    record: Any = {"base": asdict(identity)}
    save_adapter(Run(run), adapted, load_tokenizer(str(base)), PromptTemplate(), record)
    return run / "adapter"


def make_catalogue(run: Path, products: int) -> Path:
    """Writes the invented shop's trn.json and prepares it in `run`."""
    run.mkdir(parents=True, exist_ok=True)
    source = run / "trn.json"
    source.write_text(
        "".join(json.dumps(row) + "\n" for row in shop.generate_catalogue(products)),
        encoding="utf-8",
    )
    prepare_catalogue(str(source), Run(run), progress=False)
    return run / "catalogue"


def make_prompts(tokenizer, count: int, tokens: int) -> Sequence[list[int]]:
    """Make `count` different prompts: the last `tokens` ids of a question with two records."""
    prompts, rows = [], shop.generate_catalogue()
    while len(prompts) < count:
        records = list(itertools.islice(rows, 2))
        ids = prompt_ids(
            tokenizer, PromptTemplate(), "answer", f"What is {records[0]['title']}?", records
        )
        if len(ids) >= tokens:
            prompts.append(ids[-tokens:])
    return prompts
