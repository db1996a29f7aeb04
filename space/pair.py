"""One base in memory, 4-bit NF4 or bf16, and one adapter on it: a Pair. A mismatch is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.utils import logging as transformers_logging

from space.prompt import Wording, chat_template

# Bars for every shard of every load, and warnings of other people's plans, hide what matters.
transformers_logging.disable_progress_bar()
transformers_logging.set_verbosity_error()
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*", category=FutureWarning)
warnings.filterwarnings("ignore", message="Could not find a config file in", category=UserWarning)


class PairError(Exception):
    """A base or an adapter cannot be loaded, or they do not belong together; one line with the value and the remedy."""


@dataclass(frozen=True)
class Base:
    """Which base: a Hub id and commit, or for a folder its name and a digest of its config and weights."""

    name: str
    revision: str

    def __str__(self) -> str:
        return f"{self.name} at {self.revision[:15]}"


@dataclass
class Rows:
    """How many of a batch's first rows are the base's; every PairedLinear of a model reads the same one."""

    base: int = 0


class PairedLinear(nn.Module):
    """A frozen linear layer that adds its LoRA to the rows of the batch that are not the base's. Inference only.

    The sums are PEFT's own, in its order and precision, so that the tokens are too.
    """

    def __init__(self, layer: LoraLayer, rows: Rows) -> None:
        super().__init__()
        adapter = layer.active_adapters[0]
        self.base, self.rows, self.scaling = layer.base_layer, rows, layer.scaling[adapter]
        self.down, self.up = layer.lora_A[adapter], layer.lora_B[adapter]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (rows, tokens, in) to (rows, tokens, out)."""
        out = self.base(x)
        first = self.rows.base
        if first < len(x):
            out[first:] += (self.up(self.down(x[first:].to(self.down.weight.dtype))) * self.scaling).to(out.dtype)
        return out


@dataclass
class Pair:
    """A base and its adapter, ready to answer together; `lock` admits one generation at a time."""

    model: nn.Module
    tokenizer: object
    wording: Wording
    base: Base
    adapter: str
    adapter_revision: str
    precision: str
    rows: Rows
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def window(self) -> int:
        """The base's context in tokens, prompt and answer together."""
        return self.model.config.max_position_embeddings

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        ids = self.model.generation_config.eos_token_id
        ids = ids if isinstance(ids, list) else [ids]
        return frozenset(i for i in [*ids, self.tokenizer.eos_token_id] if i is not None)


# --- loading ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _named(what: str, name: str) -> Iterator[None]:
    """Turns what loading `name` raises into one line for a person."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        causes = []
        cause: BaseException | None = error
        while cause is not None:
            causes.append(type(cause))
            cause = cause.__cause__ or cause.__context__
        url = f"https://huggingface.co/{name}"
        if any(issubclass(c, GatedRepoError) for c in causes) or "gated repo" in str(error):
            raise PairError(f"{what} {name} is gated: accept its licence at {url} and set HF_TOKEN to your token") from error
        if any(issubclass(c, RevisionNotFoundError) for c in causes):
            raise PairError(f"{what} {name} has no such revision on the Hub; see {url}/commits/main") from error
        if any(issubclass(c, RepositoryNotFoundError) for c in causes) or "valid model identifier" in str(error):
            raise PairError(f"{what} {name} is neither a folder here nor a repository on the Hub that you may read: "
                            "check the spelling, or set HF_TOKEN where it is private") from error
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise PairError(f"{what} {name} cannot be loaded: {reason}") from error


def digest(folder: Path) -> str:
    """Returns "sha256:..." over a base folder's config.json and weights, whatever the folder is called."""
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    if len(files) < 2 or not files[0].is_file():
        raise PairError(f"base {folder} needs a config.json and *.safetensors weights")
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return "sha256:" + total.hexdigest()


def identify(base: str, config) -> Base:
    """Returns which base this is: never a path. `config` is the loaded transformers config."""
    folder = Path(base)
    if folder.is_dir():
        return Base(getattr(config, "model_name", folder.resolve().name), digest(folder))
    return Base(base, config._commit_hash or "unknown")


