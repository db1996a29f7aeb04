"""LoRA on all linear layers of a frozen base, with a forward pass lean enough to train on any machine."""

from __future__ import annotations

import functools
import types

import torch
from datasets import Dataset
from peft import EvaConfig, LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.eva import get_eva_state_dict
from torch.nn.functional import linear
from torch.utils.data import DataLoader
from transformers import DataCollatorForSeq2Seq

from space.model import Base, DecoderOnly, family_of
from train.config import ConfigError, FitConfig

EVA_TOKENS = 16  # answer tokens in a batch for each direction that is looked for
EVA_BATCHES = 1000  # after which the directions will not settle any more


def add_lora(model, base: Base, config: FitConfig) -> PeftModel:
    """Returns the model with fresh LoRA weights (fp32) on all its linear layers, the only ones that train.

    They are PEFT's own first weights; see eva() for others.
    """
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
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules="all-linear",
        use_rslora=config.rank_stabilized,
        task_type=family_of(model.config).task,
        revision=None if base.revision.startswith("sha256:") else base.revision,
    )
    adapted = get_peft_model(model, lora)
    # PEFT holds them as a set, whose order, and so the saved config, would be another one in every process.
    adapted.peft_config["default"].target_modules = sorted(
        adapted.peft_config["default"].target_modules
    )
    # The embeddings are the base's own; left to itself, PEFT asks the Hub about them at every checkpoint.
    adapted.save_pretrained = functools.partial(
        adapted.save_pretrained, save_embedding_layers=False
    )
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            layer.forward = types.MethodType(lean_forward, layer)
    return adapted


def check_init(settings: FitConfig, config) -> None:
    """Raises ConfigError where a base, by its transformers config, cannot begin as --init says."""
    if settings.init == "eva" and not isinstance(family_of(config), DecoderOnly):
        raise ConfigError(
            "--init eva is for decoder-only bases: an encoder reads other tokens than the answer's; leave it out"
        )


def eva(model: PeftModel, dataset: Dataset, tokenizer, config: FitConfig) -> None:
    """Sets each lora_A to the directions in which its layer's inputs vary most at the answers' tokens (Paischer et al. 2024).

    `dataset` is what is trained on. Every layer keeps the rank of the config, and the adapter's config says nothing of it:
    what is saved is LoRA like any other. Raises ConfigError where there is too little to look at for the rank.
    """
    narrowest = min(layer.in_features for layer in model.modules() if isinstance(layer, LoraLayer))
    batches = eva_batches(dataset, config)
    if config.rank > narrowest or not batches:
        raise ConfigError(
            f"--init eva finds no {config.rank} directions in layers of {narrowest} inputs and answers of "
            f"{sum(map(_answer_tokens, dataset['labels']))} tokens: lower --rank, or leave --init out, "
            "in another --run"
        )
    read = 0

    def forward(adapted: PeftModel, inputs: dict) -> None:
        nonlocal read
        read += 1
        if read > EVA_BATCHES:
            raise ConfigError(
                f"--init eva found no directions that stay in {EVA_BATCHES} batches: leave it out, in another "
                "--run"
            )
        adapted.get_base_model().model(
            inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False
        )

    # With rho 1 no layer gives its ranks to another: vLLM and others take one rank for all.
    wanted = LoraConfig(r=config.rank, init_lora_weights="eva", eva_config=EvaConfig(rho=1.0))
    collate = DataCollatorForSeq2Seq(tokenizer)
    loader = DataLoader(
        dataset.select_columns(["input_ids", "labels"]),
        batch_sampler=batches,
        collate_fn=lambda rows: dict(collate(rows)),
    )
    found = get_eva_state_dict(model, loader, wanted, forward_fn=forward)
    for name, layer in model.named_modules():
        if isinstance(layer, LoraLayer):
            layer.lora_A["default"].weight.data.copy_(found[name])


def eva_batches(dataset: Dataset, config: FitConfig) -> list[list[int]]:
    """Returns places in `dataset`, at random but always the same, in batches of enough answer tokens; a rest is left out."""
    order = torch.randperm(
        len(dataset), generator=torch.Generator().manual_seed(config.seed)
    ).tolist()
    counts, batches, waiting = list(map(_answer_tokens, dataset["labels"])), [], []
    for place in order:
        waiting.append(place)
        if sum(counts[each] for each in waiting) >= EVA_TOKENS * config.rank:
            batches.append(waiting)
            waiting = []
    return batches


def _answer_tokens(labels: list[int]) -> int:
    return sum(label >= 0 for label in labels)


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
