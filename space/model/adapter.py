"""Find an adapter, check it, and attach it to its base.

Nothing in it is trusted. An adapter is served, scored and merged only if it is LoRA on linear
layers that its base has, each tensor present, finite and of the right shape, and not all zero. PEFT
itself loads a file whose tensors fit nothing with a warning, and some kinds change the base's own
weights.

Other tools' names for the same tensor are harmless and are mapped to PEFT's:

- without `base_model.model.` at the front
- with an adapter's name, `lora_A.default.weight`
- with what torch.compile, FSDP, checkpointing and data parallel put in: `_orig_mod.`,
  `_fsdp_wrapped_module.`, `_checkpoint_wrapped_module.`, `module.`
- `model.language_model.` or `language_model.model.` for `model.`, as in a text model that was cut
  out of one with images; without `model.` too
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub import HfApi, snapshot_download
from peft import (
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedModel

from space.errors import ModelError, translate_load_errors
from space.model.base import Base, digest_files
from space.model.family import family_of
from space.model.files import TensorInfo, check_regular, read_header, read_object, show
from space.model.prompt_template import PromptTemplate

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
RECORD, TEMPLATE = "run.json", "prompt.json"
ANY_REVISION = "any"  # of an adapter that names a base without a commit
TOKENIZER_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "special_tokens_map.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
    "vocab.txt",
)
EVIDENCE_FILES = ("README.md", "metrics.json", "samples.jsonl", "history.jsonl")
# All that is read of an adapter, and so, with its snapshots, all that is downloaded.
FILES = (CONFIG, WEIGHTS, RECORD, TEMPLATE, *TOKENIZER_FILES, *EVIDENCE_FILES)
SNAPSHOTS = "snapshots/step-*.safetensors"  # read where they are asked for

# Fields of LoraConfig that say which layers get LoRA and how it is scaled, and their types.
FOLLOWED: Mapping[str, tuple[type, ...]] = {
    "r": (int,),
    "lora_alpha": (int, float),
    "target_modules": (str, list),
    "exclude_modules": (str, list),
    "layers_to_transform": (int, list),
    "layers_pattern": (str, list),
    "rank_pattern": (dict,),
    "alpha_pattern": (dict,),
    "use_rslora": (bool,),
    "fan_in_fan_out": (bool,),
}
# Fields that change nothing once an adapter is trained, or are read elsewhere.
IGNORED = {
    "peft_type",
    "task_type",
    "peft_version",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "lora_dropout",
    "runtime_config",
    "eva_config",
    "megatron_core",
    "qalora_group_size",
    "init_lora_weights",
}
# First weights that leave the base as it is. The others (pissa, olora, corda, loftq, lora_ga) put
# a part of the base's weights into the adapter.
HARMLESS_INITS = (None, True, False, "gaussian", "eva", "orthogonal", "mica")
FLOATS = ("F64", "F32", "F16", "BF16")
PLAIN_PATTERN = re.compile(r"[\w.^$-]*")
PATTERN_SECONDS = 5  # for all patterns of an adapter on all layers of its base
# The ways in which PEFT uses a pattern. A hostile one runs for hours, and only a process can be
# stopped.
TRY_PATTERNS = r"""
import json, re, sys
patterns, names = json.load(sys.stdin)
for pattern in patterns:
    for form in (pattern, rf"(.*\.)?({pattern})$", rf".*\.{pattern}\.(\d+)\."):
        compiled = re.compile(form)
        for name in names:
            compiled.fullmatch(name)
            compiled.match(name)
