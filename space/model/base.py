"""Identify a base and load it, in 4-bit NF4 or in bf16, with its tokenizer."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import hf_hub_download
from tokenizers import Regex, pre_tokenizers
from transformers import AutoConfig, AutoTokenizer, BitsAndBytesConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from space.errors import ModelError, translate_load_errors
from space.model.chat_templates import check_chat_template
from space.model.family import family_of, load_weights
from space.model.files import check_base_files, check_tokenizer_files, show
from space.model.gguf import dequantize_gguf, find_gguf, sha256_of
from space.model.layers import decoding_fits
from space.model.prompt import CHAT_TEMPLATE, chat_template
from space.settings import Process

# Progress bars of every shard and warnings about other versions' plans hide what matters.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
# A base that is stored in 4 bits keeps its own settings.
warnings.filterwarnings("ignore", message="You passed `quantization_config`")
warnings.filterwarnings("ignore", message="Could not find a config file in", category=UserWarning)

# The words of Mistral's Tekken, as in its tekken.json and in transformers.
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Base:
    """A base's identity.

    It is a Hub id and its commit, or the name and digest of a folder or a GGUF file.
    """

    name: str
    revision: str

    @property
    def on_hub(self) -> bool:
        return not self.revision.startswith("sha256:")

    @property
    def is_gguf(self) -> bool:
        return self.name.lower().endswith(".gguf")

    def __str__(self) -> str:
        return f"{self.name} at {self.revision[:15]}"


def identify_base(base: str, commit: str | None, config) -> Base:
    """Identify a base by its config and, on the Hub, its commit."""
    if commit is None:
        folder = Path(base)
        name = getattr(config, "model_name", folder.resolve().name)
        return Base(name, digest_base(folder))
    return Base(base, commit)


def digest_base(folder: Path) -> str:
    """Compute "sha256:..." of a base's config.json and weights."""
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    if len(files) < 2 or not files[0].is_file():
        raise ModelError(f"base {folder} needs a config.json and *.safetensors weights")
    return digest_files(files)


def digest_files(files: list[Path]) -> str:
    """Compute "sha256:..." of the files' contents, in this order."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + total.hexdigest()


def load_tokenizer(source: str, revision: str | None = None, template: str = CHAT_TEMPLATE):
    """Load a tokenizer with a pad token and a clockless chat template.

    `template` is for a tokenizer that has none.
    """
    file = find_gguf(source)
    if file is not None:
        source = str(dequantize_gguf(file))
    check_tokenizer_files(f"the tokenizer of {source}", Path(source))
    with translate_load_errors("the tokenizer of", source):
        tokenizer = AutoTokenizer.from_pretrained(
            source, revision=revision, trust_remote_code=False
        )
    mend_tekken(tokenizer)
    if isinstance(tokenizer.chat_template, dict):  # several, by name
        tokenizer.chat_template = tokenizer.chat_template.get("default")
    if tokenizer.chat_template:
        check_chat_template(f"the tokenizer of {source}", tokenizer.chat_template)
    tokenizer.chat_template = chat_template(tokenizer, template)
    if tokenizer.pad_token is None:
        # It is always masked, in labels and in attention, so an EOS here teaches nothing.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def mend_tekken(tokenizer) -> None:
    """Correct a Tekken tokenizer that splits words wrongly.

    Some of Mistral Nemo's, Ministral's and Small's tokenizer.json split as Llama 3 does. It is
    what transformers does at fix_mistral_regex=True, which must be asked for, and which would
    break the 7B, whose tokenizer is another kind.
    """
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)
    splitter = getattr(backend, "pre_tokenizer", None)
    tekken = all(token in tokenizer.get_vocab() for token in ("[INST]", "[/INST]"))
    if not tekken or not isinstance(splitter, pre_tokenizers.Sequence):
        return
    state = json.loads(backend.to_str())["pre_tokenizer"]["pretokenizers"]
    pattern = state[0].get("pattern", {}).get("Regex") if len(state) > 1 else None
    if state[-1]["type"] == "ByteLevel" and pattern not in (None, TEKKEN):
        split = pre_tokenizers.Split(pattern=Regex(TEKKEN), behavior="isolated")
        cast(Any, splitter)[0] = split


def _check_stored(base: str, config, precision: str) -> None:
    """Raise ModelError for a quantized base that cannot be loaded as asked."""
    stored = getattr(config, "quantization_config", None)
    if not stored:
        return
    stored = stored if isinstance(stored, dict) else stored.to_dict()
    method = stored.get("quant_method", "an unknown method")
    four_bits = method == "bitsandbytes" and stored.get("load_in_4bit")
    if four_bits and precision == "nf4":
        return
    how = "4 bits" if four_bits else f"another way ({show(method)})"
    remedy = "set PRECISION=nf4 (--precision nf4), or name" if four_bits else "name"
    raise ModelError(
        f"base {base} is stored in {how}, and {precision} was asked for: {remedy} the unquantized "
        "base"
    )


def load_base(
    base: str, revision: str | None = None, precision: str = "nf4", training: bool = False
) -> tuple[PreTrainedModel, Base]:
    """Load a base, to the GPU if there is one.

    It is a Llama, Mistral, T5 or BART: a folder, a Hub id or a GGUF file, whose weights are decoded
    first. `precision` is "nf4" (4 bits, double quantization, compute in bf16) or "bf16". Raises
    ModelError.
    """
    file = find_gguf(base)
    if file is not None:
        base = str(dequantize_gguf(file))
    folder = Path(base)
    if not folder.is_dir() and (folder.is_absolute() or base.startswith(".")):
        raise ModelError(
            f"base {base} is not a folder: give a folder or a Hub id such as "
            "mistralai/Mistral-7B-Instruct-v0.3"
        )
    if folder.is_dir():
        check_base_files(base, folder)
    quantization = None
    if precision == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    # Under torchrun each process has a GPU of its own.
    gpu = torch.device("cuda", Process.from_environment().local_rank)
    device = gpu if torch.cuda.is_available() else torch.device("cpu")
    with translate_load_errors("base", base):
        commit = None
        if not folder.is_dir():
            # The commit that a branch has now, so that config and weights are of the same one.
            commit = Path(hf_hub_download(base, "config.json", revision=revision)).parent.name
        config = AutoConfig.from_pretrained(base, revision=commit, trust_remote_code=False)
        _check_stored(base, config, precision)
        family = family_of(config)
        # Weights are quantized on the GPU. Without quantization they are read on the CPU and moved
        # afterwards: on ZeroGPU the threads that read weights cannot use the stand-in for CUDA.
        loaded = load_weights(
            family.loader,
            base,
            revision=commit,
            trust_remote_code=False,
            dtype=torch.bfloat16,
            quantization_config=quantization,
            device_map={"": device if quantization else "cpu"},
        )
        model = cast(Any, loaded)
        if not quantization:
            model = model.to(device)
        family.start_tokens(model)  # refuses now, not at the first answer
    decode = training or decoding_fits(model)
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            # bitsandbytes repacks weights for a CPU kernel that has no backward pass, needs these
            # multiples and rounds in another way than decoding and multiplying, which is what a
            # GPU does. So it is for bases only that are too large to be decoded.
            fits = layer.out_features % 32 == 0 and layer.in_features % 64 == 0
            layer.support_avx512bf16_for_cpu &= fits and not decode
    if file is not None:
        return model.eval(), Base(file.name, f"sha256:{sha256_of(file)}")
    return model.eval(), identify_base(base, commit, config)
