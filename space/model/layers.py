"""Linear layers that answer as the base and as the tuned model in one batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from types import MethodType
from typing import Any, cast

import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.nn.functional import linear
from transformers import PreTrainedModel

from space.errors import ModelError

# Layers of one module that read the same input: one matmul computes all of them.
SHARED_INPUT = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))
MEMORY_SHARE = 4  # decoded weights may take one part in so many of the memory available
BF16_BYTES = 2
# A and B by the names of their layers, (rank, in) and (out, rank).
OtherLora = Mapping[str, tuple[torch.Tensor, torch.Tensor]]


@dataclass
class Rows:
    """Which rows of a batch are the base's.

    All PairedLinear of a model share one. The first `base` rows are; with a `stride` of 2 and a
    base of 1, base and tuned rows alternate. `strength`, (tuned rows, 1, 1), is what share of the
    adapter's change each tuned row gets, or None for all of it.
    """

    base: int = 0
    stride: int = 1
    strength: torch.Tensor | None = None
    _last: tuple[torch.Tensor, slice, torch.Tensor] | None = None

    @property
    def part(self) -> slice:
        """Get the tuned rows."""
        return slice(self.base, None, self.stride)

    def tuned(self, x: torch.Tensor) -> torch.Tensor:
        """Get the tuned rows of `x` in fp32.

        The layers that read the same `x` share one copy.
        """
        if self._last is None or self._last[0] is not x or self._last[1] != self.part:
            tuned = x[self.part].float()
            if self.strength is not None:
                tuned = tuned * self.strength  # LoRA is linear: its input may carry the factor
            self._last = x, self.part, tuned
        return self._last[2]


class DecodedLinear(nn.Module):
    """4-bit layers with one input whose weights are decoded once, not at every step.

    The results are bit for bit those of bitsandbytes' own way: decode to the compute type, then
    multiply. Where oneDNN multiplies in bf16, the weights lie in the order that it reads.
    """

    def __init__(self, layers: Sequence[Linear4bit]) -> None:
        super().__init__()
        self.dtype = layers[0].compute_dtype
        self.weight: torch.Tensor = torch.cat([_decode(layer) for layer in layers])
        self.packed = self.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        if self.packed:
            self.weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, None)
        biases = [layer.bias.data for layer in layers if layer.bias is not None]
        self.bias = torch.cat(biases).to(self.dtype) if biases else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, tokens, in) to (rows, tokens, out)."""
        narrow = x.to(self.dtype)
        if self.packed:
            out = torch.ops.mkldnn._linear_pointwise(narrow, self.weight, self.bias, "none", [], "")
        else:
            out = linear(narrow, self.weight, self.bias)
        return out.to(x.dtype)


def decode_frozen(model: PreTrainedModel) -> None:
    """Decode 4-bit weights for training, if they fit into memory.

    No step decodes then. The layers keep their 4 bits, and compute bit for bit what they did.
    """
    if not decoding_fits(model):
        return
    for layer in model.modules():
        if isinstance(layer, Linear4bit):
            layer.register_buffer("decoded", _decode(layer), persistent=False)
            layer.forward = MethodType(_multiply_decoded, layer)


def _decode(layer: Linear4bit) -> torch.Tensor:
    weight: Any = layer.weight
    return dequantize_4bit(weight.data, weight.quant_state).to(layer.compute_dtype)


def _multiply_decoded(layer: Linear4bit, x: torch.Tensor) -> torch.Tensor:
    weight = cast(torch.Tensor, layer.decoded)
    bias = None if layer.bias is None else layer.bias.to(weight.dtype)
    return linear(x.to(weight.dtype), weight, bias).to(x.dtype)


