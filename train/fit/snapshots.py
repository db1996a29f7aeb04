"""Snapshots: the adapter as it is after some of its steps, for the page."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from peft import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import TrainerCallback

from train.fit.trainer import disk_errors
from train.run import Run

# Shares of the steps. Before the first step the model is the base, and after the last one it has
# the adapter itself, so neither needs a file.
SHARES = (0.1, 0.5)


def snapshot_steps(steps: int) -> set[int]:
    """Choose after which of a training's steps the adapter is kept."""
    chosen = {max(1, round(share * steps)) for share in SHARES}
    return {step for step in chosen if step < steps}


class KeepSnapshots(TrainerCallback):
    """Write a run's snapshots."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_step_end(self, args, state, control, **kwargs):
        # Before the checkpoint of the same step: who resumes from that has this snapshot.
        if state.global_step in snapshot_steps(state.max_steps):
            write_snapshot(self.run, kwargs["model"], state.global_step)


def write_snapshot(run: Run, model, step: int) -> Path:
    """Write a PEFT model's LoRA weights in bf16 atomically.

    The tensors have the names of `adapter_model.safetensors`. Raises RunError or OSError on a full
    disk.
    """
    weights = {}
    for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items():
        weights[name] = tensor.detach().to("cpu", torch.bfloat16).contiguous()
    run.snapshots.mkdir(exist_ok=True)
    path = run.snapshots / f"step-{step}.safetensors"
    unfinished = path.with_name(path.name + ".unfinished")
    with disk_errors(f"{run.snapshots.name}/{path.name}"):
        save_file(weights, unfinished, metadata={"format": "pt"})
    os.replace(unfinished, path)
    return path


def copy_snapshots(run: Run, adapter: Path) -> None:
    """Copy a run's snapshots into its adapter's folder."""
    (adapter / run.snapshots.name).mkdir()
    for path in run.snapshots.glob("step-*.safetensors"):
        shutil.copyfile(path, adapter / run.snapshots.name / path.name)