"""
WRAPPERS = re.compile(
    r"(?:(?<=\.)|^)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|module)\."
)
ADAPTER_NAME = re.compile(r"(\.lora_[AB])\.[^.]+\.weight$")
FRONT = re.compile(
    r"^(?:base_model\.model\.)?(?:model\.language_model\.|language_model\.model\.|model\.)?"
)
FOUR_BITS = re.compile(r"(-unsloth)?-bnb-4bit$")
SAMPLED = 256  # values of each of the base's weights are compared


@dataclass(frozen=True)
class Adapter:
    """An adapter whose files were checked as far as they can be without its base."""

    name: str  # as a person named it
    folder: Path
    revision: str  # a commit, or a digest of a folder's files
    config: LoraConfig
    tensors: Mapping[str, TensorInfo]  # by their names in the file
    made_for: Base

    @property
    def has_record(self) -> bool:
        return (self.folder / RECORD).is_file()

    @property
    def has_tokenizer(self) -> bool:
        return (self.folder / "tokenizer_config.json").is_file()

    def prompt_template(self) -> PromptTemplate:
        """Read prompt.json, or the default without one.

        Raises PromptTemplateError.
        """
        path = self.folder / TEMPLATE
        return PromptTemplate.load(path) if path.is_file() else PromptTemplate()

    def check_base(self, base: Base) -> None:
        """Raise ModelError if the adapter names another base."""
        if base.revision.startswith("sha256:"):
            # A folder's name says nothing, so an adapter without a record is taken at its word.
            same = not self.has_record or self.made_for.revision == base.revision
            if not self.has_record and base.is_gguf:
                same = self.made_for.name == base.name
        elif self.has_record:
            same = self.made_for == base
        else:
            # Unsloth names the 4-bit copy that it trained on; the same base unquantized serves too.
            same = FOUR_BITS.sub("", self.made_for.name) == FOUR_BITS.sub("", base.name)
        if not same:
            raise ModelError(
                f"adapter {self.name} was made for the base {self.made_for}, not for {base}: "
                "set BASE_MODEL and BASE_REVISION to its own"
            )

    def attach(self, model: PreTrainedModel, compare: bool = True) -> PeftModel:
        """Add the adapter to its base.

        The base's own weights stay as they are; `compare` proves it on some values of each.
        Raises ModelError.
        """
        before = _sample_weights(model) if compare else {}
        task = family_of(model.config).task
        if self.config.task_type not in (None, task):
            raise ModelError(
                f"adapter {self.name}: its task_type is {self.config.task_type}, its base "
                f"does {task}: use an adapter that was trained to answer"
            )
        names = [name for name, _ in model.named_modules()]
        self._check_patterns(names)
        with translate_load_errors("adapter", self.name):
            adapted = cast(PeftModel, get_peft_model(model, self.config))
        wanted = get_peft_model_state_dict(adapted, save_embedding_layers=False)
        shapes = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
        names_in_file = self._match(shapes, model)
        # Read on the CPU and copied to the model: reading a file straight to a GPU would start
        # CUDA, which this process must not do on ZeroGPU.
        content = load_file(self.folder / WEIGHTS, device="cpu")
        state = {name: content[own] for name, own in names_in_file.items()}
        self._check_values(state)
        with translate_load_errors("adapter", self.name):
            set_peft_model_state_dict(adapted, state)
        if compare and not _same_weights(before, _sample_weights(adapted.get_base_model())):
            raise ModelError(f"adapter {self.name} {NOT_THE_BASE}")
        return cast(PeftModel, adapted.eval())

    def _check_patterns(self, names: list[str]) -> None:
        """Raise ModelError for a pattern that is broken or takes too long."""
        config = self.config
        given: list[Any] = [config.exclude_modules, config.layers_pattern, config.target_modules]
        given += [config.rank_pattern, config.alpha_pattern]
        patterns: list[str] = []
        for value in given:
            patterns += [value] if isinstance(value, str) else list(value or ())
        patterns = [pattern for pattern in patterns if not PLAIN_PATTERN.fullmatch(pattern)]
        if not patterns:
            return
        problem = "is no regular expression"
        try:
            command = [sys.executable, "-I", "-c", TRY_PATTERNS]
            text = json.dumps([patterns, names])
            done = subprocess.run(
                command, input=text, text=True, capture_output=True, timeout=PATTERN_SECONDS
            )
            if done.returncode == 0:
                return
        except subprocess.TimeoutExpired:
            problem = f"takes over {PATTERN_SECONDS} s to match the base's layers"
        raise ModelError(
            f"adapter {self.name}: a pattern in {CONFIG} {problem} ({show(patterns[0])}): "
            "list the layers' names in target_modules instead"
        )

    def _match(self, shapes: Mapping[str, tuple[int, ...]], model: nn.Module) -> dict[str, str]:
        """Find each of PEFT's tensors in the file: {PEFT's name: the file's}."""
        found: dict[str, str] = {}
        for name in self.tensors:
            other = found.setdefault(plain_name(name), name)
            if other != name:
                raise ModelError(
                    f"adapter {self.name}: {other} and {name} are the same weight: save it again "
                    "with PEFT's save_pretrained"
                )
        wanted = {plain_name(name): name for name in shapes}
        left_over = [name for plain, name in found.items() if plain not in wanted]
        if left_over:
            raise ModelError(self._explain_left_over(left_over, model))
        missing = [name for plain, name in wanted.items() if plain not in found]
        if missing:
            raise ModelError(
                f"adapter {self.name} lacks {len(missing)} of {len(shapes)} weights that its "
                f"{CONFIG} asks for, first {missing[0]}: the file is incomplete, or "
                "target_modules is not what was trained; save it again with PEFT"
            )
        for plain, name in wanted.items():
            actual = self.tensors[found[plain]]
            if actual.shape != shapes[name]:
                raise ModelError(
                    f"adapter {self.name}: {found[plain]} is {_times(actual.shape)}, its base "
                    f"and {CONFIG} need {_times(shapes[name])}: it was made for another base, or r "
                    "was changed"
                )
            if actual.dtype not in FLOATS:
                raise ModelError(
                    f"adapter {self.name}: {found[plain]} holds {actual.dtype}, of "
                    f"{', '.join(FLOATS)}: save the weights in bf16 or fp32"
                )
        return {name: found[plain] for plain, name in wanted.items()}

    def _explain_left_over(self, names: list[str], model: nn.Module) -> str:
        first = names[0]
        parameters = {
            plain_name(name).replace(".base_layer", ""): tuple(parameter.shape)
            for name, parameter in model.named_parameters()
        }
        for name in names:
            own = parameters.get(plain_name(name))
            if own is not None and own != self.tensors[name].shape:
                return (
                    f"adapter {self.name} brings {name} of {_times(self.tensors[name].shape)}, "
                    f"its base has {_times(own)}: it changed the vocabulary, so the base "
                    "cannot answer beside it; merge it into a base of its own"
                )
            if own is not None:
                return f"adapter {self.name} brings the base's own {name}: it {NOT_THE_BASE}"
        return (
            f"adapter {self.name}: {len(names)} of its {len(self.tensors)} weights fit no LoRA "
            f"layer of its base, first {first}: it is for another base, or another library "
            "renamed them; save it again with PEFT's save_pretrained"
        )

    def _check_values(self, state: Mapping[str, torch.Tensor]) -> None:
        effect = False
        for name, tensor in state.items():
            if not tensor.isfinite().all():
                raise ModelError(
                    f"adapter {self.name}: {name} has NaN or infinite values: its training "
                    "diverged; train it again with a lower learning rate"
                )
            if ".lora_B" in name:
                down = state.get(name.replace(".lora_B", ".lora_A"))
                effect |= bool(tensor.any()) and (down is None or bool(down.any()))
        scales = [self.config.lora_alpha, *(self.config.alpha_pattern or {}).values()]
        if not effect or not any(scales):
            zero = "lora_alpha is 0" if effect else "every lora_A or lora_B is all zero"
            raise ModelError(
                f"adapter {self.name} changes nothing ({zero}): tuned would be the base; "
                "train it, or name the checkpoint that was trained"
            )


