"""Load one base with one adapter, to answer as both in one batch.

The first rows of a batch are the untouched base's.
"""

from __future__ import annotations

import json
import math
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from huggingface_hub import snapshot_download
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.functional import linear
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from space.errors import ModelError, translate_load_errors
from space.model.base import Base, digest_files, load_base, load_tokenizer
from space.model.family import Family, Window, family_of
from space.model.prompt_template import PromptTemplate


@dataclass
class Rows:
    """How many of a batch's first rows are the base's; all PairedLinear of a model share it."""

    base: int = 0
    _last: tuple[torch.Tensor, int, torch.Tensor] | None = None

    def tuned(self, x: torch.Tensor) -> torch.Tensor:
        """Get the tuned rows of `x` in fp32.

        The layers that read the same `x` (query, key, value) share one copy.
        """
        if self._last is None or self._last[0] is not x or self._last[1] != self.base:
            self._last = x, self.base, x[self.base :].float()
        return self._last[2]


class PairedLinear(nn.Module):
    """A frozen linear layer that adds its LoRA to a batch's tuned rows. Inference only.

    It computes what PEFT does, in its order and in fp32, so the tokens are the same.
    """

    def __init__(self, layer: LoraLayer, rows: Rows) -> None:
        super().__init__()
        adapter = layer.active_adapters[0]
        self.base, self.rows = cast(nn.Linear, layer.base_layer), rows
        # For a layer in 4 bits PEFT rounds the LoRA's output to the layer's type before it adds it;
        # for another (T5 always has some) it rounds the sum.
        self.narrow = type(self.base) is not nn.Linear
        scaling = layer.scaling[adapter]
        # A power of two changes no digit: the weights carry it, which saves a pass in every step.
        self.scaling = None if math.frexp(scaling)[0] == 0.5 else scaling
        down, up = cast(nn.Linear, layer.lora_A[adapter]), cast(nn.Linear, layer.lora_B[adapter])
        self.down = _compact(down.weight)
        self.up = _compact(up.weight * (scaling if self.scaling is None else 1))

    @property
    def weight(self) -> torch.Tensor:
        """Get the base's weights; T5 reads their type."""
        return self.base.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, tokens, in) to (rows, tokens, out)."""
        out = self.base(x)
        first = self.rows.base
        if first < len(x):
            added = linear(linear(self.rows.tuned(x), self.down.float()), self.up.float())
            added = added if self.scaling is None else added * self.scaling
            out[first:].add_(added.to(out.dtype) if self.narrow else added)
        return out


def _contiguous(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    # A prompt's last positions are a strided view, for which torch would copy the vocabulary's
    # weights instead.
    return tuple(hidden.clone(memory_format=torch.contiguous_format) for hidden in inputs)


def _compact(weight: torch.Tensor) -> nn.Parameter:
    # PEFT widens what was saved in bf16.
    narrow = weight.to(torch.bfloat16)
    return nn.Parameter(
        narrow if torch.equal(narrow.to(weight.dtype), weight) else weight, requires_grad=False
    )


@dataclass
class Pair:
    """A base and its adapter, ready to answer together; `lock` admits one generation at a time."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompt_template: PromptTemplate
    base: Base
    adapter: str
    adapter_revision: str
    precision: str
    rows: Rows
    folder: Path | None = None  # the adapter's; None for one that was not loaded
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        head = self.model.get_output_embeddings()
        assert head is not None
        head.register_forward_pre_hook(_contiguous)

    @property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def family(self) -> Family:
        return family_of(self.model.config)

    @property
    def window(self) -> Window:
        """Get the base's context in tokens."""
        return self.family.window(self.model.config)

    @property
    def stop_ids(self) -> frozenset[int]:
        """Get the tokens that end an answer."""
        ids = self.model.generation_config.eos_token_id
        ids = ids if isinstance(ids, list) else [ids]
        return frozenset(i for i in [*ids, self.tokenizer.eos_token_id] if i is not None)


