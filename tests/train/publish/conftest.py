"""A finished run to publish, and its calls."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import close_session
from huggingface_hub.utils import _http as library_http

from tests.scored import metrics_of, scored
from tests.toy import TOY
from train.__main__ import main
from train.config import EvaluateConfig
from train.evaluate import plots
from train.evaluate.evaluation import evaluation_record
from train.publish import hub as sending
from train.run import Run

ROOT = Path(__file__).resolve().parents[3]
ADAPTER = {
    "adapter_model.safetensors",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "prompt.json",
    "run.json",
    "README.md",
    "metrics.json",
    "samples.jsonl",
    "history.jsonl",
    "plots/loss.png",
    "plots/before_after.png",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run as evaluate leaves it: the committed adapter and catalogue, scored on two answers."""
    run = tmp_path_factory.mktemp("runs") / "lamps"
    for name in ("adapter", "catalogue"):
        shutil.copytree(TOY / name, run / name)
    line = {
        "task": "describe",
        "set": "seen",
        "question": "What is it?",
        "reference": "the lamp is blue",
        "base": "a vase",
        "tuned": "the lamp is blue",
        "sources": [],
        "base_loss": 2.0,
        "tuned_loss": 1.0,
    }
    metrics = metrics_of([line, line], ["base", "tuned"])
    (run / "metrics.json").write_text(json.dumps(metrics))
    items = scored([line | {"uid": "1"}] * 2)
    about = evaluation_record(Run(run), EvaluateConfig(), items, {"items": 1, "records": 1})
    (run / "evaluation.json").write_text(json.dumps(about))
    (run / "samples.jsonl").write_text(f"{json.dumps(line)}\n" * 2)
    (run / "history.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 1.0}\n')
    plots.plot_loss(run / "history.jsonl", run / "plots" / "loss.png")
    plots.plot_before_after(metrics, 0, run / "plots" / "before_after.png")
    return run


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "lamps"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Tries follow each other at once, ours and the Hub library's, and silence is short."""
    monkeypatch.setattr(sending, "PAUSE", 0.01)
    monkeypatch.setattr(library_http, "time", SimpleNamespace(sleep=lambda seconds: None))
    silence(monkeypatch, 0.5)
    yield
    close_session()


def silence(monkeypatch, seconds):
    """Set how long a connection may be silent; the library's client is made anew for it."""
    monkeypatch.setattr(sending, "SILENCE", seconds)
    close_session()


def contents(folder):
    """Every file below a folder: {path: bytes}."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def call(run, *options, to="ana/lamps"):
    return ["publish", "--run", str(run), "--to", to, *options]


def refused(capsys, arguments, code):
    """Run a call that must fail, and return its one line."""
    assert main(arguments) == code
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (
        len(lines) == 1
        and "Traceback" not in err
        and "hf_" not in (out + err).replace("hf_...", "")
    ), err
    return lines[0]


def catalogue_head(hub):
    """The newest commit of the published catalogue."""
    return hub.repo("ana/lamps-catalogue", "datasets").head


def edit(run, name, change):
    """Change a text file of a run."""
    path = run / name
    path.write_text(change(path.read_text()))


def elsewhere(hub, home, *arguments, cwd=None, wait=True):
    """Run a program in another process, on this Hub and without a cache."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd or home,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **hub.environ(home / "home")},
    )
    if not wait:
        return process
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)