class PairedLinear(nn.Module):
    """Frozen linear layers with one input, and their LoRA for the tuned rows.

    For inference only. One matmul computes the base of several layers. Their LoRA stays apart, for
    a fused one rounds in another way. It is what PEFT computes, in its order and in fp32, so the
    tokens are the same.
    """

    def __init__(self, layers: Sequence[nn.Module], rows: Rows, decode: bool) -> None:
        super().__init__()
        self.rows = rows
        bases = [_base_of(layer) for layer in layers]
        # For a layer in 4 bits PEFT rounds the LoRA's output to the layer's type before it adds it;
        # for another (T5 always has some) it rounds the sum.
        self.narrow = type(bases[0]) is not nn.Linear
        quantized = [base for base in bases if decode and isinstance(base, Linear4bit)]
        self.base = DecodedLinear(quantized) if quantized else _join(bases)
        self.scaling = [_scaling_of(layer) for layer in layers]
        self.lora = [_lora_of(layer) for layer in layers]  # A, B and the factor of each
        self.has_lora = any(isinstance(layer, LoraLayer) for layer in layers)

    @property
    def weight(self) -> torch.Tensor:
        """Get the base's weights, whose type T5 reads."""
        return self.base.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, tokens, in) to (rows, tokens, out)."""
        out = self.base(x)
        if self.has_lora and self.rows.base < len(x):
            added = self._lora(self.rows.tuned(x))
            out[self.rows.part].add_(added.to(out.dtype) if self.narrow else added)
        return out

    def _lora(self, x: torch.Tensor) -> torch.Tensor:
        added = []
        for down, up, scaling in self.lora:
            part = linear(linear(x, down), up)
            added.append(part if scaling == 1 else part * scaling)
        return added[0] if len(added) == 1 else torch.cat(added, dim=-1)


class Fused:
    """One PairedLinear for several layers: computed for the first, sliced for the others."""

    def __init__(self, paired: PairedLinear, sizes: Sequence[int]) -> None:
        self.paired = paired
        self.ranges = list(pairwise(accumulate(sizes, initial=0)))
        self._last: tuple[torch.Tensor, torch.Tensor] | None = None

    def part(self, x: torch.Tensor, index: int) -> torch.Tensor:
        """Compute the layer at `index`.

        Maps (rows, tokens, in) to (rows, tokens, its out).
        """
        if self._last is None or self._last[0] is not x:
            self._last = x, self.paired(x)
        out = self._last[1]
        if index == len(self.ranges) - 1:
            self._last = None  # or every layer would keep a long prompt's outputs
        start, end = self.ranges[index]
        return out[..., start:end]


class FusedPart(nn.Module):
    """Stands where one of several fused layers stood."""

    def __init__(self, fused: Fused, index: int) -> None:
        super().__init__()
        self.paired, self.fused, self.index = fused.paired, fused, index

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, tokens, in) to (rows, tokens, out)."""
        return self.fused.part(x, self.index)


def pair_up(model: PreTrainedModel) -> Rows:
    """Replace every LoRA layer by a PairedLinear in place, or raise ModelError.

    On a CPU that has the memory, 4-bit weights are decoded once. A model without an adapter gets
    the same layers without LoRA.
    """
    rows = Rows()
    decode = decoding_fits(model)
    names = [name for name, layer in model.named_modules() if _is_replaced(name, layer, decode)]
    for name in names:
        _check_supported(name, model.get_submodule(name))
    if any(name.endswith("modules_to_save") for name, _ in model.named_modules()):
        raise ModelError(
            "the adapter replaces modules (modules_to_save): "
            "its base column would not be the untouched base"
        )
    for group in _groups(model, names, decode):
        layers = [model.get_submodule(name) for name in group]
        sizes = [_base_of(layer).out_features for layer in layers]
        paired = PairedLinear(layers, rows, decode)
        if len(group) == 1:
            model.set_submodule(group[0], paired)
            continue
        fused = Fused(paired, sizes)
        for index, name in enumerate(group):
            model.set_submodule(name, FusedPart(fused, index))
    return rows


def _base_of(layer: nn.Module) -> nn.Linear:
    return cast(nn.Linear, layer.base_layer if isinstance(layer, LoraLayer) else layer)


def _is_replaced(name: str, layer: nn.Module, decode: bool) -> bool:
    if isinstance(layer, LoraLayer):
        return True
    return decode and isinstance(layer, Linear4bit) and not name.endswith(".base_layer")


def _check_supported(name: str, layer: nn.Module) -> None:
    """Raise ModelError for more than LoRA on a linear layer."""
    if not isinstance(layer, LoraLayer):
        return
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


def _groups(model: nn.Module, names: Sequence[str], decode: bool) -> Iterator[list[str]]:
    """Group the names of layers that are computed together."""
    left = dict.fromkeys(names)
    for name in names:
        if name not in left:
            continue
        parent, _, own = name.rpartition(".")
        together = next((some for some in SHARED_INPUT if own in some), (own,))
        group = [f"{parent}.{other}" if parent else other for other in together]
        group = [other for other in group if other in left]
        if not _can_join([_base_of(model.get_submodule(other)) for other in group], decode):
            group = [name]
        for other in group:
            del left[other]
        yield group


