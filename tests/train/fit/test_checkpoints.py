"""A run that is killed at any moment, here or on the Hub, ends with the same adapter."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import tiny_model
from train.__main__ import main
from train.config import ConfigError, PrepareConfig
from train.fit.checkpoints import MARKER, latest_checkpoint, resume_files, resume_point
from train.prepare import prepare_catalogue
from train.publish import hub as sending
from train.run import Run
from train.shop import write_catalogue

REPO = "ana/lamps"
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
    """Prepare a new run and return fit's arguments for it; all have the same base."""
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
    """Run a verb in another process and kill it as soon as a path exists."""
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
    run, undisturbed = ready.folder / "killed", ready.folder / "undisturbed"
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
    assert adapter(run) == adapter(undisturbed)
    ours, theirs = (
        json.loads((folder / "adapter" / "run.json").read_text()) for folder in (run, undisturbed)
    )
    for record in (ours, theirs):
        del record["seconds"], record["memory"]
    assert ours == theirs
    steps = [json.loads(line)["step"] for line in (run / "history.jsonl").read_text().splitlines()]
    assert steps == list(range(1, ours["steps"] + 1))


def a_checkpoint(folder: Path, step: int, of: str | None) -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"weights")
    if of:
        (path / MARKER).write_text(json.dumps({"of": of, "tokens": step, "seconds": 1.5}))
    return path


def test_the_newest_complete_checkpoint_is_taken_and_all_others_are_removed(tmp_path):
    folder = tmp_path / "x" / "checkpoints"
    assert resume_point(folder, "this") is None
    for step, of in ((2, "this"), (9, "this"), (10, "this"), (11, None)):
        a_checkpoint(folder, step, of)
    last = resume_point(folder, "this")
    assert last == latest_checkpoint(folder)
    assert (last.folder, last.step, last.tokens) == (folder / "checkpoint-10", 10, 10)
    assert [path.name for path in folder.iterdir()] == ["checkpoint-10"]


def test_a_checkpoint_of_something_else_is_refused_and_kept(tmp_path):
    path = a_checkpoint(tmp_path / "x" / "checkpoints", 4, "that")
    with pytest.raises(
        ConfigError, match=r"x was begun with another catalogue.*choose another --run"
    ):
        resume_point(path.parent, "this")
    assert path.is_dir()


@pytest.mark.slow
def test_an_adapter_of_another_catalogue_is_not_taken_for_this_ones(ready, capsys):
    """prepare with other options, after fit: the adapter that is there learned something else."""
    call = ready("again")
    assert main([*call, "--max-steps", "1"]) == 0
    ready("again", limit=110)
    assert main([*call, "--max-steps", "1"]) == 2
    assert "again has an adapter of another catalogue" in capsys.readouterr().err


# --- on the Hub ---


@pytest.fixture(scope="module")
def fitting(tmp_path_factory, prepared, tokenizer):
    """Train in a new folder with the prepared catalogue, and return the folder."""
    folder = tmp_path_factory.mktemp("pushing")
    base = tiny_model(folder / "base", tokenizer)

    def fit(name: str, *options: str) -> object:
        shutil.copytree(prepared, folder / name, dirs_exist_ok=True)
        assert (
            main(
                [
                    "fit",
                    "--run",
                    str(folder / name),
                    "--base",
                    str(base),
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
                    "2",
                    "--answer-tokens",
                    "100",
                    *options,
                ]
            )
            == 0
        )
        return folder / name

    return fit


@pytest.fixture(scope="module")
def undisturbed(fitting):
    return (fitting("undisturbed") / "adapter" / "adapter_model.safetensors").read_bytes()


def weights(run):
    return (run / "adapter" / "adapter_model.safetensors").read_bytes()


