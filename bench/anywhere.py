"""The sample's adapter in an environment with peft and transformers alone, against the page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from bench.figures import ROOT, Figure, Options, Outcome, Skipped
from bench.startup import SAMPLE, need_sample
from space.catalogue.search import Catalogue
from space.model.decode import stream_tokens
from space.model.gguf import dequantize_gguf, find_default_base
from space.model.pair import Pair, load_pair
from space.model.prompt import build_messages, prompt_ids
from space.settings import DEFAULT_BASE
from train.merge import agreement

TOKENS = 32
QUESTIONS = 16  # from memory, and as many with records
PACKAGES = ("peft", "transformers", "torch==2.13.0", "bitsandbytes")
SAME = (
    "AutoPeftModelForCausalLM",
    "PeftModel",
    "pipeline(model)",
    "pipeline(adapter) in fp32",
)  # PEFT's sums


def measure(options: Options) -> Outcome:
    """Load the adapter in every way with the four packages alone, and compare the tokens."""
    need_sample()
    pair = load_pair(DEFAULT_BASE, str(SAMPLE / "adapter"))
    asked = questions(1 if options.tiny else QUESTIONS)
    prompts = [prompt_ids(pair.tokenizer, pair.prompt_template, *question) for question in asked]
    page = [tuned(pair, prompt) for prompt in prompts]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = Path(sys.executable) if options.tiny else environment(folder / "venv", *PACKAGES)
        theirs = elsewhere(
            folder, python, [build_messages(pair.prompt_template, *question) for question in asked]
        )
    found = [
        Figure(
            "prompts equal to apply_chat_template's",
            agreement(prompts, theirs["prompts"])["equal"],
            low=1.0,
        )
    ]
    samples = {
        "questions": [question[1] for question in asked],
        "page": texts(pair, page),
        "versions": theirs["versions"],
    }
    for precision in ("nf4", "bf16", "fp32"):
        for way, answers in theirs[precision].items():
            samples[f"{precision}, {way}"] = texts(pair, answers)
            agreed, name = agreement(page, answers), f"{precision}, {way}"
            exact = precision == "nf4" and way in SAME
            found.append(
                Figure(
                    f"{name}: answers equal to the page's",
                    agreed["equal"],
                    low=1.0 if exact else None,
                )
            )
            if not exact:
                found.append(
                    Figure(f"{name}: before the first difference", agreed["common_prefix"])
                )
    return Outcome(found, samples)


def texts(pair: Pair, answers: list[list[int]]) -> list[str]:
    """Decode answers (token ids)."""
    return [pair.tokenizer.decode(answer) for answer in answers]


def questions(count: int) -> list[tuple]:
    """Ask for `count` titles from memory and with records, as (task, text, records)."""
    catalogue = Catalogue.open(SAMPLE / "catalogue")
    asked = []
    for title in catalogue.titles(count):
        text = f"What is {title}?"
        asked += [("describe", text, []), ("answer", text, catalogue.search(text, 3))]
    return asked


def tuned(pair: Pair, prompt: list[int], tokens: int = TOKENS) -> list[int]:
    """Generate the first tokens of the page's tuned answer, from the batch of both."""
    rows = [row[1] for row in stream_tokens(pair, [prompt, prompt], 1, tokens)]
    return [token for token in rows if token is not None]


def environment(folder: Path, *packages: str) -> Path:
    """Make a virtual environment with these packages and return its Python.

    Raises Skipped where pip fails.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    done = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Skipped(
            f"pip cannot install {', '.join(packages)}: {done.stderr.strip().splitlines()[-1]}"
        )
    return python


def elsewhere(folder: Path, python: Path, chats: list) -> dict:
    """Run stranger.py in `folder` beside copies of the sample's base and adapter."""
    shutil.copytree(SAMPLE / "adapter", folder / "adapter")
    base = json.loads((folder / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))[
        "base_model_name_or_path"
    ]
    decoded = dequantize_gguf(find_default_base())  # all ways but one need a folder
    shutil.copytree(decoded, folder / base)
    shutil.copy(ROOT / "bench" / "stranger.py", folder)
    asked = {"adapter": "adapter", "base": base, "chats": chats, "tokens": TOKENS}
    (folder / "ask.json").write_text(json.dumps(asked), encoding="utf-8")
    done = subprocess.run(
        [python, "-I", "stranger.py", "ask.json", "said.json"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    if done.returncode:
        raise RuntimeError(f"stranger.py failed:\n{done.stderr[-3000:]}")
    return json.loads((folder / "said.json").read_text(encoding="utf-8"))
