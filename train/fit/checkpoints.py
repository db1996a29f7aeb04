"""Checkpoints of a training run: on disk, on the Hub, and resuming from one."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from httpx2 import HTTPError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import RepositoryNotFoundError
from tqdm import tqdm
from transformers import TrainerCallback, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from train import ranks
from train.config import ConfigError, PushConfig
from train.fit.trainer import AnswerTrainer
from train.publish import CHECKPOINT, redacted, send
from train.run import read_json, to_json, write_atomic

# The marker is written last: a checkpoint without it is incomplete.
MARKER = "whole.json"
# What resuming needs, beside the ranks' random states. The other files hold paths of this machine.
RESUME_FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "trainer_state.json",
    MARKER,
)
LAST_WAIT = 120.0  # seconds that the end of training waits for an upload


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint, and what its marker says."""

    folder: Path
    digest: str  # of the run's inputs
    world_size: int  # processes that trained it
    tokens: int  # trained on so far
    seconds: float  # spent on the run so far

    @property
    def step(self) -> int:
        """The optimizer step after which it was written."""
        return _step(self.folder)


def resume_files(world_size: int) -> list[str]:
    """List the files of a checkpoint that resuming needs."""
    states = [f"rng_state_{rank}.pth" for rank in range(world_size)]
    return [*(states if world_size > 1 else ["rng_state.pth"]), *RESUME_FILES]


def latest_checkpoint(folder: Path) -> Checkpoint | None:
    """Find the newest complete checkpoint."""
    complete = [path for path in _checkpoints(folder) if (path / MARKER).is_file()]
    if not complete:
        return None
    newest = max(complete, key=_step)
    marker = read_json(newest / MARKER)
    return Checkpoint(
        newest,
        marker["of"],
        marker.get("world_size", 1),  # the first markers lack it
        marker["tokens"],
        marker["seconds"],
    )


def resume_point(folder: Path, digest: str) -> Checkpoint | None:
    """Find the checkpoint to resume from, and remove all others.

    Raises ConfigError where it belongs to a run with other inputs than `digest`, or to another
    number of processes, whose batches were others.
    """
    latest = latest_checkpoint(folder)
    if latest and latest.world_size != ranks.world_size():
        raise ConfigError(
            f"{folder.parent.name} was begun with {latest.world_size} processes and there are "
            f"{ranks.world_size()} now, whose steps would be others: "
            f"{_start_with(latest.world_size)}, choose another --run, "
            f"or remove its {folder.name}/ to begin anew"
        )
    if latest and latest.digest != digest:
        raise ConfigError(
            f"{folder.parent.name} was begun with another catalogue, base, prompt template or "
            "summaries than it has now: choose another --run, "
            f"or remove its {folder.name}/ to begin anew"
        )
    for path in _checkpoints(folder):
        if latest is None or path != latest.folder:
            shutil.rmtree(path)
    return latest


def _start_with(world_size: int) -> str:
    if world_size == 1:
        return "start one, without torchrun and with CUDA_VISIBLE_DEVICES=0"
    return f"start as many with {ranks.TORCHRUN.replace('gpu', str(world_size))}"


class CheckpointMarker(TrainerCallback):
    """Mark each checkpoint as complete, with the run's tokens and seconds so far."""

    def __init__(self, trainer: AnswerTrainer, digest: str, resumed: Checkpoint | None) -> None:
        self.trainer, self.digest = trainer, digest
        self.seconds_before = resumed.seconds if resumed else 0.0
        self.started = time.monotonic()
        trainer.tokens_seen = resumed.tokens if resumed else 0

    @property
    def seconds(self) -> float:
        """The seconds spent on the run, earlier calls included."""
        return round(self.seconds_before + time.monotonic() - self.started, 1)

    def on_save(self, args, state, control, **kwargs):
        if not ranks.is_main():
            return
        marker = {"of": self.digest, "tokens": self.trainer.tokens_seen, "seconds": self.seconds}
        if ranks.world_size() > 1:
            marker["world_size"] = ranks.world_size()
        write_atomic(_folder(args, state.global_step) / MARKER, to_json(marker))


class CheckpointPush(TrainerCallback):
    """Send checkpoints to the Hub in the background; a failure is reported and training goes on.

    One that is due while an earlier one is being sent is skipped. Add it after CheckpointMarker.
    """

    def __init__(self, config: PushConfig) -> None:
        self.config = config
        self.pushed = 0  # the step of the last checkpoint that was sent
        self.thread = threading.Thread()

    def on_save(self, args, state, control, **kwargs):
        step = state.global_step
        if step - self.pushed < self.config.push_every or self.thread.is_alive():
            return
        self.pushed = step
        checkpoint = _folder(args, step)
        # Hard links, since the Trainer may remove the checkpoint while it is being sent.
        linked = checkpoint.with_name("sending")
        shutil.rmtree(linked, ignore_errors=True)
        shutil.copytree(checkpoint, linked, copy_function=os.link)
        self.thread = threading.Thread(target=self._send, args=(linked, step), daemon=True)
        self.thread.start()

    def on_train_end(self, args, state, control, **kwargs):
        if self.thread.is_alive():
            self.thread.join(LAST_WAIT)

    def _send(self, linked: Path, step: int) -> None:
        try:
            sent = send(
                {
                    f"{CHECKPOINT}/{name}": linked / name
                    for name in resume_files(ranks.world_size())
                },
                self.config.to,
                message=f"Checkpoint after step {step}",
                private=self.config.private,
                progress=False,
            )
            tqdm.write(f"fit: the checkpoint after step {step} is at {sent.url}")
        except Exception as error:  # no failure may stop the training
            tqdm.write(
                f"fit: the checkpoint after step {step} was not sent ({error}); training goes on"
            )
        finally:
            shutil.rmtree(linked, ignore_errors=True)


def download_checkpoint(folder: Path, digest: str, config: PushConfig) -> None:
    """Download the Hub's checkpoint where `folder` has none.

    One of a run with other inputs than `digest` is not taken. A failure is only reported.
    """
    if _checkpoints(folder):
        return
    arriving = folder / "arriving"
    try:
        snapshot_download(config.to, allow_patterns=f"{CHECKPOINT}/*", local_dir=arriving)
        downloaded = arriving / CHECKPOINT
        if not (downloaded / MARKER).is_file():
            return
        if read_json(downloaded / MARKER)["of"] != digest:
            tqdm.write(
                f"fit: begins anew; the checkpoint in {config.to} is of another catalogue, base, "
                "prompt template, option or number of processes"
            )
            return
        step = read_json(downloaded / "trainer_state.json")["global_step"]
        os.replace(downloaded, folder / f"{PREFIX_CHECKPOINT_DIR}-{step}")
        tqdm.write(f"fit: goes on after step {step}, with the checkpoint in {config.to}")
    except RepositoryNotFoundError:
        pass  # nothing was sent yet
    except (OSError, ValueError, KeyError, HTTPError) as error:
        tqdm.write(
            f"fit: begins anew; no checkpoint came from {config.to} ({redacted(str(error))})"
        )
    finally:
        shutil.rmtree(arriving, ignore_errors=True)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.is_dir()]


def _folder(args: TrainingArguments, step: int) -> Path:
    return Path(str(args.output_dir), f"{PREFIX_CHECKPOINT_DIR}-{step}")


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
