"""One base: which it is, its tokenizer, and loading it in 4-bit NF4 or in bf16."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from space.errors import ModelError
from space.model.family import family_of
from space.model.prompt import CHAT_TEMPLATE, chat_template

# Bars for every shard of every load, and warnings of other people's plans, hide what matters.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
warnings.filterwarnings("ignore", message="Could not find a config file in", category=UserWarning)


@dataclass(frozen=True)
class Base:
    """Which base: a Hub id and commit, or for a folder its name and a digest of its config and weights."""

    name: str
    revision: str

    @property
    def on_hub(self) -> bool:
        """Whether the name is a repository's on the Hub, and not a folder's."""
        return not self.revision.startswith("sha256:")

    def __str__(self) -> str:
        return f"{self.name} at {self.revision[:15]}"


WORDS = {
    "gated": "{what} {name} is gated: accept its licence at {url} and set HF_TOKEN to your token",
    "revision": "{what} {name} has no such revision on the Hub; see {url}/commits/main",
    "absent": "{what} {name} is neither a folder here nor a repository on the Hub that you may read: check the spelling, "
    "or set HF_TOKEN where it is private",
    "pieces": "{what} {name} comes as a SentencePiece or tiktoken file alone: pip install sentencepiece protobuf, or tiktoken",
    "other": "{what} {name} cannot be loaded: {reason}",
}


@contextlib.contextmanager
def named(what: str, name: str, raised: type[Exception] = ModelError) -> Iterator[None]:
    """Turns what loading `name` raises into one line for a person, as an error of the kind `raised`."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        reason = next(
            (line for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        words = WORDS[kind_of(error)].format(
            what=what, name=name, url=address(what, name), reason=reason
        )
        raise raised(words) from error


def address(what: str, name: str) -> str:
    """Returns the page of a repository on the Hub; a catalogue lies in a dataset's."""
    return f"https://huggingface.co/{'datasets/' if what == 'catalogue' else ''}{name}"


def kind_of(error: BaseException) -> str:
    """Returns why the Hub did not give what was asked for, by the error and its causes: a key of WORDS."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    # A gated repository's error is also one of an absent one, so it comes first.
    for kind, errors, words in (
        ("gated", GatedRepoError, "access a gated repo"),
        ("revision", RevisionNotFoundError, None),
        ("absent", RepositoryNotFoundError, "valid model identifier"),
        ("pieces", (), "`tiktoken` is required"),
    ):
        if any(isinstance(cause, errors) or (words and words in str(cause)) for cause in causes):
            return kind
    return "other"


def digest(folder: Path) -> str:
    """Returns "sha256:..." over a base folder's config.json and weights, whatever the folder is called."""
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    if len(files) < 2 or not files[0].is_file():
        raise ModelError(f"base {folder} needs a config.json and *.safetensors weights")
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + total.hexdigest()


def identify(base: str, commit: str | None, config) -> Base:
    """Returns which base this is: never a path. `config` is the loaded transformers config; a folder has no commit."""
    if commit is None:
        folder = Path(base)
        return Base(getattr(config, "model_name", folder.resolve().name), digest(folder))
    return Base(base, commit)


def load_tokenizer(source: str, revision: str | None = None, template: str = CHAT_TEMPLATE):
    """Returns the tokenizer with a pad token and a chat template without a clock: its own, or `template`, its family's."""
    with named("the tokenizer of", source):
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    tokenizer.chat_template = chat_template(tokenizer, template)
    if tokenizer.pad_token is None:
        # Only ever masked: labels and attention never read it, so that an EOS here teaches nothing.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def load_base(
    base: str, revision: str | None = None, precision: str = "nf4", training: bool = False
):
    """Returns (model, Base) for a Llama, Mistral, T5 or BART, on the GPU if there is one; raises ModelError.

    `precision` is "nf4" (4 bits, double quantization, bf16 compute) or "bf16".
    """
    folder = Path(base)
    if not folder.is_dir() and (folder.is_absolute() or base.startswith(".")):
        raise ModelError(
            f"base {base} is not a folder: give a folder or a Hub id such as mistralai/Mistral-7B-Instruct-v0.3"
        )
    four_bits = (
        BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        if precision == "nf4"
        else None
    )
    device = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    with named("base", base):
        # The commit that a branch has now, so that config and weights are of one.
        commit = (
            None
            if folder.is_dir()
            else Path(hf_hub_download(base, "config.json", revision=revision)).parent.name
        )
        config = AutoConfig.from_pretrained(base, revision=commit)
        # Weights are quantized on the GPU. Others are moved there when they are whole: on ZeroGPU there is only a stand-in
        # for CUDA, which the threads that read weights do not know.
        family = family_of(config)
        model = family.loader.from_pretrained(
            base,
            revision=commit,
            dtype=torch.bfloat16,
            quantization_config=four_bits,
            device_map={"": device if four_bits else "cpu"},
        )
        model = model if four_bits else model.to(device)
        family.opening(model)  # refused now rather than at the first answer
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            # bitsandbytes repacks weights for a CPU kernel that has no backward pass and wants these multiples.
            fits = layer.out_features % 32 == 0 and layer.in_features % 64 == 0
            layer.support_avx512bf16_for_cpu &= fits and not training
    return model.eval(), identify(base, commit, config)
