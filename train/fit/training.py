"""The training run: tokenize the examples, train or resume, save the adapter."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from tqdm import tqdm
from transformers import set_seed

from space.model import Base, PromptTemplate
from space.settings import VERSION
from train import ranks
from train.config import ConfigError, FitConfig, PushConfig, TrackConfig
from train.examples import Examples
from train.fit.adapter import add_lora, init_with_eva, load_start, save_adapter
from train.fit.checkpoints import (
    CheckpointMarker,
    CheckpointPush,
    download_checkpoint,
    latest_checkpoint,
    resume_point,
)
from train.fit.memory import (
    REMEDIES,
    MemoryEstimate,
    OutOfMemoryError,
    is_out_of_memory,
    plan_memory,
)
from train.fit.rehearsal import answer_as_base
from train.fit.snapshots import KeepSnapshots
from train.fit.tracking import track_training
from train.fit.trainer import AnswerTrainer, DivergedError, build_trainer
from train.prepare import summaries_origin
from train.run import AdapterRecord, Run, sha256_file, sha256_json

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
# What gloo and NCCL say where the other end of a connection is gone.
_LOST = re.compile(r"gloo|NCCL|Connection (closed|reset|refused)|Broken pipe", re.I)
# Options newer than the first checkpoints, whose digests lack them, with their neutral values.
LATER_OPTIONS = {
    "rank_stabilized": False,
    "init": "default",
    "asked": 0.0,
    "unstated": 0.2,
    "rehearse": 0.0,
    "start": "",
}


def fit(
    run: Run, model, base: Base, examples: Examples, push: PushConfig, track: TrackConfig
) -> None:
    """Train an adapter on `model` and write run/adapter.

    Resume from a checkpoint if there is one. `model` is loaded with load_base(training=True). With
    push.push_every, checkpoints go to the Hub, and training resumes from there where the run has
    none. Raises ConfigError where the run was begun with other options, DivergedError at a NaN or
    infinite loss or gradient. Under torchrun all ranks call it, and rank 0 writes.
    """
    run.check_fit_config(examples.config)
    config = examples.config.for_base(model.num_parameters())
    # Not paths of this machine.
    start = sha256_file(Path(config.start) / "adapter_model.safetensors") if config.start else ""
    options = {**config.options(), "base": base.name, "start": start}
    data = run.data_digest()
    digest = digest_inputs(base, options, data, examples.prompt_template)
    with ranks.main_first():
        if push.push_every and ranks.is_main():
            download_checkpoint(run.checkpoints, digest, push)
        resumed = resume_point(run.checkpoints, digest)
    set_seed(config.seed)
    examples.general = answer_as_base(
        run, model, examples.tokenizer, examples.plan.counts["general"], config.seed
    )
    dataset, left_out = tokenize(examples)
    adapted = add_lora(model, base, config)
    if config.start and not resumed:
        load_start(adapted, config.start)
    estimate = plan_memory(adapted, dataset, config)
    # Kept from here on: a run that is refused may be begun with other options.
    with ranks.main_first():
        run.keep_fit_config(examples.config)
    if ranks.world_size() > 1:
        rows = config.batch_size * config.accumulate
        ranks.say(f"fit: {ranks.world_size()} processes with {rows} examples each in a step")
    ranks.say(f"fit: needs {estimate}")
    if config.init == "eva" and not resumed:
        init_with_eva(adapted, dataset, examples.tokenizer, config)
    trainer = build_trainer(run, adapted, dataset, examples.tokenizer, config)
    marker = CheckpointMarker(trainer, digest, resumed)
    trainer.add_callback(marker)
    if ranks.is_main():
        if not resumed:
            shutil.rmtree(run.snapshots, ignore_errors=True)  # of a training that was given up
        if config.snapshots:
            trainer.add_callback(KeepSnapshots(run))
    if push.push_every and ranks.is_main():
        trainer.add_callback(CheckpointPush(push))
    board = track if ranks.is_main() else TrackConfig()
    with (
        explain_failure(trainer, config, estimate),
        track_training(trainer, run, config, board, resumed.step if resumed else 0),
    ):
        trainer.train(resume_from_checkpoint=str(resumed.folder) if resumed else None)
    check_equal_weights(adapted)
    memory = max(ranks.gather(peak_memory()))
    if not ranks.is_main():
        ranks.wait()
        return
    losses = [float(entry["loss"]) for entry in trainer.state.log_history if "loss" in entry]
    record: AdapterRecord = {
        "base": asdict(base),
        "config": options,
        "data": data,
        "summaries": summaries_origin(run),
        "version": VERSION,
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "python": platform.python_version(),
        "seed": config.seed,
        "world_size": ranks.world_size(),
        "hardware": describe_hardware(),
        "seconds": marker.seconds,
        "memory": memory,
        "steps": trainer.state.global_step,
        "tokens": trainer.tokens_seen,
        "examples": len(dataset),
        "left_out": left_out,
        "train_loss": round(sum(losses) / len(losses), 4),
        "adapter_parameters": adapted.get_nb_trainable_parameters()[0],
    }
    save_adapter(run, adapted, examples.tokenizer, examples.prompt_template, record)
    ranks.wait()


def digest_inputs(
    base: Base, options: dict[str, Any], data: dict[str, Any], prompt_template: PromptTemplate
) -> str:
    """Hash all that decides which adapter a run makes."""
    kept = {
        name: value
        for name, value in options.items()
        if name not in LATER_OPTIONS or LATER_OPTIONS[name] != value
    }
    inputs: dict[str, Any] = {
        "base": asdict(base),
        "config": kept,
        "data": data,
        "wording": asdict(prompt_template),  # the key that the first checkpoints have
    }
    if ranks.world_size() > 1:
        inputs["world_size"] = ranks.world_size()
    return sha256_json(inputs)


def check_equal_weights(model: PeftModel) -> None:
    """Raise RankError where ranks ended with different trained weights."""
    total = hashlib.sha256()
    for parameter in model.parameters():
        if parameter.requires_grad:
            total.update(parameter.detach().cpu().numpy().tobytes())
    digests = ranks.gather(total.hexdigest())
    for rank, digest in enumerate(digests):
        if digest != digests[0]:
            raise ranks.RankError(
                f"rank {rank} ended with other weights than rank 0, so no adapter was written: "
                "train on one GPU, with CUDA_VISIBLE_DEVICES=0, in another --run"
            )


def tokenize(examples: Examples) -> tuple[Dataset, int]:
    """Encode the examples of all epochs.

    Return (rows, how many were too long and left out). A row has input_ids, labels and length.
    """
    distinct, order = examples.build_training()
    fitting: list[Any] = []  # TokenRows
    position = {}
    bar = tqdm(distinct, desc="tokenize", unit="example", leave=False)
    for index, row in enumerate(examples.encode(bar)):
        if row is not None:
            position[index] = len(fitting)
            fitting.append(row)
    kept = [position[index] for index in order if index in position]
    if not kept:
        raise ConfigError(f"no example fits in --max-length {examples.config.max_length}")
    return Dataset.from_list(fitting).select(kept), len(order) - len(kept)


def is_done(run: Run) -> bool:
    """Tell whether the run has its adapter.

    Raise ConfigError where its catalogue is another one now.
    """
    if not run.has_adapter():
        return False
    if run.adapter_record()["data"] != run.data_digest():
        raise ConfigError(
            f"{run.name} has an adapter of another catalogue or other summaries than it has now: "
            "choose another --run, or remove its adapter/ and checkpoints/ to train anew"
        )
    return True


@contextlib.contextmanager
def explain_failure(
    trainer: AnswerTrainer, config: FitConfig, estimate: MemoryEstimate
) -> Iterator[None]:
    """Add what is kept and what to try to a failure.

    Close the progress bar at the end.
    """
    try:
        yield
    except DivergedError as error:
        kept = _describe_kept(trainer)
        remedy = (
            f"a lower --learning-rate (it was {config.learning_rate:g}) "
            f"or a longer --warmup (it was {config.warmup:g})"
        )
        if config.precision == "nf4":
            remedy += ", or --precision bf16"
        raise DivergedError(
            f"{error}: training stopped there and no adapter was written; {kept}. "
            f"Try {remedy}, in another --run"
        ) from error
    except Exception as error:
        if ranks.world_size() > 1 and _LOST.search(str(error)):
            raise ranks.RankError(
                f"another rank ended at step {trainer.state.global_step + 1} of "
                f"{trainer.state.max_steps}; {_describe_kept(trainer)}. The same command goes on "
                "from there"
            ) from error
        if not is_out_of_memory(error):
            raise
        step = trainer.state.global_step + 1
        raise OutOfMemoryError(
            f"memory ran out at step {step} of {trainer.state.max_steps}; "
            f"{_describe_kept(trainer)}. The run needs {estimate}. Try {REMEDIES}, in another "
            "--run, or the same command where more memory is free"
        ) from error
    finally:
        if trainer.bar is not None:
            trainer.bar.close()


def _describe_kept(trainer: AnswerTrainer) -> str:
    latest = latest_checkpoint(Path(str(trainer.args.output_dir)))
    if latest:
        return f"the checkpoint of step {latest.step} is kept"
    return "there is no checkpoint from before"


def peak_memory() -> int:
    """Measure peak memory in bytes.

    Of the GPU, or of this process on a CPU.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def describe_hardware() -> str:
    """Name the GPUs, or the CPU's cores and architecture."""
    count = ranks.world_size()
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        return f"{count} x {name}" if count > 1 else name
    processes = f", {count} processes" if count > 1 else ""
    return f"CPU, {os.cpu_count()} cores, {platform.machine()}{processes}"
