"""Checkpoints of a training run: which is whole, what it belongs to, and going on from it exactly."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from train.config import ConfigError
from train.run import write_atomic

WHOLE = "whole.json"  # written last: a checkpoint without it was cut off while it was written


def identity(**what) -> str:
    """Returns a digest of what a checkpoint belongs to: JSON values that decide which adapter comes out."""
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


class Seal(TrainerCallback):
    """Marks each checkpoint as whole when it is, with the tokens seen and the seconds spent on the run so far."""

    def __init__(self, trainer: Trainer, of: str, before: dict) -> None:
        self.trainer, self.of, self.before, self.begun = (
            trainer,
            of,
            before["seconds"],
            time.monotonic(),
        )
        trainer.tokens_seen = before["tokens"]

    @property
    def seconds(self) -> float:
        """The seconds spent on the run, those before it was cut off included."""
        return round(self.before + time.monotonic() - self.begun, 1)

    def on_save(self, args, state, control, **kwargs):
        """Writes the mark."""
        mark = {"of": self.of, "tokens": self.trainer.tokens_seen, "seconds": self.seconds}
        write_atomic(
            Path(args.output_dir, f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}", WHOLE),
            json.dumps(mark) + "\n",
        )


def newest(folder: Path, of: str) -> tuple[Path | None, dict]:
    """Returns the newest whole checkpoint in `folder` with what it was marked with, and removes all others.

    (None, no tokens and no seconds) where there is none. Raises ConfigError where it belongs to something else.
    """
    last = last_whole(folder)
    mark = (
        json.loads((last / WHOLE).read_text(encoding="utf-8"))
        if last
        else {"tokens": 0, "seconds": 0.0}
    )
    if last and mark["of"] != of:
        raise ConfigError(
            f"{folder.parent.name} was begun with another catalogue, base, prompt template or summaries than it has now: "
            f"choose another --run, or remove its {folder.name}/ to begin anew"
        )
    for path in _found(folder):
        if path != last:
            shutil.rmtree(path)
    return last, mark


def last_whole(folder: Path) -> Path | None:
    """Returns the newest checkpoint in `folder` that has its mark; None where there is none."""
    return max(
        (path for path in _found(folder) if (path / WHOLE).is_file()), key=step, default=None
    )


def _found(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.is_dir()]


def step(checkpoint: Path) -> int:
    """Returns the optimizer step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])
