"""The memory that a training run needs: an estimate before the first step, and running out."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from datasets import Dataset
from peft import PeftModel
from transformers.modeling_layers import GradientCheckpointingLayer

from space.model import container_room, family_of
from train import ranks
from train.config import ConfigError, FitConfig
from train.fit.microbatches import micro_batch_tokens, rows_within

PROBES = 64, 128  # tokens of the rows whose saved tensors are measured
# Of a logit: itself, in fp32, its log-softmax, and the gradients of these.
LOGIT_BYTES = 16
ADAM_BYTES = 12  # of a trained parameter: gradient and two moments in fp32
# Allocators keep freed blocks, and the backward pass has tensors of its own.
OVERHEAD = 1.25
# `--checkpointing auto` begins above these: it costs about a third more time.
CPU_LIMIT = 3.5e9  # bytes; a CPU's memory is other programs' too
SHARE = 0.75  # of the memory that there is
CGROUP = Path("/sys/fs/cgroup")
REMEDIES = (
    "a lower --max-length, --checkpointing on, --precision nf4, a lower --rank or a smaller base"
)


@dataclass(frozen=True)
class MemoryEstimate:
    """What a run needs at its peak, and what there is, in bytes."""

    held: int  # by program and weights, before training
    activations: int
    optimizer: int
    available: int  # what is held included
    rows: int  # of the largest micro-batch
    length: int
    checkpointing: bool

    @property
    def needed(self) -> int:
        """All that is held at the peak."""
        return self.held + self.activations + self.optimizer

    def __str__(self) -> str:
        how = "with" if self.checkpointing else "without"
        return (
            f"about {_gigabytes(self.needed)} of {_gigabytes(self.available)} GB of memory: "
            f"{_gigabytes(self.held)} program and weights, {_gigabytes(self.activations)} "
            f"activations ({self.rows} x {self.length} tokens, {how} checkpointing), "
            f"{_gigabytes(self.optimizer)} optimizer"
        )


class OutOfMemoryError(Exception):
    """Training ran out of memory.

    The message is one line for a person.
    """


def check_device() -> None:
    """Raise ConfigError for a GPU without bf16, such as a T4."""
    if not torch.cuda.is_available() or torch.cuda.is_bf16_supported(including_emulation=False):
        return
    raise ConfigError(
        f"the GPU {torch.cuda.get_device_name()} has no bf16, which training needs: use one of "
        "compute capability 8.0 or later (L4, A10, A100), rent one with `rent`, or hide it with "
        "CUDA_VISIBLE_DEVICES=-1 to train on the CPU"
    )


def plan_memory(model: PeftModel, dataset: Dataset, config: FitConfig) -> MemoryEstimate:
    """Estimate a run's memory and decide on gradient checkpointing.

    `dataset` has the rows' lengths. Raises ConfigError, on all ranks, where the memory of one does
    not suffice.
    """
    gc.collect()  # such as a base that was scored before, which counts twice otherwise
    release_freed_memory()
    held, free = held_memory(model.device), free_memory(model.device)
    layers = sum(isinstance(module, GradientCheckpointingLayer) for module in model.modules())
    linear, square = saved_bytes(model)
    tokens = micro_batch_tokens(model.device)
    vocabulary = model.config.get_text_config().vocab_size
    hidden = model.config.get_text_config().hidden_size
    narrow = next(model.parameters()).element_size()

    def activations(length: int, checkpointed: bool) -> int:
        rows = min(config.batch_size, rows_within(length, tokens))
        saved = linear * length + square * length**2
        if checkpointed:  # each layer's input, and one layer's own tensors
            saved = saved / max(layers, 1) + layers * length * hidden * max(narrow, 2)
        answer = min(length, config.answer_tokens)
        return int(OVERHEAD * rows * (saved + LOGIT_BYTES * vocabulary * answer))

    def estimate(checkpointed: bool) -> MemoryEstimate:
        lengths = sorted(set(dataset["length"]))
        needs = [activations(length, checkpointed) for length in lengths]
        largest = max(range(len(lengths)), key=needs.__getitem__)
        length = lengths[largest]
        trained = model.get_nb_trainable_parameters()[0]
        return MemoryEstimate(
            held=held,
            activations=needs[largest],
            optimizer=ADAM_BYTES * trained,
            available=held + free,
            rows=min(config.batch_size, rows_within(length, tokens)),
            length=length,
            checkpointing=checkpointed,
        )

    chosen = estimate(config.checkpointing == "on")
    limit = SHARE * chosen.available
    if model.device.type == "cpu":
        limit = min(limit, CPU_LIMIT)
    if config.checkpointing == "auto" and any(ranks.gather(chosen.needed > limit)):
        chosen = min(chosen, estimate(True), key=lambda either: either.needed)
    for rank, (too_much, needs) in enumerate(
        ranks.gather((chosen.needed > chosen.available, str(chosen)))
    ):
        if too_much:
            where = f" on rank {rank}" if ranks.world_size() > 1 else ""
            raise ConfigError(f"training needs {needs}{where}: try {REMEDIES}")
    if chosen.checkpointing:
        enable_checkpointing(model.get_base_model())
    return chosen


def enable_checkpointing(model) -> None:
    """Keep only the layers' inputs for the backward pass."""
    model.activation_checkpointing_enable({"use_reentrant": False})
    model.enable_input_require_grads()


def saved_bytes(model: PeftModel) -> tuple[float, float]:
    """Measure what a row keeps for its backward pass, without checkpointing.

    Returns the bytes for each token and for each squared token.
    """
    family = family_of(model.config)
    base = model.get_base_model()
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    weights |= {buffer.untyped_storage().data_ptr() for buffer in model.buffers()}
    measured = []
    was_training = model.training
    # Layers do not checkpoint in eval mode. Dropout's masks are the allocators' overhead.
    model.eval()
    for length in PROBES:
        ids = [1] * length
        row = {"input_ids": ids, "labels": [-100] * (length - 2) + ids[-2:]}
        batch = family.batch(base, [row], model.device)  # pyright: ignore[reportArgumentType]
        kept: dict[int, torch.Tensor] = {}

        def keep(tensor: torch.Tensor, kept=kept) -> torch.Tensor:
            if tensor.untyped_storage().data_ptr() not in weights:
                kept[tensor.untyped_storage().data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            family.answer_logits(base, **batch)
        measured.append(sum(tensor.untyped_storage().nbytes() for tensor in kept.values()))
    model.train(was_training)
    short, long = PROBES
    square = (measured[1] / long - measured[0] / short) / (long - short)
    square = max(0.0, square)
    return max(0.0, measured[1] / long - square * long), square


def release_freed_memory() -> None:
    """Return freed memory to the system, where the C library can.

    Rows of many lengths leave holes that it would keep.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim:
            trim(0)


def held_memory(device: torch.device) -> int:
    """Measure what this process holds, on the GPU or on the CPU."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return psutil.Process().memory_info().rss


def free_memory(device: torch.device) -> int:
    """Measure what this process may still take, within a container's limit."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    free = psutil.virtual_memory().available
    room = container_room(CGROUP)
    if room is not None:
        stat = CGROUP / "memory.stat"
        text = stat.read_text() if stat.is_file() else ""
        cached = re.search(r"^inactive_file (\d+)", text, re.M)
        reclaimable = int(cached[1]) if cached else 0
        free = max(0, min(free, room + reclaimable))
    return free // ranks.processes_here()


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f}"
