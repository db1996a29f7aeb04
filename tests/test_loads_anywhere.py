"""An adapter loaded in every usual way, without this project, answers as the page does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from space.catalogue.search import Catalogue
from space.model.decode import stream_tokens
from space.model.pair import load_pair
from space.model.prompt import build_messages, prompt_ids
from tests.conftest import tiny_adapter, tiny_model
from tests.toy import TOY
from train.merge import agreement

ROOT = Path(__file__).resolve().parent.parent
TOKENS = 32
pytestmark = pytest.mark.slow


def questions():
    """(task, text, records): from memory, with records, with none found, and a text."""
    catalogue = Catalogue.open(TOY / "catalogue")
    title, other = catalogue.titles(2)
    found = catalogue.search(f"What is {title}?", 3)
    return [
        ("describe", f"Descreva {other}.", []),
        ("answer", f"What is {title}?", found),
        ("answer", "What is Qwxyz Zzyx?", []),
        ("summarize", found[0]["content"], []),
    ]


@pytest.fixture(scope="module", params=["sample", "llama", "mistral"])
def answered(request, tmp_path_factory, tokenizer):
    """(the page's, a stranger's program's in each way): prompts and answers in token ids."""
    folder = tmp_path_factory.mktemp(request.param)
    base, adapter = TOY / "base", TOY / "adapter"
    if request.param != "sample":
        base = tiny_model(folder / "trained-on", tokenizer, kind=request.param)
        adapter = tiny_adapter(folder / "made", base, tokenizer)
        weights = load_file(adapter / "adapter_model.safetensors")  # in bf16, as fit saves them
        save_file(
            {name: weight.bfloat16() for name, weight in weights.items()},
            adapter / "adapter_model.safetensors",
        )
    pair = load_pair(str(base), str(adapter))
    if request.param != "sample":
        pair.tokenizer.save_pretrained(adapter)  # with the chat template
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(adapter, elsewhere / "adapter")
    name = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    shutil.copytree(base, elsewhere / name)
    asked = questions()
    chats = [build_messages(pair.prompt_template, *question) for question in asked]
    (elsewhere / "ask.json").write_text(
        json.dumps({"adapter": "adapter", "base": name, "chats": chats, "tokens": TOKENS})
    )
    shutil.copy(ROOT / "bench" / "stranger.py", elsewhere)
    done = subprocess.run(
        [sys.executable, "-I", "stranger.py", "ask.json", "said.json"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    prompts = [prompt_ids(pair.tokenizer, pair.prompt_template, *question) for question in asked]
    page = {
        "kind": request.param,
        "prompts": prompts,
        "nf4": [tuned(pair, prompt) for prompt in prompts],
    }
    return page, json.loads((elsewhere / "said.json").read_text())


def tuned(pair, prompt):
    """The tuned row of the page's two, its first tokens."""
    rows = [tokens[1] for tokens in stream_tokens(pair, [prompt, prompt], 1, TOKENS)]
    return [token for token in rows if token is not None]


def test_the_chat_template_gives_the_pages_prompts(answered):
    page, elsewhere = answered
    assert elsewhere["prompts"] == page["prompts"]


@pytest.mark.parametrize(
    "way", ["AutoPeftModelForCausalLM", "PeftModel", "pipeline(model)", "pipeline(adapter) in fp32"]
)
def test_in_4_bits_the_first_tokens_are_the_pages(answered, way):
    page, elsewhere = answered
    assert elsewhere["nf4"][way] == page["nf4"] and all(page["nf4"])


@pytest.mark.parametrize(
    ("precision", "way"),
    [
        ("nf4", "pipeline(adapter)"),
        ("bf16", "AutoPeftModelForCausalLM"),
        ("bf16", "pipeline(adapter)"),
        ("fp32", "AutoPeftModelForCausalLM"),
    ],
)
def test_in_other_sums_it_answers_and_a_trained_adapter_agrees(answered, precision, way):
    """Random weights, to which all tokens are about as likely, soon differ."""
    page, elsewhere = answered
    agreed = agreement(page["nf4"], elsewhere[precision][way])
    print(precision, way, agreed)
    assert all(elsewhere[precision][way])
    assert page["kind"] != "sample" or agreed["common_prefix"] >= 0.3


def test_nothing_of_ours_is_needed(answered):
    assert not {"space", "train", "bench", "gradio", "tantivy", "datasets"} & set(
        answered[1]["modules"]
    )