def test_checkpoints_go_to_the_hub_and_come_back_on_another_machine(
    fitting, undisturbed, hub, capsys
):
    run = fitting("first", "--to", REPO, "--push-every", "4", "--private")
    repo = hub.repo(REPO)
    assert repo.private and {name for name in repo.files if "/" in name} == {
        f"checkpoint/{name}" for name in resume_files(1)
    }
    assert str(run.parent).encode() not in b"".join(repo.files.values())
    assert f"at {hub.endpoint}/{REPO}/commit/" in capsys.readouterr().out.replace("\n", "")
    # The machine is gone; the Hub has an early checkpoint.
    early = next(commit for commit in repo.commits if "step 4" in commit.title)
    repo.commits.append(early)
    other = fitting("second", "--to", REPO, "--push-every", "100", "--private")
    assert "goes on after step 4" in capsys.readouterr().out
    assert weights(other) == weights(run) == undisturbed
    assert json.loads((other / "history.jsonl").read_text().splitlines()[0])["step"] == 1


def test_publishing_the_adapter_removes_the_checkpoint(hub, tmp_path):
    sending.send(
        {f"checkpoint/{MARKER}": b"{}", "README.md": b"# mine"}, REPO, message="a checkpoint"
    )
    sending.send(
        {"adapter_config.json": b"{}"}, REPO, message="the adapter", owned=[sending.CHECKPOINT]
    )
    assert {"adapter_config.json", "README.md"} <= set(hub.repo(REPO).files)
    assert not any(name.startswith("checkpoint") for name in hub.repo(REPO).files)
    again = sending.send(
        {"adapter_config.json": b"{}"}, REPO, message="the adapter", owned=[sending.CHECKPOINT]
    )
    assert not again.new


@pytest.mark.parametrize("fault", [503, 401, "cut"])
def test_a_network_that_fails_never_stops_the_training(
    fitting, undisturbed, hub, capsys, monkeypatch, fault
):
    monkeypatch.setattr(sending, "PAUSE", 0.001)
    hub.fail("POST", ".*", fault, times=1000)
    run = fitting(f"fault-{fault}", "--to", REPO, "--push-every", "2")
    said = capsys.readouterr().out
    assert "was not sent" in said and "training goes on" in said and hub.token not in said
    assert weights(run) == undisturbed


def test_a_checkpoint_of_another_run_is_left_where_it_is(fitting, undisturbed, hub, capsys):
    fitting("other-options", "--to", REPO, "--push-every", "4", "--seed", "7")
    capsys.readouterr()
    run = fitting("these-options", "--to", REPO, "--push-every", "100")
    assert "begins anew; the checkpoint in ana/lamps is of another" in capsys.readouterr().out
    assert weights(run) == undisturbed


def test_a_hub_that_cannot_be_asked_begins_anew(fitting, undisturbed, hub, capsys):
    hub.fail("GET", ".*", 500, times=1000)
    run = fitting("unasked", "--to", REPO, "--push-every", "100")
    assert "begins anew; no checkpoint came from ana/lamps" in capsys.readouterr().out
    assert weights(run) == undisturbed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--push-every", "5"], "--to is missing: --push-every needs"),
        (["--to", REPO], "--push-every is missing"),
        (["--to", REPO, "--push-every", "-1"], "--push-every is -1"),
    ],
)
def test_half_a_wish_is_refused(tmp_path, capsys, words, said):
    assert main(["fit", "--run", str(tmp_path), "--base", "x/y", *words]) == 2
    assert said in capsys.readouterr().err


def test_sigterm_stops_in_the_line_of_ctrl_c_and_keeps_the_checkpoint(ready):
    """So a job or a container is stopped."""
    call, run = ready("terminated"), ready.folder / "terminated"
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *call], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not (run / "checkpoints/checkpoint-3" / MARKER).exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    errors = process.communicate()[1]
    assert process.returncode == 1 and "Traceback" not in errors
    assert errors.splitlines()[-1] == "error: stopped; the same command goes on from here"
    assert latest_checkpoint(run / "checkpoints") and not (run / "adapter").exists()
