"""A training run that is killed, at any moment, ends with the adapter that it would have made undisturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import tiny_model
from train.__main__ import main
from train.config import ConfigError, PrepareConfig
from train.fit import checkpoints
from train.prepare.catalogue import prepare_catalogue
from train.run import Run
from train.sample import write_catalogue

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = [
    "--learn",
    "16",
    "--epochs",
    "2",
    "--rank",
    "4",
    "--batch-size",
    "8",
    "--max-length",
    "300",
    "--save-steps",
    "3",
    "--dropout",
    "0.1",
    "--answer-tokens",
    "100",
]


@pytest.fixture(scope="module")
def ready(tmp_path_factory, tokenizer):
    """A function that gives a new run's folder, prepared, and fit's arguments for it; the base is the same for all."""
    folder = tmp_path_factory.mktemp("killed")
    base = tiny_model(folder / "base", tokenizer)
    write_catalogue(folder / "trn.json")

    def begin(name: str, limit: int = 120) -> list[str]:
        prepare_catalogue(
            str(folder / "trn.json"), Run(folder / name), PrepareConfig(limit=limit), progress=False
        )
        return ["fit", "--run", str(folder / name), "--base", str(base), *OPTIONS]

    begin.folder = folder
    return begin


def killed_when(there: Path, call: list[str]) -> int:
    """Runs a verb in another process, kills it as soon as a path is there, and returns its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *call],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    while process.poll() is None:
        if there.exists():
            process.kill()
        time.sleep(0.0002)
    return process.wait()


def adapter(run: Path) -> dict[str, bytes]:
    """An adapter's files, but for the one that says how long it took."""
    return {
        path.name: path.read_bytes()
        for path in (run / "adapter").iterdir()
        if path.name != "run.json"
    }


@pytest.mark.slow
def test_a_fit_killed_again_and_again_ends_with_the_undisturbed_adapter(ready):
    """In the middle of writing a checkpoint, and in the middle of writing the adapter."""
    run, whole = ready.folder / "killed", ready.folder / "undisturbed"
    assert main(ready("undisturbed")) == 0
    call = ready("killed")
    for moment in ("checkpoints/checkpoint-6/optimizer.pt", "adapter.unfinished"):
        assert killed_when(run / moment, call) == -signal.SIGKILL, moment
        assert not (run / "adapter").exists()
    assert (
        subprocess.run(
            [sys.executable, "-m", "train", *call], cwd=ROOT, capture_output=True
        ).returncode
        == 0
    )
    assert adapter(run) == adapter(whole)
    ours, theirs = (
        json.loads((folder / "adapter" / "run.json").read_text()) for folder in (run, whole)
    )
    for told in (ours, theirs):
        del told["seconds"], told["memory"]
    assert ours == theirs
    steps = [json.loads(line)["step"] for line in (run / "history.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 9))


def a_checkpoint(folder: Path, step: int, of: str | None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    if of:
        (path / checkpoints.WHOLE).write_text(
            json.dumps({"of": of, "tokens": step, "seconds": 1.5})
        )
    return path


def test_the_newest_whole_checkpoint_is_taken_and_the_torn_ones_go(tmp_path):
    folder = tmp_path / "x" / "checkpoints"
    assert checkpoints.newest(folder, "this") == (None, {"tokens": 0, "seconds": 0.0})
    for step, of in ((2, "this"), (9, "this"), (10, "this"), (11, None)):
        a_checkpoint(folder, step, of)
    last, mark = checkpoints.newest(folder, "this")
    assert (last, mark["tokens"]) == (folder / "checkpoint-10", 10)
    assert [path.name for path in folder.iterdir()] == ["checkpoint-10"]


def test_a_checkpoint_of_something_else_is_refused_and_kept(tmp_path):
    path = a_checkpoint(tmp_path / "x" / "checkpoints", 4, "that")
    with pytest.raises(
        ConfigError, match=r"x was begun with another catalogue.*choose another --run"
    ):
        checkpoints.newest(path.parent, "this")
    assert path.is_dir()


@pytest.mark.slow
def test_an_adapter_of_another_catalogue_is_not_taken_for_this_ones(ready, capsys):
    """prepare with other options, after fit: the adapter that is there learned something else."""
    call = ready("again")
    assert main([*call, "--max-steps", "1"]) == 0
    ready("again", limit=110)
    assert main([*call, "--max-steps", "1"]) == 2
    assert "again has an adapter of another catalogue" in capsys.readouterr().err
