"""One base in memory and one adapter on it: a Pair, whose first rows are the untouched base's. A mismatch is refused."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from dataclasses import dataclass, field
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.functional import linear

from space.errors import ModelError
from space.model.base import Base, load_base, load_tokenizer, named
from space.model.family import DecoderOnly, EncoderDecoder, Window, family_of
from space.model.prompt import PromptTemplate


@dataclass
class Rows:
    """How many of a batch's first rows are the base's; every PairedLinear of a model reads the same one."""

    base: int = 0
    _last: tuple[torch.Tensor, int, torch.Tensor] | None = None

    def tuned(self, x: torch.Tensor) -> torch.Tensor:
        """Returns the other rows of `x` in fp32; made once for the layers that read the same `x` (query, key, value)."""
        if self._last is None or self._last[0] is not x or self._last[1] != self.base:
            self._last = x, self.base, x[self.base :].float()
        return self._last[2]


class PairedLinear(nn.Module):
    """A frozen linear layer that adds its LoRA to the rows of the batch that are not the base's. Inference only.

    The sums are PEFT's own, in its order and in fp32, so that the tokens are too.
    """

    def __init__(self, layer: LoraLayer, rows: Rows) -> None:
        super().__init__()
        adapter = layer.active_adapters[0]
        self.base, self.rows = layer.base_layer, rows
        # To a layer in 4 bits PEFT adds what it rounded to the layer's type; of another (T5 always has some) it rounds the sum.
        self.narrow = type(self.base) is not nn.Linear
        scaling = layer.scaling[adapter]
        # A power of two moves no digit: then the weights carry it, and every step is spared a pass.
        self.scaling = None if math.frexp(scaling)[0] == 0.5 else scaling
        self.down = _compact(layer.lora_A[adapter].weight)
        self.up = _compact(layer.lora_B[adapter].weight * (scaling if self.scaling is None else 1))

    @property
    def weight(self) -> torch.Tensor:
        """The base's weights; T5 looks at their type."""
        return self.base.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Maps (rows, tokens, in) to (rows, tokens, out)."""
        out = self.base(x)
        first = self.rows.base
        if first < len(x):
            added = linear(linear(self.rows.tuned(x), self.down.float()), self.up.float())
            added = added if self.scaling is None else added * self.scaling
            out[first:].add_(added.to(out.dtype) if self.narrow else added)
        return out


def _contiguous(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Copies the last positions of a prompt, a strided view for which torch would copy the vocabulary's weights instead."""
    return tuple(hidden.clone(memory_format=torch.contiguous_format) for hidden in inputs)


def _compact(weight: torch.Tensor) -> nn.Parameter:
    """Returns the weight in bf16 where that loses nothing: PEFT widens what was saved in bf16."""
    narrow = weight.to(torch.bfloat16)
    return nn.Parameter(
        narrow if torch.equal(narrow.to(weight.dtype), weight) else weight, requires_grad=False
    )


@dataclass
class Pair:
    """A base and its adapter, ready to answer together; `lock` admits one generation at a time."""

    model: nn.Module
    tokenizer: object
    prompt_template: PromptTemplate
    base: Base
    adapter: str
    adapter_revision: str
    precision: str
    rows: Rows
    folder: Path | None = (
        None  # the adapter's, with whatever it brought beside its weights; None for one that was not loaded
    )
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.model.get_output_embeddings().register_forward_pre_hook(_contiguous)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.device

    @property
    def family(self) -> DecoderOnly | EncoderDecoder:
        """What the base is built of."""
        return family_of(self.model.config)

    @property
    def window(self) -> Window:
        """The base's context in tokens."""
        return self.family.window(self.model.config)

    @property
    def stop_ids(self) -> frozenset[int]:
        """The tokens that end an answer."""
        ids = self.model.generation_config.eos_token_id
        ids = ids if isinstance(ids, list) else [ids]
        return frozenset(i for i in [*ids, self.tokenizer.eos_token_id] if i is not None)


# --- loading ---------------------------------------------------------------------------------------------------------


def load_pair(
    base: str,
    adapter: str,
    base_revision: str | None = None,
    adapter_revision: str | None = None,
    precision: str = "nf4",
) -> Pair:
    """Loads a base and an adapter (folders or Hub ids) as a Pair; raises ModelError and PromptTemplateError.

    Without a template of its own in its folder the adapter still loads: its prompt is then ours.
    """
    folder, commit = _adapter_folder(adapter, adapter_revision)
    prompt_template = (
        PromptTemplate.load(folder / "prompt.json")
        if (folder / "prompt.json").is_file()
        else PromptTemplate()
    )
    model, identity = load_base(base, base_revision, precision)
    _check_base(folder, adapter, identity)
    with named("adapter", adapter):
        # Read on the CPU and copied to where the model is: a file read straight to a GPU would start CUDA, which on ZeroGPU
        # this process must not.
        model = PeftModel.from_pretrained(model, str(folder), torch_device="cpu").base_model.model
    rows = pair_up(model)
    has_tokenizer = (folder / "tokenizer_config.json").is_file()
    source = (str(folder), None) if has_tokenizer else (base, base_revision)
    tokenizer = load_tokenizer(*source, template=family_of(model.config).template)
    name = Path(adapter).resolve().parent.name if Path(adapter).is_dir() else adapter
    return Pair(
        model.eval(), tokenizer, prompt_template, identity, name, commit, precision, rows, folder
    )


def pair_up(model: nn.Module) -> Rows:
    """Swaps every LoRA layer of `model` for a PairedLinear, in place; raises ModelError for one that cannot be paired."""
    rows = Rows()
    layers = [
        (name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLayer)
    ]
    for name, layer in layers:
        plain = (
            isinstance(layer.base_layer, nn.Linear)
            and not layer.lora_variant
            and len(layer.active_adapters) == 1
            and not any(layer.lora_bias.values())
        )
        if not plain:
            raise ModelError(
                f"the adapter's layer {name} is more than LoRA on a linear layer (DoRA, embeddings, ...): "
                "its base column would not be the untouched base"
            )
        model.set_submodule(name, PairedLinear(layer, rows))
    if any(name.endswith("modules_to_save") for name, _ in model.named_modules()):
        raise ModelError(
            "the adapter replaces whole modules (modules_to_save): its base column would not be the base"
        )
    return rows


def _adapter_folder(adapter: str, revision: str | None) -> tuple[Path, str]:
    """Returns (folder, commit): a digest of its config and weights stands in for the commit of a folder."""
    folder = Path(adapter)
    if not folder.is_dir():
        if folder.is_absolute() or adapter.startswith("."):
            raise ModelError(
                f"adapter {adapter} is not a folder: give a folder or a Hub id such as user/name"
            )
        with named("adapter", adapter):
            folder = Path(
                snapshot_download(
                    adapter, revision=revision, ignore_patterns=["checkpoint*", "plots/*"]
                )
            )
        return folder, folder.name
    total, needed = (
        hashlib.sha256(),
        (folder / "adapter_config.json", folder / "adapter_model.safetensors"),
    )
    if not all(path.is_file() for path in needed):
        raise ModelError(
            f"adapter {adapter} needs adapter_config.json and adapter_model.safetensors: is training done?"
        )
    for path in needed:
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return folder, "sha256:" + total.hexdigest()


def _check_base(folder: Path, adapter: str, base: Base) -> None:
    """Raises ModelError where the adapter says that it was made for another base."""
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
