"""Boards: what is logged, that a resumed run continues, and that training stays the same."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.scored import lines, write_run
from train.__main__ import main
from train.config import ConfigError, TrackConfig
from train.fit import tracking
from train.run import Run

ROOT = Path(__file__).resolve().parents[3]
QUICK = [
    "--learn",
    "8",
    "--epochs",
    "2",
    "--max-steps",
    "6",
    "--save-steps",
    "2",
    "--rank",
    "4",
    "--batch-size",
    "4",
    "--answer-tokens",
    "60",
    "--max-length",
    "400",
]


@pytest.mark.parametrize("name", ["mlflow", "trackio"])
def test_a_missing_package_says_what_to_install(monkeypatch, capsys, tmp_path, name):
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda package: None)
    assert main(["fit", "--run", str(tmp_path), "--base", "x", "--report-to", name]) == 2
    assert capsys.readouterr().err == (
        f"error: --report-to {name} needs a package that is not here: pip install {name}\n"
    )


def test_an_unknown_board_is_refused():
    with pytest.raises(
        ConfigError, match="--report-to is 'paper', it is one of none, tensorboard, mlflow, trackio"
    ):
        TrackConfig(report_to="paper")


def test_every_mean_and_difference_has_its_name(tmp_path):
    items = [*lines(count=4), *lines(count=4, name="summary")]
    metrics = json.loads((write_run(tmp_path / "run", items) / "metrics.json").read_text())
    metrics["summary"]["references"] = "the contents' own principal sentences of unseen records"
    figures = tracking.flat_scores(metrics)
    assert (
        figures["seen/tuned/rougeL"] == 1.0
        and figures["seen/difference/rougeL"] == 1 - figures["seen/base/rougeL"]
    )
    assert not [
        name for name, value in figures.items() if value is None or name.startswith("seen/n")
    ]


def call(run, base, *more):
    return [
        sys.executable,
        "-m",
        "train",
        "fit",
        "--run",
        str(run),
        "--base",
        str(base),
        *QUICK,
        *more,
    ]


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_in_its_board_and_ends_with_the_same_adapter(
    tmp_path, prepared, tiny_base
):
    """Killed and resumed with a board, or never tracked: the same adapter."""
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    plain, followed = (shutil.copytree(prepared, tmp_path / name) for name in ("plain", "followed"))
    assert main(call(plain, tiny_base)[3:]) == 0
    process = subprocess.Popen(
        call(followed, tiny_base, "--report-to", "tensorboard"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while (
        not list(followed.glob("checkpoints/checkpoint-*/whole.json"))
        and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    done = subprocess.run(
        call(followed, tiny_base, "--report-to", "tensorboard"),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert f"fit: the board opens with: tensorboard --logdir {followed}/tensorboard" in done.stdout
    log = EventAccumulator(str(followed / "tensorboard")).Reload()
    assert [event.step for event in log.Scalars("train/loss")] == [*range(1, 7)]
    assert {"train/tokens_per_second", "train/learning_rate"} <= set(log.Tags()["scalars"])
    assert "recipe/text_summary" in log.Tags()["tensors"]
    weights = [
        (run / "adapter/adapter_model.safetensors").read_bytes() for run in (plain, followed)
    ]
    assert weights[0] == weights[1]


def test_what_evaluate_left_is_on_the_board(tmp_path, capsys):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from train.evaluate import plots

    run = write_run(tmp_path / "run", lines(count=4))
    plots.plot_loss(run / "history.jsonl", run / "plots" / "loss.png")
    (run / "adapter/README.md").write_text("---\nlibrary_name: peft\n---\n# The card\n")
    tracking.track_evaluation(Run(run), TrackConfig(report_to="tensorboard"))
    log = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.value for event in log.Scalars("seen/tuned/rougeL")] == [1.0]
    assert log.Scalars("seen/tuned/rougeL")[0].step == 10 and log.Tags()["images"] == ["loss"]
    assert b"# The card" in log.Tensors("card/text_summary")[0].tensor_proto.string_val[0]
    assert "the board opens with: tensorboard --logdir" in capsys.readouterr().out
    tracking.track_evaluation(Run(run), TrackConfig())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", ["mlflow", "trackio"])
def test_the_other_boards_take_what_evaluate_left(tmp_path, name):
    """In a program of its own: both read their folders when they are imported."""
    pytest.importorskip(name, reason=f"{name} is not installed")
    from train.evaluate import plots

    run = write_run(tmp_path / "run", lines(count=4))
    plots.plot_loss(run / "history.jsonl", run / "plots" / "loss.png")
    (run / "report.html").write_text("<p>")
    (run / "adapter/README.md").write_text("---\nlibrary_name: peft\n---\n# The card\n")
    program = (
        "from pathlib import Path; from train.config import TrackConfig; "
        "from train.fit import track_evaluation; from train.run import Run; "
        f"track_evaluation(Run(Path({str(run)!r})), TrackConfig(report_to={name!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0 and "evaluate: the board opens with:" in done.stdout, done.stderr
    assert name == "trackio" or (run / "mlflow" / "mlflow.db").is_file()
