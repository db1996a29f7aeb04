"""The estimate of memory: what it says, when it checkpoints or refuses, and running out anyway."""

import errno
import itertools
import re
from shutil import copytree

import pytest
import torch
from datasets import Dataset

from space.model.base import load_base
from tests.conftest import tiny_model
from tests.options import QUICK_FIT
from train.__main__ import main
from train.config import ConfigError, FitConfig
from train.fit import memory
from train.fit.adapter import add_lora
from train.fit.checkpoints import latest_checkpoint
from train.fit.memory import plan_memory, saved_bytes
from train.fit.trainer import AnswerTrainer

GB = 10**9


@pytest.fixture
def run(prepared, tmp_path):
    return copytree(prepared, tmp_path / "run")


def loaded(base, **changes):
    config = FitConfig(base=str(base), rank=4, **changes)
    model, identity = load_base(config.base, training=True)
    return add_lora(model, identity, config), config


def lengths(*tokens):
    return Dataset.from_list([{"length": length} for length in tokens])


def fit(run, base, *options):
    return main(["fit", "--run", str(run), "--base", str(base), *QUICK_FIT, *options])


def error_of(capsys):
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    return next(line for line in errors.splitlines() if line.startswith("error: "))


def test_what_a_row_keeps_is_what_it_is_measured_to_keep(tiny_base):
    """The measured tensors of two short rows predict those of a long one."""
    model, _ = loaded(tiny_base)
    linear, square = saved_bytes(model)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    frozen = itertools.chain(model.parameters(), model.buffers())
    weights = {tensor.untyped_storage().data_ptr() for tensor in frozen}
    ids = torch.ones((1, 400), dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model.get_base_model().model(input_ids=ids, use_cache=False)
    actual = sum(
        tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in weights
    )
    assert linear * 400 + square * 400**2 == pytest.approx(actual, rel=0.15)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_measuring_draws_no_random_number(tiny_base):
    """So a resumed run draws what the undisturbed one drew."""
    model, _ = loaded(tiny_base, dropout=0.5)
    before = torch.get_rng_state()
    saved_bytes(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_memory_is_bounded_by_the_micro_batch_and_not_by_the_batch(tiny_base):
    model, config = loaded(tiny_base, batch_size=64)
    few = plan_memory(model, lengths(400, 100), config)
    model, config = loaded(tiny_base, batch_size=512)
    many = plan_memory(model, lengths(400, 100), config)
    assert many.activations == few.activations and few.activations > 0
    assert few.rows * few.length <= 2048
    assert few.optimizer == 12 * model.get_nb_trainable_parameters()[0]


def test_auto_checkpoints_where_the_estimate_asks_for_it(tiny_base, monkeypatch):
    model, config = loaded(tiny_base)
    assert not plan_memory(model, lengths(400), config).checkpointing
    assert not model.get_base_model().is_gradient_checkpointing
    monkeypatch.setattr(memory, "CPU_LIMIT", 1)
    estimate = plan_memory(model, lengths(400), config)
    assert estimate.checkpointing and model.get_base_model().is_gradient_checkpointing
    model, off = loaded(tiny_base, checkpointing="off")
    without = plan_memory(model, lengths(400), off)
    assert not without.checkpointing and estimate.activations < without.activations


def test_checkpointing_changes_no_byte_of_the_result(run, tmp_path, tokenizer):
    """So a run may be resumed where more or less memory is free."""
    base, adapters = tiny_model(tmp_path / "base", tokenizer), []
    for choice in ("on", "off"):
        folder = copytree(run, tmp_path / choice)
        assert fit(folder, base, "--checkpointing", choice, "--dropout", "0.1") == 0
        adapters.append((folder / "adapter" / "adapter_model.safetensors").read_bytes())
    assert adapters[0] == adapters[1]


def test_the_need_is_said_before_the_first_step(run, tiny_base, capsys):
    assert fit(run, tiny_base) == 0
    assert re.search(
        r"^fit: needs about \d+\.\d of \d+\.\d GB of memory: \d+\.\d program and weights, \d+\.\d "
        r"activations \(\d+ x \d+ tokens, without checkpointing\), \d+\.\d optimizer$",
        capsys.readouterr().out,
        re.M,
    )


def test_too_little_memory_is_refused_and_the_run_is_not_begun(run, tiny_base, capsys, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(memory, "free_memory", lambda device: 1000)
        assert fit(run, tiny_base) == 2
    error = error_of(capsys)
    assert error.startswith("error: training needs about ")
    for remedy in ("--max-length", "--checkpointing on", "--precision nf4", "--rank"):
        assert remedy in error
    assert not (run / "checkpoints").exists()
    assert fit(run, tiny_base, "--rank", "2") == 0  # as it advised, in the same run


def test_a_containers_limit_is_what_there_is(tmp_path, monkeypatch):
    device = torch.device("cpu")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    whole = memory.free_memory(device)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory(device) == pytest.approx(whole, rel=0.2)
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 100000\n")
    assert memory.free_memory(device) == 600_000


@pytest.mark.parametrize(
    "failure",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nSee docs"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=["cuda", "cpu"],
)
def test_running_out_of_memory_is_one_line_and_keeps_the_checkpoint(
    run, tiny_base, capsys, monkeypatch, failure
):
    compute = AnswerTrainer.compute_loss

    def full(self, *args, **kwargs):
        if self.state.global_step == 1:
            raise failure
        return compute(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(AnswerTrainer, "compute_loss", full)
        assert fit(run, tiny_base, "--save-steps", "1") == 1
    error = error_of(capsys)
    assert error.startswith(
        "error: memory ran out at step 2 of 2; the checkpoint of step 1 is kept. The run needs "
    )
    assert "--max-length" in error and latest_checkpoint(run / "checkpoints").step == 1
    assert fit(run, tiny_base, "--save-steps", "1") == 0


@pytest.mark.parametrize("writes", ["torch.save", "a file"])
def test_a_full_disk_at_a_checkpoint_is_one_line(run, tiny_base, capsys, monkeypatch, writes):
    def full(trainer, folder):
        if trainer.state.global_step == 2:
            if writes == "a file":
                raise OSError(errno.ENOSPC, "No space left on device", folder)
            raise RuntimeError(
                "[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0\nframe #0"
            )
        return save(trainer, folder)

    save = AnswerTrainer._save_optimizer_and_scheduler
    with monkeypatch.context() as patched:
        patched.setattr(AnswerTrainer, "_save_optimizer_and_scheduler", full)
        assert fit(run, tiny_base, "--save-steps", "1") == 1
    error = error_of(capsys)
    if writes == "a file":
        assert error == "error: No space left on device: checkpoint-2"
    else:
        assert error.startswith("error: the checkpoint of step 2 cannot be written (")
        assert error.endswith("make room on the disk and repeat the command")
    assert latest_checkpoint(run / "checkpoints").step == 1
    assert not (run / "checkpoints" / "checkpoint-2").exists()
    assert fit(run, tiny_base, "--save-steps", "1") == 0


def test_a_gpu_without_bf16_is_refused_in_words(run, tiny_base, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    assert fit(run, tiny_base) == 2
    assert error_of(capsys).startswith("error: the GPU Tesla T4 has no bf16, which training needs")
    with pytest.raises(ConfigError):
        memory.check_device()