def load_pair(
    base: str,
    adapter: str,
    base_revision: str | None = None,
    adapter_revision: str | None = None,
    precision: str = "nf4",
) -> Pair:
    """Load a base and an adapter from folders or Hub ids.

    An adapter without a prompt.json gets the default prompt template. Raises ModelError and
    PromptTemplateError.
    """
    folder, commit = _adapter_folder(adapter, adapter_revision)
    prompt_template = PromptTemplate()
    if (folder / "prompt.json").is_file():
        prompt_template = PromptTemplate.load(folder / "prompt.json")
    model, identity = load_base(base, base_revision, precision)
    _check_base(folder, adapter, identity)
    with translate_load_errors("adapter", adapter):
        # Read on the CPU and copied to the model: reading a file straight to a GPU would start
        # CUDA, which this process must not do on ZeroGPU.
        peft_model = PeftModel.from_pretrained(model, str(folder), torch_device="cpu")
    model = cast(PreTrainedModel, peft_model.base_model.model)
    rows = pair_up(model)
    has_tokenizer = (folder / "tokenizer_config.json").is_file()
    source = (str(folder), None) if has_tokenizer else (base, base_revision)
    tokenizer = load_tokenizer(*source, template=family_of(model.config).template)
    name = Path(adapter).resolve().parent.name if Path(adapter).is_dir() else adapter
    return Pair(
        model.eval(), tokenizer, prompt_template, identity, name, commit, precision, rows, folder
    )


def pair_up(model: nn.Module) -> Rows:
    """Replace every LoRA layer by a PairedLinear in place, or raise ModelError."""
    rows = Rows()
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, LoraLayer):
            continue
        supported = (
            isinstance(layer.base_layer, nn.Linear)
            and not layer.lora_variant
            and len(layer.active_adapters) == 1
            and not any(layer.lora_bias.values())
        )
        if not supported:
            raise ModelError(
                f"the adapter's layer {name} is more than LoRA on a linear layer (DoRA, "
                "embeddings, ...): its base column would not be the untouched base"
            )
        model.set_submodule(name, PairedLinear(layer, rows))
    if any(name.endswith("modules_to_save") for name, _ in model.named_modules()):
        raise ModelError(
            "the adapter replaces modules (modules_to_save): "
            "its base column would not be the untouched base"
        )
    return rows


def _adapter_folder(adapter: str, revision: str | None) -> tuple[Path, str]:
    """Find an adapter's folder and its commit, or a local folder's digest."""
    folder = Path(adapter)
    if folder.is_dir():
        files = [folder / "adapter_config.json", folder / "adapter_model.safetensors"]
        if not all(path.is_file() for path in files):
            raise ModelError(
                f"adapter {adapter} needs adapter_config.json and adapter_model.safetensors: "
                "is training done?"
            )
        return folder, digest_files(files)
    if folder.is_absolute() or adapter.startswith("."):
        raise ModelError(
            f"adapter {adapter} is not a folder: give a folder or a Hub id such as user/name"
        )
    ignored = ["checkpoint*", "plots/*"]
    with translate_load_errors("adapter", adapter):
        folder = Path(snapshot_download(adapter, revision=revision, ignore_patterns=ignored))
    return folder, folder.name


def _check_base(folder: Path, adapter: str, base: Base) -> None:
    """Raise ModelError if the adapter names another base."""
    record = folder / "run.json"
    if record.is_file():
        made_for = Base(**json.loads(record.read_text(encoding="utf-8"))["base"])
        same = (
            made_for.revision == base.revision
            if base.revision.startswith("sha256:")
            else made_for == base
        )
    else:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        made_for = Base(
            str(config.get("base_model_name_or_path")), str(config.get("revision") or "any")
        )
        same = made_for.name == base.name or base.revision.startswith("sha256:")
    if not same:
        raise ModelError(
            f"adapter {adapter} was made for the base {made_for}, not for {base}: "
            "set BASE_MODEL and BASE_REVISION to its own"
        )
