"""Processes that share one run under torchrun: their ranks, what they exchange, their start."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

from space.settings import Process, share_cores
from train.config import ConfigError

# Ranks wait for rank 0 while it prepares a catalogue. torchrun, not this limit, notices a rank that
# ended.
PATIENCE = timedelta(hours=24)
PATIENCE_WITH_ERRORS = 2.0  # seconds that rank 0 has to say what is wrong on all ranks
TORCHRUN = "torchrun --standalone --nproc_per_node gpu -m train"

Value = TypeVar("Value")


class RankError(Exception):
    """Another rank ended, so this one cannot go on; one line for a person."""


def world_size() -> int:
    """Count the processes that share the run, 1 without torchrun."""
    return Process.from_environment().world_size


def rank() -> int:
    """Return this process's number, from 0."""
    return Process.from_environment().rank


def processes_here() -> int:
    """Count the processes on this machine, which share its memory."""
    return Process.from_environment().local_world_size


def is_main() -> bool:
    """Tell whether this is rank 0, which alone writes, prints and publishes."""
    return rank() == 0


def join() -> None:
    """Connect with the other ranks, and wait until all are here.

    Each has a GPU of its own. Raises ConfigError where a rank has no GPU of its own.
    """
    if world_size() == 1:
        return
    import torch
    import torch.distributed
    from accelerate import PartialState

    gpus, processes = torch.cuda.device_count(), processes_here()
    if 0 < gpus < processes:
        raise ConfigError(
            f"{processes} processes were started for {gpus} GPUs: start one for each, with "
            "--nproc_per_node gpu"
        )
    # A rank that waits for another in C++ runs no handler, so SIGTERM must end it by itself.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if not torch.distributed.is_initialized():
        PartialState(cpu=gpus == 0, timeout=PATIENCE)
    wait()


def leave() -> None:
    """Disconnect from the other ranks, at the end of a command."""
    if world_size() == 1:
        return
    import torch.distributed

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def wait() -> None:
    """Wait until all ranks are here."""
    if world_size() == 1:
        return
    import torch.distributed

    torch.distributed.barrier()


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """Let rank 0 do this before the others.

    Where it fails there, its process ends, and torchrun ends the others.
    """
    if not is_main():
        wait()
    yield
    if is_main():
        wait()


def from_main(make: Callable[[], Value]) -> Value:
    """Make a value on rank 0 and give it to all ranks."""
    if world_size() == 1:
        return make()
    import torch.distributed

    box = [make() if is_main() else None]
    torch.distributed.broadcast_object_list(box)
    return box[0]  # pyright: ignore[reportReturnType] # it is rank 0's


def gather(value: Value) -> list[Value]:
    """Collect the ranks' values, in their order, on all ranks."""
    if world_size() == 1:
        return [value]
    import torch.distributed

    values = [value] * world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def deal(items: Sequence[Value]) -> Iterator[Value | None]:
    """Yield this rank's share of items that are dealt in turn.

    All ranks get as many: None where the last round has no item for this rank.
    """
    ranks = world_size()
    for start in range(0, len(items), ranks):
        index = start + rank()
        yield items[index] if index < len(items) else None


def say(text: str) -> None:
    """Print a line, once for all ranks."""
    if is_main():
        print(text, flush=True)


def mention_idle_gpus(verb: str) -> None:
    """Say how to use all GPUs where one of several is used."""
    import torch

    gpus = torch.cuda.device_count()
    if world_size() == 1 and gpus > 1:
        print(f"{verb}: uses 1 of {gpus} GPUs; to use all: {TORCHRUN} {verb} ...", flush=True)


def idle_gpus() -> int:
    """Count the GPUs that `launch` can use.

    0 where there are not several, or where torchrun started this process.
    """
    if Process.from_environment().launched:
        return 0
    import torch

    gpus = torch.cuda.device_count()
    return gpus if gpus > 1 else 0


def launch(processes: int, arguments: Sequence[str]) -> int:
    """Run `train` in several processes and return the exit code.

    It is what torchrun does, without its report of a failed rank: ranks say what was wrong. Raises
    RankError where a rank was killed.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.getLogger("torch.distributed").setLevel(logging.CRITICAL)
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    share_cores(processes)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "train", *arguments)
    except ChildFailedError as error:
        failed, failure = error.get_first_failure()
        if failure.exitcode > 0:
            return failure.exitcode
        raise RankError(
            f"rank {failed} was killed by signal {-failure.exitcode}, and the others were ended; "
            "the same command goes on from the last checkpoint"
        ) from error
    except SignalException as error:
        raise KeyboardInterrupt from error
    return 0
