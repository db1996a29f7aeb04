"""Two ranks on this machine: torchrun's own agent, with processes that have imported everything."""

import multiprocessing
import os
import re
import runpy
import signal
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from train import pipeline, ranks
from train.__main__ import main
from train.evaluate import score
from train.fit import memory, training
from train.fit.trainer import AnswerTrainer
from train.run import Run


@dataclass
class Ended:
    """How the ranks ended: rank 0's code or the first failure's, and what each printed."""

    code: int
    out: list[str]
    errors: list[str]

    def error_lines(self) -> list[str]:
        """The lines for a person, of all ranks."""
        text = "\n".join(self.errors)
        return re.findall(r"^error: .*", text, re.M)


def run_two(folder: Path, call: list[str], fault: str = "", processes: int = 2) -> Ended:
    """Run `python -m train`, or a script, with this call in two ranks, one with a fault.

    What the ranks print and what a fault keeps is in `folder`, which is made.
    """
    # They are forked from a process that has imported all and has not calculated: 2 s, not 20.
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    folder.mkdir()
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        start_method="forkserver",
        logs_specs=DefaultLogsSpecs(str(folder), redirects=Std.ALL),
    )
    try:
        elastic_launch(config, work)(call, fault, folder)
        code = 0
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode

    def read(name: str) -> list[str]:
        return [path.read_text() for path in sorted(folder.rglob(f"*/{name}"))]

    return Ended(code, read("stdout.log"), read("stderr.log"))


def work(call: list[str], fault: str, folder: Path) -> None:
    """Be one rank."""
    # The server that forks ranks knows the environment of its own start alone.
    os.environ["KEPT"] = str(folder)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    if call[0].endswith(".py"):
        sys.argv = call
        runpy.run_path(call[0], run_name="__main__")
        return
    if fault:
        FAULTS[fault](ranks.rank())
    code = main(call)
    if code:
        sys.exit(code)


def keep_each_ranks_weights(rank: int) -> None:
    own = training.check_equal_weights

    def keep(model):
        named = {name: each for name, each in model.named_parameters() if each.requires_grad}
        torch.save(named, Path(os.environ["KEPT"]) / f"weights{rank}")
        own(model)

    training.check_equal_weights = keep


def at_step(step: int, act) -> None:
    """Call act(trainer) at the beginning of a step."""
    own = AnswerTrainer.training_step

    def training_step(self, model, inputs, num_items_in_batch=None):
        if self.state.global_step + 1 == step:
            act(self)
        return own(self, model, inputs, num_items_in_batch)

    AnswerTrainer.training_step = training_step


def kill_rank_1(rank: int) -> None:
    if rank == 1:
        at_step(7, lambda trainer: os.kill(os.getpid(), signal.SIGKILL))


def nan_on_rank_1(rank: int) -> None:
    own = AnswerTrainer.compute_loss

    def compute_loss(self, *args, **kwargs):
        loss = own(self, *args, **kwargs)
        return loss * torch.nan if rank == 1 and self.state.global_step + 1 == 7 else loss

    AnswerTrainer.compute_loss = compute_loss


def out_of_memory_on_rank_1(rank: int) -> None:
    def run_out(trainer):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    if rank == 1:
        at_step(7, run_out)


def no_memory_on_rank_1(rank: int) -> None:
    if rank == 1:
        memory.free_memory = lambda device: 1000


def other_weights_on_rank_1(rank: int) -> None:
    """As training was before: each rank by itself."""
    own = AnswerTrainer.compute_loss

    def compute_loss(self, model, *args, **kwargs):
        return own(self, self.accelerator.unwrap_model(model), *args, **kwargs)

    AnswerTrainer.compute_loss = compute_loss


def rank_1_writes_nothing(rank: int) -> None:
    """Let rank 1 fail where it writes a file of the run, and count what it generates."""
    if rank == 0:
        return
    Run.keep_evaluation = pipeline.write_evaluation = None
    own = score.generate

    def generate(pair, batch, tuned):
        made = own(pair, batch, tuned)
        count.write_text(str(int(count.read_text()) + len(made)))
        return made

    count = Path(os.environ["KEPT"]) / "generated"
    count.write_text("0")
    score.generate = generate


FAULTS = {
    each.__name__: each
    for each in (
        keep_each_ranks_weights,
        kill_rank_1,
        nan_on_rank_1,
        out_of_memory_on_rank_1,
        no_memory_on_rank_1,
        other_weights_on_rank_1,
        rank_1_writes_nothing,
    )
}
