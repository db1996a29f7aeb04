"""ZeroGPU: what asks for a GPU, and for how many seconds."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import torch

from space.engine import GPU_LIMIT, GPU_START, Engine, gpu_seconds, run_here
from space.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
# A small `spaces` that logs calls, and pickles arguments and results as the real one's fork does.
SPACES = """
import functools, inspect, json, pickle, sys
early = sorted({"torch", "transformers", "gradio"} & set(sys.modules))
def note(**what):
    with open(%(log)r, "a") as file:
        file.write(json.dumps(what) + chr(10))
note(imported=True, after=early)
def GPU(task, *, duration):
    note(wrapped=task.__name__, generator=inspect.isgeneratorfunction(task))
    @functools.wraps(task)
    def streaming(*args):
        note(seconds=duration(*args), tokens=args[1])
        for item in task(*pickle.loads(pickle.dumps(args))):
            yield pickle.loads(pickle.dumps(item))
    @functools.wraps(task)
    def returning(*args):
        note(seconds=duration(*args), tokens=len(args[1]))
        return pickle.loads(pickle.dumps(task(*pickle.loads(pickle.dumps(args)))))
    return streaming if inspect.isgeneratorfunction(task) else returning
"""
# The real `spaces`, with a ZeroGPU scheduler on loopback and the CPU in place of the GPU.
MACHINE = """
import bitsandbytes, http.server, json, multiprocessing, os, pathlib, sys, threading, urllib.parse
import torch
asked = []
class Lender(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        url = urllib.parse.urlsplit(self.path)
        asked.append((url.path, dict(urllib.parse.parse_qsl(url.query))))
        body = dict(idle=False, nvidiaIndex=0, nvidiaUUID="GPU-0", allowToken="t")
        body = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lender)
threading.Thread(target=server.serve_forever, daemon=True).start()
pathlib.Path("cgroup").write_text("0::/a/b" + chr(10))
os.environ.update(SPACES_ZERO_GPU="true",
SPACES_ZERO_DEVICE_API_URL=f"http://127.0.0.1:{server.server_port}",
                  ZEROGPU_PROC_SELF_CGROUP_PATH=os.path.abspath("cgroup"))
def refuse(*args):
    raise RuntimeError("CUDA was started outside of a loan")
def in_bad_fork():
    return False
torch._C._cuda_init, torch.cuda._is_in_bad_fork, torch.version.cuda = refuse, in_bad_fork, "13.0"
torch.Tensor.cuda = lambda self, *args, **options: self.clone()
torch.Tensor.pin_memory, torch.cuda.synchronize = lambda self, *args: self, lambda *args: None
import spaces.zero.torch
torch.version.cuda, spaces.zero.torch.pack = None, lambda: 0
sys.path.insert(0, sys.argv[1])
import app
from gradio_client import Client
from space.page.ui import launch_options
app.demo.launch(**launch_options(app.settings), prevent_thread_lock=True, quiet=True)
client = Client(app.demo.local_url, verbose=False)
info = client.predict(api_name="/info")
answer = list(client.submit("What is it?", False, 40, 0.0, api_name="/answer"))
job = client.submit("What is it?", False, 400, 0.0, api_name="/answer")
next(iter(job))
job.cancel()
again = list(client.submit("What is it?", False, 40, 0.0, api_name="/answer"))
same = again[-1] == answer[-1]
report = dict(info=info, steps=len(answer), same=same, tuned=answer[-1][1], asked=asked)
print(json.dumps(report), flush=True)
for child in multiprocessing.active_children():
    child.kill()
