"""The Trainer for answers: loss at their tokens, a stop at NaN, progress and history."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from datasets import Dataset
from peft import PeftModel
from safetensors import SafetensorError
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from space.model import family_of
from train.config import FitConfig
from train.fit.memory import release_freed_memory
from train.fit.microbatches import micro_batch_tokens, split_batch
from train.fit.tracking import PROJECT
from train.run import Run, RunError, write_atomic

# What torch.save says of a write that failed.
_WRITER = re.compile(r"PytorchStreamWriter|inline_container|iostream error|unexpected pos")


class DivergedError(Exception):
    """The loss, a gradient or a weight became NaN or infinite."""


class AnswerTrainer(Trainer):
    """A Trainer that computes logits at the answers' tokens alone.

    It raises DivergedError at a loss or gradient that is NaN or infinite, before a weight changes.
    """

    tokens_seen = 0
    bar: tqdm | None = None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Compute the mean cross-entropy (nats) over the labels of (rows, tokens) inputs."""
        base = self.accelerator.unwrap_model(model).get_base_model()
        family = family_of(base.config)
        self.tokens_seen += family.count_tokens(**inputs)
        logits, labels = family.answer_logits(base, **inputs)
        total = cross_entropy(logits.float(), labels, reduction="sum")
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Add a batch's gradients and return its loss.

        The batch is split into micro-batches, which all divide by the labels of the whole: loss and
        gradients are those of one forward pass, and its memory is bounded.
        """
        if num_items_in_batch is None:
            num_items_in_batch = (inputs["labels"] >= 0).sum()
        tokens = micro_batch_tokens(self.args.device)
        losses = [
            super(AnswerTrainer, self).training_step(model, part, num_items_in_batch)
            for part in split_batch(inputs, tokens)
        ]
        if self.args.device.type == "cpu":
            release_freed_memory()
        return self._finite("loss", torch.stack(losses).sum())

    def _save_checkpoint(self, model, trial):
        step = self.state.global_step
        folder = Path(str(self.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{step}"
        try:
            with disk_errors(f"the checkpoint of step {step}"):
                super()._save_checkpoint(model, trial)
        except (OSError, RunError):
            # It is of no use, and its room is needed.
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _clip_grad_norm(self, model):
        return self._finite("gradient's norm", super()._clip_grad_norm(model))

    def _finite(self, what: str, value):
        if not math.isfinite(value):
            step = self.state.global_step + 1
            raise DivergedError(
                f"the {what} is {float(value)} at step {step} of {self.state.max_steps}"
            )
        return value


@contextlib.contextmanager
def disk_errors(name: str) -> Iterator[None]:
    """Raise RunError for what libraries raise on a full disk."""
    try:
        yield
    except Exception as error:
        # torch.save's writer raises RuntimeError, tokenizers a bare Exception.
        bare = type(error) is Exception
        if bare or isinstance(error, SafetensorError) or _WRITER.search(str(error)):
            words = str(error).split("\n", 1)[0]
            raise RunError(
                f"{name} cannot be written ({words}): make room on the disk and repeat the command"
            ) from error
        raise


def build_trainer(
    run: Run, model: PeftModel, dataset: Dataset, tokenizer, config: FitConfig
) -> AnswerTrainer:
    """Build a Trainer with AdamW, cosine decay and batches of like lengths."""
    assert config.learning_rate is not None, "for_base() sets it"
    per_step = config.batch_size * config.accumulate
    steps = min(config.max_steps or 10**9, math.ceil(len(dataset) / per_step))
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
        project=PROJECT,
        trackio_static_space_id=False,
        use_cpu=not torch.cuda.is_available(),
        remove_unused_columns=True,
    )
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=family_of(model.config).collator(model, tokenizer),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Progress(trainer, run.history))
    return trainer


class Progress(TrainerCallback):
    """Show loss and tokens per second in a bar, and write them to history.jsonl."""

    def __init__(self, trainer: AnswerTrainer, history: Path) -> None:
        self.trainer, self.history = trainer, history
        self.started, self.tokens_before = 0.0, 0

    def on_train_begin(self, args, state, control, **kwargs):
        self.started, self.tokens_before = time.monotonic(), self.trainer.tokens_seen
        self.trainer.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc="fit",
            unit="step",
            mininterval=0.5,
        )

    def on_step_end(self, args, state, control, **kwargs):
        if self.trainer.bar is not None:
            self.trainer.bar.update(state.global_step - self.trainer.bar.n)

    def on_log(self, args, state, control, logs=None, **kwargs):
        if self.trainer.bar is None or logs is None or "loss" not in logs:
            return
        tokens = self.trainer.tokens_seen - self.tokens_before
        rate = tokens / (time.monotonic() - self.started)
        state.log_history[-1]["tokens_per_second"] = logs["tokens_per_second"] = round(rate, 1)
        self.trainer.bar.set_postfix_str(f"loss {float(logs['loss']):.3f}, {rate:,.0f} tokens/s")
        # Written anew each time: what was logged after the checkpoint of a resumed run goes.
        entries = [entry for entry in state.log_history if "loss" in entry]
        lines = [json.dumps(entry, sort_keys=True) for entry in entries]
        write_atomic(self.history, "\n".join(lines) + "\n")
