"""The LoRA adapter: its layers on a frozen base, its first weights, and saving it."""

from __future__ import annotations

import functools
import itertools
import types
from pathlib import Path
from typing import cast

import torch
from datasets import Dataset
from peft import (
    EvaConfig,
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.eva import get_eva_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import linear
from torch.utils.data import DataLoader
from transformers import DataCollatorForSeq2Seq

from space.model import Base, DecoderOnly, PromptTemplate, decode_frozen, family_of
from train.config import ConfigError, FitConfig
from train.fit.memory import enable_checkpointing
from train.fit.snapshots import copy_snapshots
from train.fit.trainer import DivergedError, disk_errors
from train.run import (
    ADAPTER_RECORD,
    AdapterRecord,
    Run,
    read_json,
    to_json,
    write_atomic,
)

# Fields of adapter_config.json that every PEFT since 0.7 knows. An older one stops at a field that
# it does not know, so others are written only where they are not at their default.
PEFT_FIELDS = frozenset(
    "base_model_name_or_path bias fan_in_fan_out inference_mode init_lora_weights lora_alpha "
    "lora_dropout modules_to_save peft_type r rank_pattern alpha_pattern revision target_modules "
    "task_type use_rslora".split()
)
EVA_TOKENS = 16  # answer tokens in a batch for each direction
EVA_BATCHES = 1000  # more will not make the directions converge


def add_lora(model, base: Base, config: FitConfig) -> PeftModel:
    """Freeze a model and add trainable LoRA to its linear layers.

    LoRA weights are fp32.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    decode_frozen(model)
    if config.checkpointing == "on":
        enable_checkpointing(model)
    # PEFT writes this to adapter_config.json, which must hold no path of this machine.
    model.name_or_path = model.config._name_or_path = base.name
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType] # PEFT takes floats
        lora_dropout=config.dropout,
        target_modules="all-linear",
        use_rslora=config.rank_stabilized,
        task_type=family_of(model.config).task,
        revision=None if base.revision.startswith("sha256:") else base.revision,
    )
    adapted = cast(PeftModel, get_peft_model(model, lora))
    # PEFT holds a set, whose order differs between processes: sorted, the saved file does not.
    lora.target_modules = sorted(lora.target_modules or ())
    # Without this, PEFT asks the Hub about the embeddings at every checkpoint.
    save = functools.partial(adapted.save_pretrained, save_embedding_layers=False)
    adapted.save_pretrained = save  # pyright: ignore[reportAttributeAccessIssue] # one argument set
    for layer in _lora_layers(adapted).values():
        cast(nn.Module, layer).forward = types.MethodType(_lean_forward, layer)
    return adapted


def check_init(config: FitConfig, base_config) -> None:
    """Raise ConfigError where a base does not support --init.

    `config` is the base's transformers config.
    """
    if config.init == "eva" and not isinstance(family_of(base_config), DecoderOnly):
        raise ConfigError(
            "--init eva is for decoder-only bases: an encoder reads other tokens than the "
            "answer's; leave it out"
        )


def load_start(model: PeftModel, folder: str) -> None:
    """Set the LoRA weights to those of a like adapter.

    Raises ConfigError where its rank, scale or layers are others.
    """
    adapter, own = Path(folder), cast(LoraConfig, model.peft_config["default"])
    try:
        config = read_json(adapter / "adapter_config.json")
        weights = load_file(adapter / "adapter_model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise ConfigError(f"--start {folder} is no adapter that can be read: {error}") from error
    for name, here in (
        ("r", own.r),
        ("lora_alpha", own.lora_alpha),
        ("use_rslora", own.use_rslora),
    ):
        there = config.get(name, False)
        if there != here:
            raise ConfigError(
                f"--start {folder} has {name} {there}, and this run {here}: train with its own"
            )
    wanted = get_peft_model_state_dict(model, save_embedding_layers=False)
    unlike = [
        name
        for name in {*wanted, *weights}
        if name not in wanted or name not in weights or wanted[name].shape != weights[name].shape
    ]
    if unlike:
        raise ConfigError(
            f"--start {folder} has LoRA on other layers than this base gets, such as "
            f"{min(unlike)}: name an adapter of the same base"
        )
    set_peft_model_state_dict(model, weights)


def init_with_eva(model: PeftModel, dataset: Dataset, tokenizer, config: FitConfig) -> None:
    """Set each lora_A to its inputs' principal directions.

    At answer tokens; EVA, Paischer et al. 2024. Every layer keeps the config's rank, and
    adapter_config.json does not mention EVA: the adapter is saved as any LoRA. Raises ConfigError
    where `dataset` has too few answer tokens for the rank.
    """
    layers = _lora_layers(model)
    narrowest = min(cast(int, layer.in_features) for layer in layers.values())
    batches = eva_batches(dataset, config)
    if config.rank > narrowest or not batches:
        tokens = sum(map(_answer_tokens, dataset["labels"]))
        raise ConfigError(
            f"--init eva finds no {config.rank} directions in layers of {narrowest} inputs and "
            f"answers of {tokens} tokens: lower --rank, or leave --init out, in another --run"
        )
    count = itertools.count(1)

    def forward(adapted: PeftModel, inputs: dict) -> None:
        if next(count) > EVA_BATCHES:
            raise ConfigError(
                f"--init eva found no directions that stay in {EVA_BATCHES} batches: "
                "leave it out, in another --run"
            )
        decoder = cast(nn.Module, adapted.get_base_model().model)
        decoder(inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)

    # With rho 1 all layers have the same rank, as vLLM and others require.
    eva = LoraConfig(r=config.rank, init_lora_weights="eva", eva_config=EvaConfig(rho=1.0))
    collate = DataCollatorForSeq2Seq(tokenizer)
    loader = DataLoader(
        cast(torch.utils.data.Dataset, dataset.select_columns(["input_ids", "labels"])),
        batch_sampler=batches,
        collate_fn=lambda rows: dict(collate(rows)),
    )
    directions = get_eva_state_dict(model, loader, eva, forward_fn=forward)
    for name, layer in layers.items():
        cast(nn.Linear, layer.lora_A["default"]).weight.data.copy_(directions[name])


def eva_batches(dataset: Dataset, config: FitConfig) -> list[list[int]]:
    """Shuffle rows into batches of enough answer tokens for EVA.

    A batch is row indices; the rows left over at the end are in none.
    """
    generator = torch.Generator().manual_seed(config.seed)
    counts = [_answer_tokens(labels) for labels in dataset["labels"]]
    batches, batch, tokens = [], [], 0
    for index in torch.randperm(len(dataset), generator=generator).tolist():
        batch.append(index)
        tokens += counts[index]
        if tokens >= EVA_TOKENS * config.rank:
            batches.append(batch)
            batch, tokens = [], 0
    return batches


def _answer_tokens(labels: list[int]) -> int:
    return sum(label >= 0 for label in labels)


def _lora_layers(model: nn.Module) -> dict[str, LoraLayer]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def _lean_forward(layer: LoraLayer, x: torch.Tensor) -> torch.Tensor:
    """Apply the layer like PEFT's forward, in the base's bf16.

    Maps (rows, tokens, in) to (rows, tokens, out). PEFT widens the input to fp32, clones the output
    and scales in another pass; here one fused multiply-add does all. The LoRA weights, their
    gradients and the optimizer's steps stay fp32 (QLoRA, Dettmers et al. 2023, section 3).
    """
    out = layer.base_layer(x)
    name = layer.active_adapters[0]
    a, b = cast(nn.Linear, layer.lora_A[name]), cast(nn.Linear, layer.lora_B[name])
    low = linear(layer.lora_dropout[name](x), a.weight.to(x.dtype)).flatten(0, -2)
    up = b.weight.to(x.dtype).T
    return torch.addmm(out.flatten(0, -2), low, up, alpha=layer.scaling[name]).view_as(out)


def save_adapter(
    run: Run, model: PeftModel, tokenizer, prompt_template: PromptTemplate, record: AdapterRecord
) -> None:
    """Write run/adapter atomically: bf16 weights, tokenizer, chat template, prompt.json, run.json.

    Raises DivergedError where a weight is NaN or infinite, RunError or OSError on a full disk.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not all(parameter.isfinite().all() for parameter in trained):
        raise DivergedError(
            f"some weights after step {record['steps']} are NaN or infinite, and no adapter was "
            "written: train with a lower --learning-rate, in another --run"
        )
    for parameter in trained:
        # Half the download. Evaluation scores these weights.
        parameter.data = parameter.data.to(torch.bfloat16)
    for how_it_was_loaded in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(how_it_was_loaded, None)
    with run.unfinished("adapter") as folder:
        with disk_errors(folder.name):
            model.save_pretrained(str(folder))
            tokenizer.save_pretrained(folder)
            if run.snapshots.is_dir():
                copy_snapshots(run, folder)
        _write_for_older_versions(folder)
        prompt_template.save(folder / "prompt.json")
        (folder / ADAPTER_RECORD).write_text(to_json(record), encoding="utf-8")
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's card; evaluate writes ours


def _write_for_older_versions(folder: Path) -> None:
    """Let transformers 4 and older PEFT read what the newer ones saved."""
    path = folder / "tokenizer_config.json"
    settings = read_json(path)
    if settings.get("tokenizer_class") == "TokenizersBackend":
        # The same class under the name that both versions know.
        write_atomic(path, to_json(settings | {"tokenizer_class": "PreTrainedTokenizerFast"}))
    path = folder / "adapter_config.json"
    default = LoraConfig().to_dict()
    config = {
        name: value
        for name, value in read_json(path).items()
        if name in PEFT_FIELDS or (name != "peft_version" and value != default.get(name))
    }
    write_atomic(path, to_json(config))
