"""The command line: what a wrong call and bad input get, read word for word, and every verb on a
tiny model.
"""

import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from space.settings import DEFAULT_BASE
from tests.options import QUICK_FIT, QUICK_SCORE
from train.__main__ import build_parser, main, read_configs
from train.config import FitConfig
from train.shop import write_catalogue

ROOT = Path(__file__).resolve().parents[2]
RUN_FILES = {
    "catalogue",
    "checkpoints",
    "adapter",
    "metrics.json",
    "samples.jsonl",
    "history.jsonl",
    "plots",
    "config.json",
    "scores",
    "evaluation.json",
    "report.html",
}
QUICK = [*QUICK_FIT, *QUICK_SCORE]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "trn.json"
    write_catalogue(path)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:150]))
    return path


def said(capsys, arguments, code):
    """Runs a verb that must fail and returns its one line."""
    try:
        got = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        got = stop.code
    lines = capsys.readouterr().err.strip().splitlines()
    assert got == code, lines
    assert lines[-1].startswith(("error: ", "python -m train")), lines
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.json", None, "missing.json"),
        ("empty.json", b"", "empty.json"),
        ("broken.json", b"{not json\n", "broken"),
        ("bare.json", b'{"uid": "1", "target_ind": []}\n', "no column 'title'; it has uid"),
        ("notes.txt", b"hello", "notes.txt"),
        (
            "cut.json.gz",
            gzip.compress(b'{"uid": "1", "title": "a b", "content": "c d e f"}\n' * 5000)[:-40],
            "truncated",
        ),
    ],
)
def test_a_catalogue_that_cannot_be_used(tmp_path, capsys, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    line = said(capsys, ["prepare", path, "--run", tmp_path / "run"], 1)
    assert __import__("re").search(words, line), line


def test_a_directory_of_nothing(tmp_path, capsys):
    (tmp_path / "nothing").mkdir()
    assert "nothing" in said(
        capsys, ["prepare", tmp_path / "nothing", "--run", tmp_path / "run"], 1
    )


def test_a_broken_line_is_counted_and_the_run_goes_on(tmp_path, source, capsys):
    path = tmp_path / "trn.json"
    path.write_text(source.read_text() + '{"uid": "x", "title": \n')
    assert main(["prepare", str(path), "--run", str(tmp_path / "run")]) == 0
    report = json.loads((tmp_path / "run/catalogue/report.json").read_text())
    assert report["dropped"]["broken"] == 1 and report["read"] == report["kept"] + sum(
        report["dropped"].values()
    )
    assert report["examples"]["broken"][0]["line"] == 151 and '"uid": "x"' in json.dumps(
        report["examples"]
    ).replace('\\"', '"')


def test_an_unwritable_run_folder(tmp_path, source, capsys):
    (tmp_path / "file").write_text("")
    line = said(capsys, ["prepare", source, "--run", tmp_path / "file" / "run"], 1)
    assert "run" in line or "file" in line


def test_a_wrong_call_lists_every_problem(tmp_path, source, capsys):
    line = said(
        capsys, ["all", source, "--run", tmp_path, "--base", "x", "--rank", "0", "--epochs", "0"], 2
    )
    assert "--rank is 0" in line and "--epochs is 0" in line


def test_without_a_base_it_is_the_default_one():
    call = build_parser().parse_args(["fit", "--run", "runs/shop"])
    assert read_configs(call)[FitConfig].base == DEFAULT_BASE


def test_a_publish_that_cannot_be_is_refused_before_any_work(tmp_path, source, capsys):
    assert "run `python -m train fit`" in said(
        capsys, ["publish", "--run", tmp_path, "--to", "me/mine"], 2
    )
    assert "--to is 'mine'" in said(
        capsys, ["all", source, "--run", tmp_path / "run", "--base", "x", "--to", "mine"], 2
    )
    assert "--to is missing" in said(
        capsys, ["all", source, "--run", tmp_path / "run", "--base", "x", "--private"], 2
    )
    assert not (tmp_path / "run").exists()


def test_an_unknown_base_and_a_run_without_a_catalogue(tmp_path, source, capsys):
    assert "prepare" in said(capsys, ["fit", "--run", tmp_path / "none", "--base", "./nowhere"], 1)
    line = said(capsys, ["all", source, "--run", tmp_path / "run", "--base", "./nowhere"], 1)
    assert line.startswith("error: base ./nowhere is not a folder: give a folder or a Hub id")


class GatedHub(http.server.BaseHTTPRequestHandler):
    """A Hub with one gated base, and nothing else."""

    def do_GET(self):
        gated = "secret" in self.path
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.send_header(
            "X-Error-Message",
            "Access to this model is restricted." if gated else "Repository not found",
        )
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *args):
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    ("base", "words"),
    [
        (
            "acme/secret-7b",
            "error: base acme/secret-7b is gated: accept its licence at https://huggingface.co/acme/secret-7b and",  # noqa: E501
        ),
        (
            "acme/typo-7b",
            "error: base acme/typo-7b is neither a folder here nor a repository on the Hub that you may read",  # noqa: E501
        ),
    ],
)
def test_a_base_that_needs_a_token_over_http(tmp_path, source, base, words):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GatedHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        environ = {
            **os.environ,
            "HF_HUB_OFFLINE": "0",
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HOME": str(tmp_path / "home"),
        }
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "train",
                "all",
                str(source),
                "--run",
                str(tmp_path / "run"),
                "--base",
                base,
            ],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        server.shutdown()
    assert done.returncode == 1, done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith(words)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_all_verbs_in_order_then_nothing_is_done_twice(tmp_path, source, tiny_base, capsys, hub):
    run = tmp_path / "run"
    call = ["all", str(source), "--run", str(run), "--base", str(tiny_base), *QUICK]
    assert main(call) == 0
    out = capsys.readouterr().out
    assert "seen" in out and "grounded" in out and "difference [95%]" in out
    assert {path.name for path in run.iterdir()} == RUN_FILES
    metrics = json.loads((run / "metrics.json").read_text())
    assert {"seen", "unseen", "grounded", "absent", "kept"} <= set(metrics)
    assert {"right", "source_right", "says_absent"} <= set(metrics["grounded"]["tuned"])
    for name, scores in metrics.items():
        if name == "kept":
            assert set(scores) == {"n", "base", "tuned", "difference", "against"}
            assert {"kept", "loss"} <= set(scores["tuned"]) and not scores["against"]
            continue
        told = {"references"} if name == "summary" else set()
        assert {
            "n",
            "base",
            "few_shot",
            "retrieved",
            "tuned",
            "difference",
            "against",
        } | told == set(scores)
        assert {"rouge1", "rouge2", "rougeL", "token_f1", "loss"} <= set(scores["tuned"])
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert {
        "task",
        "set",
        "question",
        "reference",
        "base",
        "tuned",
        "sources",
        "title",
        "base_cited",
    } <= set(lines[0])
    assert sum(scores["n"] for scores in metrics.values()) == len(lines)
    card = (run / "adapter" / "README.md").read_text()
    assert (
        "library_name: peft" in card
        and "| seen |" in card
        and "{" not in card.split("```")[0].split("---")[2]
    )
    assert "No title or content of the" in card and "`absent`" in card
    assert {path.name for path in (run / "plots").iterdir()} == {"loss.png", "before_after.png"}
    before = {path: path.stat().st_mtime_ns for path in (run / "scores").iterdir()}
    weights = (run / "adapter/adapter_model.safetensors").stat().st_mtime_ns
    scored = {path.name: path.read_text() for path in (run / "scores").iterdir()}
    assert hub.requests == []
    assert main([*call, "--to", "ana/lamps"]) == 0
    out = capsys.readouterr().out
    assert (
        "fit: done already" in out
        and f"publish: ana/lamps is at {hub.endpoint}/ana/lamps/commit/" in out
    )
    assert (run / "adapter/adapter_model.safetensors").stat().st_mtime_ns == weights
    assert scored == {path.name: path.read_text() for path in (run / "scores").iterdir()} and before
    assert main(["evaluate", "--run", str(run), "--limit", "2", "--shots", "0"]) == 0
    assert json.loads((run / "metrics.json").read_text())["seen"]["n"] == 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_sample_is_rebuilt_with_the_real_default_base(tmp_path, capsys):
    """Every verb on it, one step, into another folder."""
    out = tmp_path / "sample"
    call = ["sample", "--adapter", "--run", str(tmp_path / "run"), "--out", str(out)]
    assert main([*call, "--max-steps", "1", "--items", "2"]) == 0
    assert {path.name for path in out.iterdir()} == {
        "catalogue",
        "adapter",
        "plots",
        "metrics.json",
        "samples.jsonl",
        "history.jsonl",
    }
    assert (out / "adapter/adapter_model.safetensors").stat().st_size <= 12 * 2**20
    assert json.loads((out / "catalogue/report.json").read_text())["kept"] >= 400


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(28, "No space left on device", "/data/run/adapter"), "No space left on device"),
        (PermissionError(13, "Permission denied", "/data/run"), "Permission denied: run"),
    ],
)
def test_what_the_machine_refuses_is_one_line(monkeypatch, capsys, error, line):
    monkeypatch.setattr("train.__main__.do", lambda call: (_ for _ in ()).throw(error))
    assert line in said(capsys, ["fit", "--run", "x", "--base", "y"], 1)


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "adapter/run.json"), OSError("odd")]
)
def test_a_bug_that_raises_an_oserror_keeps_its_traceback(monkeypatch, error):
    monkeypatch.setattr("train.__main__.do", lambda call: (_ for _ in ()).throw(error))
    with pytest.raises(OSError):
        main(["fit", "--run", "x", "--base", "y"])


@pytest.mark.slow
def test_a_verb_begins_without_a_librarys_warnings():
    code = (
        "import sys, train.__main__ as entry\n"
        "def do(call): import train.sample\n"
        "entry.do = do; sys.exit(entry.main(['sample']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