NOT_THE_BASE = (
    "changes more than LoRA on linear layers does, so the base column would not be the untouched "
    "base: merge it into a base of its own, or train plain LoRA"
)


def find_adapter(adapter: str, revision: str | None = None) -> Adapter:
    """Find an adapter, here or on the Hub, and check its files.

    Raises ModelError.
    """
    what = f"adapter {adapter}"
    folder = Path(adapter)
    local = folder.is_dir()
    if not local:
        if folder.is_absolute() or adapter.startswith("."):
            raise ModelError(f"{what} is not a folder: give a folder or a Hub id such as user/name")
        with translate_load_errors("adapter", adapter):
            patterns = [*FILES, SNAPSHOTS]
            folder = Path(snapshot_download(adapter, revision=revision, allow_patterns=patterns))
    check_regular(what, folder, FILES)
    files = [folder / CONFIG, folder / WEIGHTS]
    if not all(path.is_file() for path in files):
        raise ModelError(f"{what} {_explain_missing(adapter, folder, local, revision)}")
    config = read_object(what, files[0])
    tensors = read_header(what, files[1])
    return Adapter(
        adapter,
        folder,
        digest_files(files) if local else folder.name,
        lora_config(what, config, tensors),
        tensors,
        _made_for(what, folder, config),
    )


def read_adapter_base(adapter: str, folder: Path) -> Base:
    """Check an adapter's config and read its base, without its weights.

    Raises ModelError.
    """
    what = f"adapter {adapter}"
    config = read_object(what, folder / CONFIG)
    lora_config(what, config)
    return _made_for(what, folder, config)


def _made_for(what: str, folder: Path, config: Mapping[str, Any]) -> Base:
    """Read an adapter's base from run.json, or else from its config."""
    path = folder / RECORD
    if not path.is_file():
        name, revision = config.get("base_model_name_or_path"), config.get("revision")
        return Base(_line(name, "an unnamed base"), _line(revision, ANY_REVISION))
    base = read_object(what, path).get("base")
    name = base.get("name") if isinstance(base, dict) else None
    revision = base.get("revision") if isinstance(base, dict) else None
    if not isinstance(name, str) or not isinstance(revision, str) or not name or not revision:
        raise ModelError(
            f"{what}: base in {RECORD} is {show(base)}, not an object with the strings name and "
            f"revision: train or publish it again, or remove {RECORD}"
        )
    return Base(_line(name, ""), _line(revision, ""))


