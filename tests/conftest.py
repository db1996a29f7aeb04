"""A closed world for every test: no network but loopback, no user's home, and a tiny real Llama to
work with.
"""

import os
import socket
import sys
import tempfile

# The Hub's client reads these when it is imported, so they come before everything.
_HOME = tempfile.mkdtemp(prefix="shelftalk-tests-")
os.environ.update(
    HF_HUB_OFFLINE="1",
    HF_HOME=_HOME,
    HF_HUB_DISABLE_TELEMETRY="1",
    GRADIO_ANALYTICS_ENABLED="False",
    TOKENIZERS_PARALLELISM="false",
    MPLBACKEND="Agg",
)
for name in (
    "HF_TOKEN",
    "BASE_MODEL",
    "BASE_REVISION",
    "ADAPTER",
    "ADAPTER_REVISION",
    "CATALOGUE",
    "CATALOGUE_REVISION",
    "PRECISION",
    "PORT",
    "MAX_NEW_TOKENS",
    "MAX_INPUT_CHARS",
    "QUEUE_SIZE",
    "BATCH_SIZE",
    "CACHE_MB",
    "ANSWER_SECONDS",
    "REQUESTS_PER_MINUTE",
    "TOKENS_PER_MINUTE",
    "TRUSTED_PROXIES",
    "METRICS",
    "FORWARDED_ALLOW_IPS",
    "ALLOWED_HOSTS",
    "VOTES_DIR",
    "VOTES_REPO",
    "SPACE_ID",
    "SPACES_ZERO_GPU",
):
    os.environ.pop(name, None)

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"
_connect = socket.socket.connect


def _loopback_only(self, address):
    host = address[0] if isinstance(address, tuple) else ""
    if host and not (host.startswith("127.") or host in ("localhost", "::1", "0.0.0.0")):
        raise OSError(f"a test tried to reach {host}: only loopback is open")
    return _connect(self, address)


@pytest.fixture(autouse=True)
def closed_world(monkeypatch):
    """Only loopback answers."""
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)


@pytest.fixture(autouse=True)
def same_dtype():
    """No test leaves another default dtype behind, on which later ones would fail."""
    yield
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        left = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        assert left == torch.float32


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real material beside the checkout, for measuring only; a test that needs it is skipped where
    it is not.
    """
    if not SHARED.is_dir():
        pytest.skip("no ../shared beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def tokenizer():
    """A small byte-level tokenizer of our own, without a chat template."""
    from tests.toy.build import build_tokenizer

    return build_tokenizer(vocabulary=600, documents=300)


def tiny_model(folder: Path, tokenizer, kind: str = "llama", seed: int = 0, **changes) -> Path:
    """Writes a real model with random weights in the smallest shape that the 4-bit CPU kernel
    takes.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    torch.manual_seed(seed)
    shape = (
        dict(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            initializer_range=0.1,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            model_name=f"tiny-{kind}",
        )
        | changes
    )
    config, model = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "mistral": (MistralConfig, MistralForCausalLM),
    }[kind]
    model(config(**shape)).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory, tokenizer) -> Path:
    """The folder of a tiny Llama."""
    return tiny_model(tmp_path_factory.mktemp("base"), tokenizer)


def tiny_adapter(folder: Path, base_folder: Path, tokenizer, seed: int = 1, **lora) -> Path:
    """Writes a LoRA adapter that changes what the base says, as fit writes it."""
    import torch

    from space.model.base import load_base
    from space.model.prompt_template import PromptTemplate
    from train.config import FitConfig
    from train.fit.adapter import add_lora

    model, base = load_base(str(base_folder), training=True)
    torch.manual_seed(seed)
    adapted = add_lora(model, base, FitConfig(base=str(base_folder), rank=8))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    adapted.save_pretrained(folder, save_embedding_layers=False)
    tokenizer.save_pretrained(folder)
    PromptTemplate().save(folder / "prompt.json")
    record = {"base": {"name": base.name, "revision": base.revision}}
    (folder / "run.json").write_text(__import__("json").dumps(record))
    return folder


@pytest.fixture(scope="session")
def adapter(tmp_path_factory, tiny_base, tokenizer) -> Path:
    """The folder of an adapter for the tiny Llama."""
    return tiny_adapter(tmp_path_factory.mktemp("run") / "adapter", tiny_base, tokenizer)


@pytest.fixture(scope="session")
def pair(tiny_base, adapter):
    """The tiny Llama and its adapter, loaded in 4 bits."""
    from space.model.pair import load_pair

    return load_pair(str(tiny_base), str(adapter))


@pytest.fixture
def hub(monkeypatch):
    """A Hub of its own on loopback, and this process is ana's on it; Hub.environ() is for another
    process.
    """
    from huggingface_hub import constants

    from tests.hub.hub import Hub

    with Hub() as running:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(
            constants.ENDPOINT, running.endpoint
        )
        for name, value in {
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "ENDPOINT": running.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": template,
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv("HF_TOKEN", running.token)
        yield running


@pytest.fixture(scope="session")
def tuned_run(tmp_path_factory, tiny_base) -> Path:
    """A run of the tiny Llama through every verb, on some lines of the invented catalogue; to be
    read, never changed.
    """
    from train.__main__ import main
    from train.shop import write_catalogue

    folder = tmp_path_factory.mktemp("tuned")
    write_catalogue(folder / "trn.json")
    (folder / "trn.json").write_text(
        "".join((folder / "trn.json").read_text().splitlines(keepends=True)[:150])
    )
    call = [
        "all",
        str(folder / "trn.json"),
        "--run",
        str(folder / "shop"),
        "--base",
        str(tiny_base),
        "--learn",
        "8",
        "--max-steps",
        "4",
        "--rank",
        "4",
        "--batch-size",
        "4",
        "--items",
        "3",
        "--shots",
        "1",
        "--answer-tokens",
        "60",
        "--max-length",
        "400",
        "--learning-rate",
        "1e-2",
    ]
    assert main(call) == 0
    return folder / "shop"
