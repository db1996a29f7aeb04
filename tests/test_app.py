"""app.py: the entry has a demo, or ends with one line and an exit code."""

import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import types
import urllib.request
from pathlib import Path

import pytest

from space.engine import run_here
from tests.fake_engine import FakeEngine

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def entry(monkeypatch):
    """Runs app.py, without launching it, with this load_engine."""

    def run(load_engine):
        module = types.ModuleType("space.engine")
        module.load_engine, module.run_here = load_engine, run_here
        monkeypatch.setitem(sys.modules, "space.engine", module)
        return runpy.run_path(str(ROOT / "app.py"), run_name="app")

    return run


def test_the_entry_has_a_demo(entry):
    assert entry(lambda settings, on_gpu: FakeEngine())["demo"].title == "Shelftalk"


def test_wrong_settings_end_with_one_line_and_2(entry, monkeypatch, capsys):
    monkeypatch.setenv("PORT", "eighty")
    with pytest.raises(SystemExit) as caught:
        entry(lambda settings, on_gpu: FakeEngine())
    assert caught.value.code == 2
    assert capsys.readouterr().err == "shelftalk: PORT is 'eighty', which is not a whole number\n"


def test_a_folder_that_cannot_take_votes_ends_with_one_line(entry, monkeypatch):
    monkeypatch.setenv("VOTES_DIR", "/dev/null/votes")
    with pytest.raises(
        SystemExit,
        match=r"^shelftalk: VOTES_DIR is /dev/null/votes: .*; name a folder that can be written$",
    ):
        entry(lambda settings, on_gpu: FakeEngine())


def test_a_model_that_does_not_load_ends_with_one_line(entry):
    def load_engine(settings, on_gpu):
        raise OSError("no such base")

    with pytest.raises(SystemExit) as caught:
        entry(load_engine)
    assert (
        caught.value.code == "shelftalk: no such base"
    )  # Python prints it to stderr and exits with 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# app.py with an engine that needs no model; the entry itself is the file as it stands.
PROGRAM = """
import runpy, sys, types
import space.engine
from tests.fake_engine import FakeEngine

def load_engine(settings, on_gpu):
    print("loading", flush=True)
    if "slow" in sys.argv:
        import time
        time.sleep(60)
    return FakeEngine()

module = types.ModuleType("space.engine")
module.__dict__.update(vars(space.engine) | {"load_engine": load_engine})
import space.page
sys.modules["space.engine"] = module
runpy.run_path("app.py", run_name="__main__")
"""


def start(port: int, *words: str, **environ: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_port_that_is_taken_is_said_before_anything_is_loaded():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        out, err = start(port).communicate(timeout=600)
    assert err.startswith(f"shelftalk: port {port} is taken (") and "set PORT" in err
    assert err.count("\n") == 1 and "loading" not in out


@pytest.mark.slow
def test_a_proxy_without_exceptions_is_not_asked_for_this_machine_and_sigterm_is_ctrl_c():
    port, nobody = free_port(), f"http://127.0.0.1:{free_port()}"
    names = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    proxies = dict.fromkeys(names, nobody)
    process = start(port, **proxies, no_proxy="shop.example", NO_PROXY="shop.example")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()[1]
            try:
                direct.open(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        time.sleep(2)  # gradio asks its own page now
        assert process.poll() is None, process.communicate()[1]
    finally:
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in err, err
    assert "closing server" in out


@pytest.mark.slow
def test_sigterm_while_models_are_loaded_is_one_line():
    process = start(free_port(), "slow")
    assert process.stdout is not None and process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (1, "shelftalk: stopped\n")