os._exit(0)
"""


def notes(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def start(tmp_path):
    """Start app.py with the small `spaces`; returns its address and the log's path."""
    (tmp_path / "spaces.py").write_text(SPACES % {"log": str(tmp_path / "notes")})
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []

    def begin(**environ) -> tuple[str, Path]:
        processes.append(
            subprocess.Popen(
                [sys.executable, "app.py"],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={
                    **os.environ,
                    "PYTHONPATH": str(tmp_path),
                    "PORT": str(port),
                    "SPACE_ID": "ana/shop",
                    **environ,
                },
            )
        )
        for _ in range(300):
            assert processes[0].poll() is None
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        return f"http://127.0.0.1:{port}/", tmp_path / "notes"

    yield begin
    for process in processes:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_calls_of_the_model_ask_for_a_gpu_and_answers_still_stream(start):
    from gradio_client import Client

    address, log = start(SPACES_ZERO_GPU="true")
    client = Client(address, verbose=False)
    steps = list(client.submit("What is it?", False, 40, 0.0, api_name="/answer"))
    summary = list(
        client.submit("A lamp. It is of oak. It costs two crowns.", 24, 0.0, api_name="/summarize")
    )
    assert len(steps) > 3 and steps[-1][1] and len(summary) > 3 and summary[-1][1]
    assert client.predict(api_name="/info")["precision"] == "bf16"
    client.predict("oak", api_name="/search")
    explained = client.predict("What is it?", "It is oak.", False, api_name="/explain")
    assert "".join(token["token"] for token in explained) == "It is oak."
    imported, wrapped, wrapped_too, wrapped_last, *borrowed, last = notes(log)
    assert imported == {"imported": True, "after": []}, (
        "spaces comes before whatever could start CUDA"
    )
    assert wrapped == {"wrapped": "_generate", "generator": True}
    assert (
        wrapped_too == {"wrapped": "_explain", "generator": False} and last["seconds"] == GPU_START
    )
    assert wrapped_last == {"wrapped": "_compute", "generator": False}
    assert borrowed == [
        {"seconds": gpu_seconds([], 40, 0), "tokens": 40},
        {"seconds": gpu_seconds([], 24, 0), "tokens": 24},
    ]


@pytest.mark.slow
def test_a_space_with_something_missing_still_has_a_function_to_start_with(start):
    address, log = start(BASE_MODEL="./nowhere", ADAPTER="space/sample/adapter")
    assert "This Space cannot answer yet" in urllib.request.urlopen(address).read().decode()
    assert [note["wrapped"] for note in notes(log) if "wrapped" in note] == ["answer"]


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("spaces"), reason="the package spaces is not installed"
)
@pytest.mark.skipif(
    torch.version.cuda is not None, reason="the stand-in for a card is made for torch without CUDA"
)
def test_the_real_spaces_forks_streams_stops_and_streams_again(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    out = tmp_path / "out"
    with out.open("w") as said:  # a file: the processes that it forks would hold a pipe open
        subprocess.run(
            [sys.executable, "-c", MACHINE, str(ROOT)],
            cwd=tmp_path,
            stdout=said,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PORT": str(port)},
            timeout=200,
        )
    found = [line for line in out.read_text().splitlines() if line.startswith('{"info"')]
    assert found, out.read_text()
    told = json.loads(found[0])
    assert (told["info"]["device"], told["info"]["precision"]) == ("cuda:0", "bf16")
    assert told["steps"] > 5 and told["tuned"] and told["same"]
    lent = [
        (path, asked.get("durationSeconds")) for path, asked in told["asked"] if path == "/schedule"
    ]
    assert lent == [("/schedule", str(gpu_seconds([], tokens, 0))) for tokens in (40, 400, 40)]


def test_longer_answers_ask_for_more_seconds_up_to_the_limit():
    assert gpu_seconds([], 1, 0) < gpu_seconds([], 200, 0) < gpu_seconds([], 600, 0)
    assert 15 <= gpu_seconds([], Settings.max_new_tokens, 0) <= 30, (
        "an anonymous visitor has two minutes a day"
    )
    assert gpu_seconds([], 2048, 0) == GPU_LIMIT


def test_without_zero_gpu_the_generator_is_not_wrapped(pair):
    engine = Engine(pair, None, Settings(catalogue=None))
    assert (
        engine._generate_on_gpu == engine._generate and run_here(len, duration=gpu_seconds) is len
    )


def test_an_error_of_zero_gpu_reaches_the_visitor(pair):
    import gradio as gr

    from space.page.api import answer_endpoint

    def refusing(task, *, duration):
        def borrowed(*args):
            raise gr.Error("You have exceeded your free ZeroGPU quota")
            yield

        return borrowed

    settings = Settings(catalogue=None)
    with pytest.raises(gr.Error, match="free ZeroGPU quota"):
        list(answer_endpoint(Engine(pair, None, settings, refusing), settings)("What?", False))
