"""docs/shelftalk.ipynb: it runs from top to end, and is committed without what a run leaves."""

import ast
import json
import os
import re
import socket
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.toy import TOY
from train.__main__ import build_parser

ROOT = Path(__file__).resolve().parents[1]
PATH = ROOT / "docs" / "shelftalk.ipynb"
TRAIN = "python -m train "


def read_notebook():
    return nbformat.read(PATH, as_version=4)


def source(name):
    """The source of the cell with this id."""
    return next(cell.source for cell in read_notebook().cells if cell.id == name)


def shown(cell):
    """What a cell printed and displayed, as text."""
    parts = []
    for output in cell.outputs:
        data = output.get("data", {})
        parts.append(output.get("text") or data.get("text/markdown") or data.get("text/plain", ""))
    return "".join(parts)


def calls_of_train():
    """The words of each call of the command line; what a variable holds is left out."""
    found = []
    for cell in read_notebook().cells:
        if cell.cell_type != "code":
            continue
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Constant) and str(node.value).startswith(TRAIN):
                found.append(node.value.removeprefix(TRAIN).split())
    return found


def run_cell(name, **names):
    """Run one cell with these names, and return all names after it."""
    exec(compile(source(name), name, "exec"), names)
    return names


def test_it_is_committed_without_what_a_run_leaves():
    notebook = json.loads(PATH.read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert 10 <= len(code) <= 14
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in notebook["cells"])


def test_a_paragraph_stands_before_every_cell_of_code():
    kinds = [cell.cell_type for cell in read_notebook().cells]
    assert kinds == ["markdown"] + ["markdown", "code"] * (len(kinds) // 2)


def test_every_verb_and_option_that_it_names_exists():
    parser = build_parser()
    verbs = {verb for verb, *_ in calls_of_train()}
    assert verbs == {"prepare", "all", "publish"}
    code = "\n".join(source(verb) for verb in ("prepare", "train", "publish"))
    options = set(re.findall(r'"(--[a-z-]+)"', code))
    known = {verb: help_of(parser, verb) for verb in verbs}
    assert len(options) >= 7
    for option in options:
        assert any(f"{option} " in text for text in known.values()), option


def help_of(parser, verb):
    return parser._subparsers._group_actions[0].choices[verb].format_help()


def test_a_gpu_without_bf16_is_hidden_and_another_is_not(tmp_path, monkeypatch, capsys):
    import shutil
    import subprocess

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for listed, hidden in (("7.5, Tesla T4\n7.5, Tesla T4", True), ("8.9, NVIDIA L4", False)):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\necho '{listed}'\n")
        program.chmod(0o755)
        run_cell("device", shutil=shutil, subprocess=subprocess, os=os)
        assert ("CUDA_VISIBLE_DEVICES" in os.environ) == hidden
        assert listed in capsys.readouterr().out
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_nothing_is_published_without_a_name(capsys):
    run_cell("publish", PUBLISH_TO="", RUN="runs/notebook", os=os)
    assert "nothing was published" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_cell_runs_and_the_last_ones_answer_and_publish(hub, tmp_path, monkeypatch):
    """In the checkout, on the toy base: the real verbs, the real page, a Hub of its own."""
    for name, value in hub.environ(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    notebook = read_notebook()
    cells = {cell.id: cell for cell in notebook.cells}
    changes = {
        **{"BASE": str(TOY / "base"), "STEPS": 1, "ITEMS": 2, "PORT": port},
        **{"RUN": str(tmp_path / "run"), "PUBLISH_TO": "ana/notebook"},
    }
    for name, value in changes.items():
        cells["parameters"].source += f"\n{name} = {value!r}"
    NotebookClient(
        notebook, timeout=500, resources={"metadata": {"path": str(PATH.parent)}}
    ).execute()

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert f"The project is in {ROOT}" in shown(cells["install"])
    assert "428 records were kept" in shown(cells["prepare"])
    lines = shown(cells["train"]).splitlines()
    assert any(re.match(r"grounded +2 +right +\d of 2", line) for line in lines)
    order = ("scores/base.jsonl", "adapter/adapter_model.safetensors", "scores/tuned.jsonl")
    times = [(tmp_path / "run" / name).stat().st_mtime for name in order]
    assert times == sorted(times), "the base is scored before the training"
    pictures = [each for each in cells["answers"].outputs if "image/png" in each.get("data", {})]
    assert len(pictures) == 2 and shown(cells["answers"]).count("question:") == 2
    assert f"http://127.0.0.1:{port}/" in shown(cells["page"])
    asked = shown(cells["ask"])
    assert re.search(r"^base:  \S", asked, re.MULTILINE)
    assert re.search(r"^tuned: \S", asked, re.MULTILINE)
    assert "[1] Brigsteer Paring Knife" in asked
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "the page still runs"
    assert "adapter_model.safetensors" in hub.repo("ana/notebook").files
    assert not (ROOT / "runs" / "notebook").exists()
