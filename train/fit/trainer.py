"""The Trainer for answers: loss at their tokens, a stop at NaN, progress and history."""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import cast

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
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from space.model import family_of
from train import ranks
from train.config import FitConfig
from train.fit.memory import release_freed_memory
from train.fit.microbatches import micro_batch_tokens, split_batch
from train.fit.tracking import PROJECT
from train.run import Run, RunError, write_atomic

# It must be off here, and accelerate knows it by this name alone.
warnings.filterwarnings(
    "ignore", message=".broadcast_buffers. is deprecated", category=FutureWarning
)
# What torch.save says of a write that failed.
_WRITER = re.compile(r"PytorchStreamWriter|inline_container|iostream error|unexpected pos")


class DivergedError(Exception):
    """The loss, a gradient or a weight became NaN or infinite."""


class AnswerTrainer(Trainer):
    """A Trainer that computes logits at the answers' tokens alone.

    It raises DivergedError at a loss or gradient that is NaN or infinite, before a weight changes.
    Under torchrun the ranks' batches count as one: loss, tokens and errors are those of all ranks.
    """

    tokens_seen = 0
    bar: tqdm | None = None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Compute the mean cross-entropy (nats) over the labels of (rows, tokens) inputs."""
        adapted = self.accelerator.unwrap_model(model)
        base = adapted.get_base_model()
        family = family_of(base.config)
        self.tokens_seen += family.count_tokens(**inputs)
        # DDP exchanges the gradients of a forward pass that went through it, and no others.
        wrapper = None if model is adapted else model
        logits, labels = family.answer_logits(base, wrapper=wrapper, **inputs)
        total = cross_entropy(logits.float(), labels, reduction="sum")
        if num_items_in_batch is None:
            return total / len(labels)
        # The items are those of all ranks, and DDP divides by their number.
        return total * self.accelerator.num_processes / num_items_in_batch

    def training_step(self, model, inputs, num_items_in_batch=None):
        """Add a batch's gradients and return its loss.

        The batch is split into micro-batches, which all divide by the labels of the whole: loss and
        gradients are those of one forward pass, and its memory is bounded.
        """
        if num_items_in_batch is None:
            num_items_in_batch = (inputs["labels"] >= 0).sum()
        before = self.tokens_seen
        *earlier, last = split_batch(inputs, micro_batch_tokens(self.args.device))
        losses = []
        # Ranks may have different numbers of micro-batches, so they meet at the last one alone.
        with self.accelerator.no_sync(model):
            for part in earlier:
                losses.append(super().training_step(model, part, num_items_in_batch))
        losses.append(super().training_step(model, last, num_items_in_batch))
        if self.args.device.type == "cpu":
            release_freed_memory()
        loss = torch.stack(losses).sum()
        self.tokens_seen = before + self._meet(loss, self.tokens_seen - before)
        return loss

    def _meet(self, loss: torch.Tensor, tokens: int) -> int:
        """Sum up the ranks' tokens.

        Raise DivergedError on all ranks where the loss of one is NaN or infinite.
        """
        own = torch.stack([loss.double(), torch.full_like(loss, tokens, dtype=torch.double)])
        gathered = cast(torch.Tensor, self.accelerator.gather(own[None])).tolist()
        for index, (value, _) in enumerate(gathered):
            self._finite("loss", value, f" on rank {index}" if len(gathered) > 1 else "")
        return int(sum(count for _, count in gathered))

    def _save_checkpoint(self, model, trial):
        step = self.state.global_step
        folder = Path(str(self.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{step}"
        try:
            with disk_errors(f"the checkpoint of step {step}"):
                super()._save_checkpoint(model, trial)
            # Each rank writes its own random state, and the marker must come after all of them.
            self.accelerator.wait_for_everyone()
        except (OSError, RunError):
            # It is of no use, and its room is needed.
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _clip_grad_norm(self, model):
        return self._finite("gradient's norm", super()._clip_grad_norm(model))

    def _get_train_sampler(self, train_dataset=None):
        """Group rows by length.

        The order is that of one process with the rows of all ranks in its batch.
        """
        rows = self.args.train_batch_size * self.args.gradient_accumulation_steps
        assert self.train_dataset is not None
        lengths = list(self.train_dataset["length"])  # pyright: ignore[reportIndexIssue] # datasets'
        return LengthGroupedSampler(rows * self.args.world_size, lengths=lengths)

    def _finite(self, what: str, value, where: str = ""):
        if not math.isfinite(value):
            step = self.state.global_step + 1
            raise DivergedError(
                f"the {what} is {float(value)} at step {step} of {self.state.max_steps}{where}"
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
    """Build a Trainer with AdamW, cosine decay and batches of like lengths.

    Each rank has batches of its own, so a step has as many more rows and a run fewer steps.
    """
    assert config.learning_rate is not None, "for_base() sets it"
    per_step = config.batch_size * config.accumulate * ranks.world_size()
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
        # A broadcast with each forward pass would fail where ranks have other numbers of them.
        ddp_broadcast_buffers=False,
        ddp_find_unused_parameters=False,
    )
    if arguments.n_gpu > 1:
        # Otherwise the Trainer reads a batch for every GPU of the machine and uses one of them.
        arguments._n_gpu = 1
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=dataset,
        data_collator=family_of(model.config).collator(model, tokenizer),
    )
    # The Trainer then counts a step's labels, over all batches and ranks; T5's forward hides that.
    trainer.model_accepts_loss_kwargs = True
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    if ranks.is_main():
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
