"""The Trainer that learns answers alone and stops at a loss that is no number, and the bar and the lines that show its way."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import Trainer, TrainerCallback

from space.model import family_of
from train.config import FitConfig
from train.fit import checkpoints
from train.run import write_atomic


class DivergedError(Exception):
    """Training came to a loss or a gradient that is no number; one line that says where, what is kept and what to try."""


class AnswerTrainer(Trainer):
    """The Trainer, with logits only where there is something to learn: at the answers' tokens.

    A loss or gradient that is no number stops it with a DivergedError before it touches a weight: left to
    itself, the Trainer logs the mean of the losses before in its place and goes on.
    """

    tokens_seen = 0
    bar: tqdm | None = None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Returns the mean cross-entropy (nats) over the labels of (rows, tokens) inputs."""
        base = self.accelerator.unwrap_model(model).get_base_model()
        family = family_of(base.config)
        self.tokens_seen += family.count_tokens(**inputs)
        logits, labels = family.answer_logits(base, **inputs)
        total = cross_entropy(logits.float(), labels, reduction="sum")
        return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

    def training_step(self, *args, **kwargs):
        """Returns the loss of one forward and backward pass."""
        return self._finite("loss", super().training_step(*args, **kwargs))

    def _clip_grad_norm(self, model):
        return self._finite("gradient's norm", super()._clip_grad_norm(model))

    def _finite(self, what: str, value: torch.Tensor) -> torch.Tensor:
        if not math.isfinite(value):
            raise DivergedError(
                f"the {what} is {float(value)} at step {self.state.global_step + 1} of {self.state.max_steps}"
            )
        return value


@contextlib.contextmanager
def watched(trainer: AnswerTrainer, config: FitConfig) -> Iterator[None]:
    """Closes the bar of what is trained inside it, however that ends; a DivergedError says what is kept and what to try."""
    try:
        yield
    except DivergedError as error:
        last = checkpoints.last_whole(Path(trainer.args.output_dir))
        kept = (
            f"the checkpoint of step {checkpoints.step(last)} is kept"
            if last
            else "there is no checkpoint from before"
        )
        steadier = f"a lower --learning-rate (it was {config.learning_rate:g}) or a longer --warmup (it was {config.warmup:g})"
        if config.precision == "nf4":
            steadier += ", or --precision bf16"
        raise DivergedError(
            f"{error}: training stopped there and no adapter was written; {kept}. Try {steadier}, "
            "in another --run"
        ) from error
    finally:
        if trainer.bar:
            trainer.bar.close()


class Progress(TrainerCallback):
    """A bar with the loss and tokens per second, and the same as lines of history.jsonl."""

    def __init__(self, history: Path) -> None:
        self.history, self.trainer, self.begun, self.tokens = history, None, 0.0, 0

    def on_train_begin(self, args, state, control, **kwargs):
        """Starts the bar where training goes on."""
        self.begun, self.tokens = time.monotonic(), self.trainer.tokens_seen
        self.trainer.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc="fit",
            unit="step",
            mininterval=0.5,
        )

    def on_step_end(self, args, state, control, **kwargs):
        """Moves the bar."""
        bar = self.trainer.bar
        bar.update(state.global_step - bar.n)

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Shows and keeps what the Trainer logged; the file is written whole, so that a resumed run repeats nothing."""
        if self.trainer.bar is None or "loss" not in logs:
            return
        rate = (self.trainer.tokens_seen - self.tokens) / (time.monotonic() - self.begun)
        state.log_history[-1]["tokens_per_second"] = logs["tokens_per_second"] = round(rate, 1)
        self.trainer.bar.set_postfix_str(f"loss {float(logs['loss']):.3f}, {rate:,.0f} tokens/s")
        lines = [
            json.dumps(entry, sort_keys=True) for entry in state.log_history if "loss" in entry
        ]
        write_atomic(self.history, "\n".join(lines) + "\n")
