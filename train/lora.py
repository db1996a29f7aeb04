"""LoRA on all linear layers of a frozen base, with a forward pass lean enough to train on any machine."""

from __future__ import annotations

import functools
import types

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch.nn.functional import linear

from space.base import Base
from space.families import family_of
from train.config import FitConfig


def add_lora(model, base: Base, config: FitConfig) -> PeftModel:
    """Returns the model with fresh LoRA weights (fp32) on all its linear layers, the only ones that train."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    large = torch.cuda.is_available() and model.num_parameters() > 10**9
    if config.checkpointing == "on" or (config.checkpointing == "auto" and large):
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    if model.device.type == "cpu":
        # The CPU's fused attention has a slow backward pass; at the lengths of an answer the plain sums are faster.
        model.set_attn_implementation("eager")
    # What the adapter says of its base must hold on other machines: an id or a name, never a path of this one.
    model.name_or_path = model.config._name_or_path = base.name
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules="all-linear",
                      task_type=family_of(model.config).task,
                      revision=None if base.revision.startswith("sha256:") else base.revision)
    adapted = get_peft_model(model, lora)
    # PEFT holds them as a set, whose order, and so the saved config, would be another one in every process.
    adapted.peft_config["default"].target_modules = sorted(adapted.peft_config["default"].target_modules)
    # The embeddings are the base's own; left to itself, PEFT asks the Hub about them at every checkpoint.
    adapted.save_pretrained = functools.partial(adapted.save_pretrained, save_embedding_layers=False)
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            layer.forward = types.MethodType(lean_forward, layer)
    return adapted


def lean_forward(layer: LoraLayer, x: torch.Tensor) -> torch.Tensor:
    """Maps (rows, tokens, in) to (rows, tokens, out) like PEFT's own forward, in the base's bf16 as QLoRA does it.

    PEFT widens the input to fp32, clones the output and scales in a pass of its own; here one fused multiply-add does
    that. The LoRA weights stay fp32, and so do their gradients and the optimizer's steps (Dettmers et al. 2023, 3).
    """
    out = layer.base_layer(x)
    name = layer.active_adapters[0]
    low = linear(layer.lora_dropout[name](x), layer.lora_A[name].weight.to(x.dtype)).flatten(0, -2)
    up = layer.lora_B[name].weight.to(x.dtype).T
    return torch.addmm(out.flatten(0, -2), low, up, alpha=layer.scaling[name]).view_as(out)