def _can_join(bases: Sequence[nn.Linear], decode: bool) -> bool:
    """Check whether layers differ in nothing but their outputs.

    On a GPU they stay apart: a process for ZeroGPU may read no weights before it has one.
    """
    kinds = {
        (type(base), base.in_features, base.bias is None, base.weight.dtype, base.weight.device)
        for base in bases
    }
    first = bases[0]
    plain = type(first) is nn.Linear and first.weight.device.type == "cpu"
    return len(kinds) == 1 and (decode or plain)


def _join(bases: Sequence[nn.Linear]) -> nn.Linear:
    """Make one layer of several."""
    first = bases[0]
    if len(bases) == 1:
        return first
    first.weight = _frozen(torch.cat([base.weight for base in bases]))
    if first.bias is not None:
        first.bias = _frozen(torch.cat([base.bias for base in bases]))
    first.out_features = len(first.weight)
    return first


def _lora_of(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Get a layer's A, B and the factor after them.

    Shapes: (rank, in) and (out, rank), in fp32. A layer without LoRA has rank 0.
    """
    base = _base_of(layer)
    if not isinstance(layer, LoraLayer):
        weight = torch.empty(0, base.in_features, device=base.weight.device)
        return weight, weight.new_empty(base.out_features, 0), 1.0
    adapter = layer.active_adapters[0]
    down = cast(nn.Linear, layer.lora_A[adapter]).weight.detach().float()
    up = cast(nn.Linear, layer.lora_B[adapter]).weight.detach().float()
    return _scale(down, up, _scaling_of(layer))


def _scaling_of(layer: nn.Module) -> float:
    return layer.scaling[layer.active_adapters[0]] if isinstance(layer, LoraLayer) else 1.0


def _scale(
    down: torch.Tensor, up: torch.Tensor, scaling: float
) -> tuple[torch.Tensor, torch.Tensor, float]:
    # A power of two changes no digit: B carries it, which saves a pass in every step.
    return (down, up * scaling, 1.0) if math.frexp(scaling)[0] == 0.5 else (down, up, scaling)


def _frozen(weight: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(weight, requires_grad=False)


# --- the LoRA of a paired model ---


@dataclass(frozen=True)
class AdaptedLayer:
    """A layer that the adapter changes: which LoRA of `paired` is its own, and which outputs."""

    name: str  # in the model
    paired: PairedLinear
    index: int
    rows: slice  # of the paired layer's weights


def adapted_layers(model: nn.Module) -> Iterator[AdaptedLayer]:
    """Yield the layers of a paired model that its adapter changes."""
    for name, module in model.named_modules():
        if isinstance(module, FusedPart):
            rows = slice(*module.fused.ranges[module.index])
            layer = AdaptedLayer(name, module.paired, module.index, rows)
        elif isinstance(module, PairedLinear) and not name.endswith(".paired"):
            layer = AdaptedLayer(name, module, 0, slice(None))
        else:
            continue
        if layer.paired.lora[layer.index][0].numel():
            yield layer


@contextmanager
def other_lora(model: nn.Module, weights: OtherLora) -> Iterator[None]:
    """Let other LoRA weights answer in the adapter's place.

    They have the same shapes. The adapter's own tensors are set aside untouched, and come back
    whatever happens.
    """
    layers = list(adapted_layers(model))
    before = [layer.paired.lora[layer.index] for layer in layers]
    try:
        for layer, (own, _, _) in zip(layers, before, strict=True):
            down, up = (tensor.to(own.device, own.dtype) for tensor in weights[layer.name])
            scaling = layer.paired.scaling[layer.index]
            layer.paired.lora[layer.index] = _scale(down, up, scaling)
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.paired.lora[layer.index] = own


# --- decoding 4 bits once ---


def decoding_fits(model: PreTrainedModel) -> bool:
    """Decide whether 4-bit weights are decoded for good.

    On a GPU they are not: its kernels read 4 bits faster than 16.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    if not layers or any(layer.weight.device.type != "cpu" for layer in layers):
        return False
    wanted = sum(layer.in_features * layer.out_features for layer in layers) * BF16_BYTES
    return wanted * MEMORY_SHARE <= available_memory()


def available_memory(root: Path = Path("/")) -> int:
    """Read how many bytes this process may still take.

    It is 0 where the system does not say. A container's limit counts where it is lower than the
    machine's memory.
    """
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 0
    free *= 1024
    room = container_room(root / "sys/fs/cgroup")
    return free if room is None else min(free, room)


def container_room(group: Path) -> int | None:
    """Read how many bytes a container has left, or None.

    `group` is the folder of its cgroup, version 2.
    """
    try:
        limit = int((group / "memory.max").read_text())  # "max" where there is none
        return limit - int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return None
