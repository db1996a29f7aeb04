"""`fit --snapshots`: the adapter after some of its steps, kept without changing what is trained."""

import json
from shutil import copytree

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file

from space.model.base import load_base
from tests.train.fit.test_adapter import dies_after_a_checkpoint, fit
from train.config import FitConfig
from train.fit.snapshots import snapshot_steps, write_snapshot
from train.run import Run

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def config(tiny_base):
    return FitConfig(
        base=str(tiny_base),
        learn=16,
        epochs=4,
        rank=4,
        batch_size=4,
        max_length=300,
        save_steps=3,
        max_steps=10,
        learning_rate=1e-2,
        answer_tokens=100,
        asked=0.0,
        snapshots=True,
    )


def without(config):
    return FitConfig(**vars(config) | {"snapshots": False})


def kept(folder):
    return sorted(path.name for path in (folder / "snapshots").iterdir())


@pytest.mark.parametrize(
    ("steps", "kept"), [(386, {39, 193}), (20, {2, 10}), (10, {1, 5}), (3, {1, 2}), (1, set())]
)
def test_the_steps_are_10_and_50_percent_and_never_the_last(steps, kept):
    assert snapshot_steps(steps) == kept


def test_they_change_no_byte_of_the_adapter_and_no_program_stumbles_over_them(
    tmp_path, prepared, config
):
    plain = fit(copytree(prepared, tmp_path / "plain"), without(config))
    adapter = fit(copytree(prepared, tmp_path / "run"), config)
    assert (adapter / WEIGHTS).read_bytes() == (plain / WEIGHTS).read_bytes()
    records = [json.loads((each / "run.json").read_text()) for each in (plain, adapter)]
    assert records[0]["config"] == records[1]["config"], "it is no option of what is trained"
    assert kept(adapter) == kept(adapter.parent) == ["step-1.safetensors", "step-5.safetensors"]
    assert not (plain / "snapshots").exists() and not (plain.parent / "snapshots").exists()
    own = load_file(adapter / WEIGHTS)
    first, half = (load_file(adapter / "snapshots" / name) for name in kept(adapter))
    for snapshot in (first, half):
        assert {name: tensor.shape for name, tensor in snapshot.items()} == {
            name: tensor.shape for name, tensor in own.items()
        }
        assert all(tensor.dtype == torch.bfloat16 for tensor in snapshot.values())
    assert any(not torch.equal(first[name], half[name]) for name in own)
    assert any(not torch.equal(half[name], own[name]) for name in own)
    size = (adapter / WEIGHTS).stat().st_size
    assert all(path.stat().st_size <= size for path in (adapter / "snapshots").iterdir())
    theirs = PeftModel.from_pretrained(load_base(config.base)[0], str(adapter))
    assert theirs.peft_config["default"].r == 4


def test_a_snapshot_of_the_last_step_is_the_adapter(tmp_path, prepared, config, monkeypatch):
    monkeypatch.setattr("train.fit.snapshots.snapshot_steps", lambda steps: {steps})
    adapter = fit(copytree(prepared, tmp_path / "run"), config)
    assert (adapter / "snapshots/step-10.safetensors").read_bytes() == (
        adapter / WEIGHTS
    ).read_bytes()


@pytest.mark.parametrize("again", [True, False])
def test_a_run_that_goes_on_keeps_the_snapshots_that_it_has(
    tmp_path, prepared, config, monkeypatch, again
):
    run = copytree(prepared, tmp_path / "run")
    dies_after_a_checkpoint(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        fit(run, config)
    monkeypatch.undo()
    before = (run / "snapshots/step-1.safetensors").read_bytes()
    adapter = fit(run, config if again else without(config))
    assert (adapter / "snapshots/step-1.safetensors").read_bytes() == before
    assert ("step-5.safetensors" in kept(adapter)) == again
    plain = fit(copytree(prepared, tmp_path / "plain"), without(config))
    assert (adapter / WEIGHTS).read_bytes() == (plain / WEIGHTS).read_bytes()


def test_a_run_that_begins_anew_has_none_of_the_training_before(tmp_path, prepared, config):
    run = copytree(prepared, tmp_path / "run")
    (run / "snapshots").mkdir()
    (run / "snapshots/step-7.safetensors").write_bytes(b"of a training that was given up")
    fit(run, FitConfig(**vars(config) | {"max_steps": 1}))
    assert not (run / "snapshots").exists() and not (run / "adapter/snapshots").exists()


def test_a_snapshot_is_there_entirely_or_not_at_all(tmp_path, monkeypatch):
    def broken(weights, path, metadata):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("train.fit.snapshots.save_file", broken)
    monkeypatch.setattr("train.fit.snapshots.get_peft_model_state_dict", lambda *_, **__: {})
    with pytest.raises(KeyboardInterrupt):
        write_snapshot(Run(tmp_path), None, 3)
    assert kept(tmp_path) == ["step-3.safetensors.unfinished"]
