"""Training tokens a second, ours against TRL's SFTTrainer on the same model and data."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from datasets import Dataset, load_from_disk
from transformers import Trainer, TrainerCallback, set_seed

from bench.figures import ROOT, Figure, Options, Outcome, Skipped, peak_memory
from bench.shapes import fit_config, make_base, make_catalogue
from space.model.base import load_base, load_tokenizer
from train.fit.adapter import add_lora
from train.fit.trainer import build_trainer
from train.fit.training import tokenize
from train.pipeline import load_examples
from train.run import Run

STEPS, BATCH, ROUNDS = 14, 8, 1  # a step of the slowest takes six seconds
# What SFTConfig gets beyond batch size, length, learning rate and output folder.
VARIANTS = {
    "ours": None,
    "sft": {},
    "sft_grouped": {"gradient_checkpointing": False, "train_sampling_strategy": "group_by_length"},
}


def measure(options: Options) -> Outcome:
    """Train every variant in a fresh process, in turns, on the same rows, each of them once."""
    try:
        import trl  # noqa: F401
    except ImportError as error:
        raise Skipped("trl is not installed: pip install -r bench/requirements.txt") from error
    steps, rounds = (3, 1) if options.tiny else (STEPS, ROUNDS)
    samples: dict[str, list[dict]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_base(folder / "base", options.tiny)
        make_rows(folder, steps * BATCH)
        for number in range(rounds):
            order = list(samples)[number % len(samples) :] + list(samples)[: number % len(samples)]
            for variant in order:
                samples[variant].append(in_a_process(variant, folder))
                print(f"  {variant}: {samples[variant][-1]}", file=sys.stderr, flush=True)
    return Outcome(figures(samples), {"steps": steps, "batch": BATCH, **samples})


def figures(samples: dict[str, list[dict]]) -> list[Figure]:
    """List tokens a second of each variant (median of the rounds), and ours over theirs."""
    rate = {
        name: median(run["tokens"] / run["seconds"] for run in runs)
        for name, runs in samples.items()
    }
    memory = {
        name: median(run["peak_rss_bytes"] for run in runs) / 2**20
        for name, runs in samples.items()
    }
    counts = {run["tokens"] for runs in samples.values() for run in runs}
    return [
        *(Figure(f"tokens a second, {name}", value, "1/s") for name, value in rate.items()),
        Figure("ours over SFTTrainer as it comes", rate["ours"] / rate["sft"], "x", low=1.5),
        Figure(
            "ours over SFTTrainer without checkpointing, grouped by length",
            rate["ours"] / rate["sft_grouped"],
            "x",
            low=1.0,
        ),
        Figure("different counts of trained tokens", len(counts), high=1),
        *(Figure(f"peak memory, {name}", value, "MiB") for name, value in memory.items()),
    ]


def make_rows(folder: Path, count: int) -> None:
    """Write `count` tokenized rows of the invented catalogue, all tasks mixed, to folder/rows."""
    config = fit_config(folder / "base", learn=2 * count // 3)
    make_catalogue(folder / "run", count + 100)
    tokenizer = load_tokenizer(config.base)
    dataset, _ = tokenize(load_examples(Run(folder / "run"), config, tokenizer, 2048))
    rows = dataset.shuffle(seed=0).select(range(count)).to_list()
    Dataset.from_list(rows).save_to_disk(folder / "rows")


def in_a_process(variant: str, folder: Path) -> dict:
    """Run train() in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.training", variant, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"training {variant} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


# --- in the process ---


class Stopwatch(TrainerCallback):
    """Seconds from the first step's beginning to the last one's end."""

    begun = ended = 0.0

    def on_step_begin(self, args, state, control, **kwargs):
        self.begun = self.begun or time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        self.ended = time.perf_counter()


class Counting:
    """A collator that counts the tokens of the batches it makes, padding apart."""

    def __init__(self, collator) -> None:
        self.collator, self.tokens, self.cells, self.learned = collator, 0, 0, 0

    def __call__(self, rows: list[dict]) -> dict:
        batch = self.collator(rows)
        self.tokens += int(batch["attention_mask"].sum())
        self.learned += int((batch["labels"] != -100).sum())
        self.cells += batch["input_ids"].numel()
        return batch


def train(variant: str, folder: Path) -> dict:
    """Train one variant, and count its seconds, tokens and steps."""
    trainer = build(variant, folder)
    watch, trainer.data_collator = Stopwatch(), Counting(trainer.data_collator)
    trainer.add_callback(watch)
    result, counted = trainer.train(), trainer.data_collator
    return {
        "seconds": round(watch.ended - watch.begun, 3),
        "tokens": counted.tokens,
        "learned": counted.learned,
        "padded": counted.cells,
        "steps": trainer.state.global_step,
        "loss": round(result.training_loss, 4),
        "peak_rss_bytes": peak_memory(),
    }


def build(variant: str, folder: Path) -> Trainer:
    """Build a variant's trainer with the same 4-bit base, LoRA, rows, batches and learning rate.

    bitsandbytes' CPU packing is off for all: it has no backward pass, and the no-grad forward of
    gradient checkpointing would start it.
    """
    config, rows = fit_config(folder / "base"), load_from_disk(folder / "rows")
    model, base = load_base(config.base, training=True)
    tokenizer = load_tokenizer(config.base)
    set_seed(config.seed)
    if VARIANTS[variant] is None:
        return build_trainer(
            Run(folder / "ours"), add_lora(model, base, config), rows, tokenizer, config
        )
    from peft import LoraConfig
    from trl import SFTConfig, SFTTrainer

    arguments = SFTConfig(
        output_dir=str(folder / variant),
        per_device_train_batch_size=config.batch_size,
        max_length=config.max_length,
        num_train_epochs=1,
        learning_rate=config.learning_rate,
        seed=config.seed,
        report_to="none",
        save_strategy="no",
        use_cpu=not torch.cuda.is_available(),
        **VARIANTS[variant],
    )
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=rows.remove_columns("length"),
        processing_class=tokenizer,
        peft_config=lora,
    )


if __name__ == "__main__":
    print(json.dumps(train(sys.argv[1], Path(sys.argv[2]))))
