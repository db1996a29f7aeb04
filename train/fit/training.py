"""LoRA on the 4-bit base with transformers.Trainer: train, resume, and save an adapter that loads anywhere."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import PrinterCallback, ProgressCallback, TrainingArguments, set_seed

from space.model import Base, family_of
from space.settings import VERSION
from train.config import ConfigError, FitConfig, PushConfig, TrackConfig
from train.examples import Examples
from train.fit import checkpoints, pushing, tracking
from train.fit.adapter import add_lora, eva
from train.fit.trainer import AnswerTrainer, DivergedError, Progress, watched
from train.prepare import summaries_origin
from train.run import Run, RunError

LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "bitsandbytes",
    "datasets",
    "accelerate",
    "tokenizers",
    "gradio",
)
# Options that came after the first checkpoints, which do not name them, with the values at which nothing is different.
LATER = {"rank_stabilized": False, "init": "default"}
NOWHERE, UNTRACKED = PushConfig(), TrackConfig()


def fit(
    run: Run,
    model,
    base: Base,
    examples: Examples,
    push: PushConfig = NOWHERE,
    track: TrackConfig = UNTRACKED,
) -> None:
    """Trains an adapter on `model` (as load_base(training=True) gives it) and writes run/adapter, or goes on with it.

    With `push.push_every`, checkpoints go to the Hub meanwhile, and where there is none here the one there is gone on with.

    Raises ConfigError where the folder holds a run that was begun with other options, DivergedError at the first loss or
    gradient that is no number.
    """
    config = examples.config
    run.keep_fit_config(config)
    told = {
        "base": asdict(base),
        "config": {**asdict(config), "base": base.name},
        "data": run.data_digest(),
    }
    same = {name: value for name, value in told["config"].items() if LATER.get(name, ...) != value}
    of = checkpoints.identity(
        **told | {"config": same}, prompt_template=asdict(examples.prompt_template)
    )
    if push.push_every:
        pushing.bring_back(run.checkpoints, of, push)
    last, before = checkpoints.newest(run.checkpoints, of)
    set_seed(config.seed)
    dataset, left_out = tokenize(examples)
    peft_model = add_lora(model, base, config)
    if config.init == "eva" and not last:
        eva(peft_model, dataset, examples.tokenizer, config)
    trainer = build_trainer(run, peft_model, dataset, examples.tokenizer, config)
    seal = checkpoints.Seal(trainer, of, before)
    trainer.add_callback(seal)
    if push.push_every:
        trainer.add_callback(pushing.Push(push))
    with (
        watched(trainer, config),
        tracking.training(trainer, run, config, track, checkpoints.step(last) if last else 0),
    ):
        trainer.train(resume_from_checkpoint=last and str(last))
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    save_adapter(
        run,
        peft_model,
        examples,
        {
            **told,
            "summaries": summaries_origin(run),
            "version": VERSION,
            "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
            "python": platform.python_version(),
            "seed": config.seed,
            "hardware": hardware(),
            "seconds": seal.seconds,
            "memory": peak_memory(),
            "steps": trainer.state.global_step,
            "tokens": trainer.tokens_seen,
            "examples": len(dataset),
            "left_out": left_out,
            "train_loss": round(sum(losses) / len(losses), 4),
            "adapter_parameters": sum(
                p.numel() for p in peft_model.parameters() if p.requires_grad
            ),
        },
    )


def tokenize(examples: Examples) -> tuple[Dataset, int]:
    """Returns (input_ids, labels, length of every example over all epochs, how many were left out as too long)."""
    distinct, order = examples.training()
    rows = examples.encoded(tqdm(distinct, desc="tokenize", unit="example", leave=False))
    places = {
        index: place for place, index in enumerate(index for index, row in enumerate(rows) if row)
    }
    kept = [places[index] for index in order if index in places]
    if not kept:
        raise ConfigError(f"no example fits in --max-length {examples.config.max_length}")
    return Dataset.from_list([row for row in rows if row]).select(kept), len(order) - len(kept)


def build_trainer(
    run: Run, model: PeftModel, dataset: Dataset, tokenizer, config: FitConfig
) -> AnswerTrainer:
    """Returns the Trainer: batches of like length padded to their longest, AdamW, cosine."""
    per_step = config.batch_size * config.accumulate
    steps = min(config.max_steps or 10**9, -(-len(dataset) // per_step))
    arguments = TrainingArguments(
        output_dir=str(run.checkpoints),
        max_steps=steps,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.accumulate,
        learning_rate=config.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(steps * config.warmup),
        train_sampling_strategy="group_by_length",
        seed=config.seed,
        save_steps=config.save_steps,
        save_total_limit=2,
        logging_steps=max(1, min(10, steps // 20)),
        disable_tqdm=True,
        logging_nan_inf_filter=False,
        report_to="none",
        run_name=run.folder.resolve().name,
        project=tracking.PROJECT,
        trackio_static_space_id=False,
        use_cpu=not torch.cuda.is_available(),
        remove_unused_columns=True,
    )
    progress = Progress(run.history)
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        callbacks=[progress],
        data_collator=family_of(model.config).collator(model, tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    progress.trainer = trainer
    return trainer


def save_adapter(run: Run, model: PeftModel, examples: Examples, record: dict) -> None:
    """Writes run/adapter whole or not at all: weights in bf16, tokenizer, template, prompt.json, run.json.

    Raises DivergedError where a weight is no number.
    """
    if not all(
        parameter.isfinite().all() for parameter in model.parameters() if parameter.requires_grad
    ):
        raise DivergedError(
            f"the weights after step {record['steps']} are not all numbers, and no adapter was written: train "
            "with a lower --learning-rate, in another --run"
        )
    unfinished, folder = run.folder / "adapter.unfinished", run.adapter
    shutil.rmtree(unfinished, ignore_errors=True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(
                torch.bfloat16
            )  # half the download; it is these weights that are scored
    for how_it_was_loaded in ("is_local", "local_files_only"):
        examples.tokenizer.init_kwargs.pop(how_it_was_loaded, None)
    with one_kind_of_error(unfinished):
        model.save_pretrained(unfinished)
        examples.tokenizer.save_pretrained(unfinished)
    examples.prompt_template.save(unfinished / "prompt.json")
    (unfinished / "run.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (unfinished / "README.md").unlink(missing_ok=True)  # peft's card; evaluate writes ours
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def is_done(run: Run) -> bool:
    """Whether the run has its adapter; raises ConfigError where that one learned another catalogue than there is now."""
    if not run.has_adapter():
        return False
    if run.adapter_record()["data"] != run.data_digest():
        raise ConfigError(
            f"{run.name} has an adapter of another catalogue or other summaries than it has now: choose another "
            "--run, or remove its adapter/ and checkpoints/ to train anew"
        )
    return True


@contextlib.contextmanager
def one_kind_of_error(folder: Path) -> Iterator[None]:
    """Raises RunError where weights or tokenizer cannot be written; their libraries have other names for a full disk."""
    try:
        yield
    except Exception as error:
        if isinstance(error, SafetensorError) or type(error) is Exception:
            raise RunError(f"{folder.name} cannot be written: {error}") from error
        raise


def peak_memory() -> int:
    """Returns the most bytes that were held at once: of the GPU's memory, or of this process's on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def hardware() -> str:
    """Returns the GPU's name, or the number of CPU cores and the processor's kind."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {os.cpu_count()} cores, {platform.machine()}"