def load_tokenizer(source: str, revision: str | None = None):
    """Returns the tokenizer with a chat template without a clock (ours where it has none) and a pad token."""
    with _named("the tokenizer of", source):
        tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
    tokenizer.chat_template = chat_template(tokenizer)
    if tokenizer.pad_token is None:
        # Only ever masked: labels and attention never read it, so that an EOS here teaches nothing.
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def load_base(base: str, revision: str | None = None, precision: str = "nf4", training: bool = False):
    """Returns (model, Base) for a Llama or Mistral, on the GPU if there is one; raises PairError.

    `precision` is "nf4" (4 bits, double quantization, bf16 compute) or "bf16".
    """
    folder = Path(base)
    if not folder.is_dir() and (folder.is_absolute() or base.startswith(".")):
        raise PairError(f"base {base} is not a folder: give a folder or a Hub id such as mistralai/Mistral-7B-Instruct-v0.3")
    four_bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
                                   bnb_4bit_compute_dtype=torch.bfloat16) if precision == "nf4" else None
    with _named("base", base):
        config = AutoConfig.from_pretrained(base, revision=revision)
        model = AutoModelForCausalLM.from_pretrained(
            base, revision=revision, dtype=torch.bfloat16, quantization_config=four_bits,
            device_map={"": 0} if torch.cuda.is_available() else "cpu")
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            # bitsandbytes repacks weights for a CPU kernel that has no backward pass and wants these multiples.
            fits = layer.out_features % 32 == 0 and layer.in_features % 64 == 0
            layer.support_avx512bf16_for_cpu &= fits and not training
    return model.eval(), identify(base, config)


def load_pair(base: str, adapter: str, base_revision: str | None = None, adapter_revision: str | None = None,
              precision: str = "nf4") -> Pair:
    """Loads a base and an adapter (folders or Hub ids) as a Pair; raises PairError and WordingError.

    Without a template of its own in its folder the adapter still loads: its prompt is then ours.
    """
    folder, commit = _adapter_folder(adapter, adapter_revision)
    wording = Wording.load(folder / "prompt.json") if (folder / "prompt.json").is_file() else Wording()
    model, identity = load_base(base, base_revision, precision)
    _check_base(folder, adapter, identity)
    with _named("adapter", adapter):
        model = PeftModel.from_pretrained(model, str(folder)).base_model.model
    rows = pair_up(model)
    has_tokenizer = (folder / "tokenizer_config.json").is_file()
    tokenizer = load_tokenizer(str(folder)) if has_tokenizer else load_tokenizer(base, base_revision)
    name = Path(adapter).resolve().parent.name if Path(adapter).is_dir() else adapter
    return Pair(model.eval(), tokenizer, wording, identity, name, commit, precision, rows)


def pair_up(model: nn.Module) -> Rows:
    """Swaps every LoRA layer of `model` for a PairedLinear, in place; raises PairError for one that cannot be paired."""
    rows = Rows()
    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLayer)]
    for name, layer in layers:
        plain = isinstance(layer.base_layer, nn.Linear) and not layer.lora_variant and len(layer.active_adapters) == 1
        if not plain:
            raise PairError(f"the adapter's layer {name} is more than LoRA on a linear layer (DoRA, embeddings, ...): "
                            "its base column would not be the untouched base")
        model.set_submodule(name, PairedLinear(layer, rows))
    if any(name.endswith("modules_to_save") for name, _ in model.named_modules()):
        raise PairError("the adapter replaces whole modules (modules_to_save): its base column would not be the base")
    return rows


def _adapter_folder(adapter: str, revision: str | None) -> tuple[Path, str]:
    """Returns (folder, commit): a digest of its weights stands in for the commit of a folder."""
    folder = Path(adapter)
    if not folder.is_dir():
        if folder.is_absolute() or adapter.startswith("."):
            raise PairError(f"adapter {adapter} is not a folder: give a folder or a Hub id such as user/name")
        with _named("adapter", adapter):
            folder = Path(snapshot_download(adapter, revision=revision, ignore_patterns=["checkpoint*", "plots/*"]))
        return folder, folder.name
    weights = folder / "adapter_model.safetensors"
    if not weights.is_file() or not (folder / "adapter_config.json").is_file():
        raise PairError(f"adapter {adapter} needs adapter_config.json and adapter_model.safetensors: is training done?")
    with weights.open("rb") as file:
        return folder, "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def _check_base(folder: Path, adapter: str, base: Base) -> None:
    """Raises PairError where the adapter says that it was made for another base."""
    record = folder / "run.json"
    if record.is_file():
        made_for = Base(**json.loads(record.read_text(encoding="utf-8"))["base"])
        same = made_for.revision == base.revision if base.revision.startswith("sha256:") else made_for == base
    else:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        made_for = Base(str(config.get("base_model_name_or_path")), str(config.get("revision") or "any"))
        same = made_for.name == base.name or base.revision.startswith("sha256:")
    if not same:
        raise PairError(f"adapter {adapter} was made for the base {made_for}, not for {base}: "
                        "set BASE_MODEL and BASE_REVISION to its own")