def lora_config(
    what: str, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo] | None = None
) -> LoraConfig:
    """Make a LoraConfig of what an adapter's config says, or raise ModelError.

    Only fields that lay LoRA on linear layers are followed. `tensors` bound the ranks, and so the
    memory.
    """
    kind = config.get("peft_type")
    if kind != "LORA":
        raise ModelError(
            f"{what}: its peft_type is {show(kind)}, only 'LORA' is served: "
            "its base column would not be the untouched base; train LoRA"
        )
    init = config.get("init_lora_weights")
    if init not in HARMLESS_INITS:
        raise ModelError(
            f"{what}: init_lora_weights is {show(init)}, which changes the base's own weights, so "
            "the base column would not be the base: convert it to plain LoRA "
            "(save_pretrained with path_initial_model_for_weight_conversion)"
        )
    for name, value in config.items():
        if name in FOLLOWED or name in IGNORED or value in (None, False, "none", "false"):
            continue
        if value not in ({}, []):
            raise ModelError(f"{what}: {show(name)[1:-1]} is {show(value)}, so it {NOT_THE_BASE}")
    given = {}
    for name, types in FOLLOWED.items():
        value = config.get(name)
        if value is not None:
            _check_field(what, name, value, types)
            given[name] = value
    ranks = [given.get("r", LoraConfig.r), *given.get("rank_pattern", {}).values()]
    shapes = [info.shape for name, info in (tensors or {}).items() if ".lora_A" in name]
    largest = max((shape[0] for shape in shapes if shape), default=max(ranks))
    if max(ranks) > largest or min(ranks) < 1:
        wrong = max(ranks) if max(ranks) > largest else min(ranks)
        raise ModelError(
            f"{what}: {CONFIG} asks for rank {show(wrong)}, its weights have at most {largest}: "
            "the two files are not of one adapter"
        )
    task = config.get("task_type")
    return LoraConfig(
        **given, task_type=None if task is None else _line(task, ""), inference_mode=True
    )


def _check_field(what: str, name: str, value: object, types: tuple[type, ...]) -> None:
    right = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if right and isinstance(value, list):
        item = int if name == "layers_to_transform" else str
        right = all(type(each) is item for each in value)
    elif right and isinstance(value, dict):
        right = all(type(each) in FOLLOWED[PATTERNS[name]] for each in value.values())
    elif isinstance(value, float):
        right &= math.isfinite(value)
    if not right:
        raise ModelError(f"{what}: {name} in {CONFIG} is {show(value)}: save it again with PEFT")


PATTERNS = {"rank_pattern": "r", "alpha_pattern": "lora_alpha"}  # values are of the field's type


def _explain_missing(adapter: str, folder: Path, local: bool, revision: str | None) -> str:
    if local:
        names = [path.name for path in folder.glob("adapter_model.*")]
        names += [f"{path.parent.name}/{CONFIG}" for path in folder.glob(f"*/{CONFIG}")]
    else:
        with translate_load_errors("adapter", adapter):
            names = HfApi().list_repo_files(adapter, revision=revision)
    if "adapter_model.bin" in names:
        return (
            "has its weights as adapter_model.bin, pickled Python, which could run code and is "
            f"never read: save it as {WEIGHTS}, which is what PEFT's save_pretrained writes"
        )
    inside = sorted(name for name in names if name.endswith(f"/{CONFIG}"))
    if inside:
        subfolder = inside[-1].removesuffix(f"/{CONFIG}")
        how = "name that folder" if local else f"download {subfolder}/ and name that folder"
        return f"has no {CONFIG} of its own, its subfolder {subfolder} has one: {how}"
    return f"needs {CONFIG} and {WEIGHTS}: is training done?"


def plain_name(name: str) -> str:
    """Return a LoRA tensor's name without what tools put around it."""
    name = WRAPPERS.sub("", name)
    return FRONT.sub("", ADAPTER_NAME.sub(r"\1.weight", name))


def _sample_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copy some values of each weight of the base."""
    samples = {}
    for name, parameter in model.named_parameters():
        if ".lora_" in name:
            continue
        flat = parameter.detach().flatten()
        step = max(1, len(flat) // SAMPLED)
        samples[name.replace(".base_layer", "")] = flat[::step].clone()
    return samples


def _same_weights(before: Mapping[str, torch.Tensor], after: Mapping[str, torch.Tensor]) -> bool:
    return before.keys() == after.keys() and all(
        torch.equal(value, after[name]) for name, value in before.items()
    )


def _line(value: object, default: str) -> str:
    """Return a text as one short line."""
    if value is None or value == "":
        return default
    return re.sub(r"\s+", " ", value)[:200] if isinstance(value, str) else show(value)


def _times(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))
