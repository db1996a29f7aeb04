"""Load one base with one adapter, to answer as both in one batch.

The first rows of a batch are the untouched base's.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from space.errors import ModelError
from space.model.adapter import find_adapter
from space.model.base import Base, load_base, load_tokenizer
from space.model.family import IGNORE_INDEX, DecoderOnly, Family, TokenRow, Window, family_of
from space.model.layers import Rows, pair_up
from space.model.prompt_template import PromptTemplate

PROBE_TOKENS = 8
PROBE_STEP = 7919  # a prime, so that the tokens are spread over the vocabulary
ROUNDING = 0.05  # of the largest logit; joined layers round bf16 otherwise than single ones
SAME_VOCABULARY = 0.9  # a base's embeddings may have some rows more than its tokenizer has tokens


def _contiguous(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    # A prompt's last positions are a strided view, for which torch would copy the vocabulary's
    # weights instead.
    return tuple(hidden.clone(memory_format=torch.contiguous_format) for hidden in inputs)


class FairLock:
    """A lock that is given to whoever has waited longest.

    A thread that takes it again and again, once a step, would keep the others of an ordinary lock
    waiting.
    """

    def __init__(self) -> None:
        self._inner = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._held = False

    def __enter__(self) -> None:
        with self._inner:
            if not self._held:
                self._held = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(self, *_) -> None:
        with self._inner:
            if self._waiting:
                self._waiting.popleft().set()  # it stays held
            else:
                self._held = False

    def locked(self) -> bool:
        return self._held


@dataclass
class Pair:
    """A base and its adapter, ready to answer together.

    `lock` admits one generation at a time.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    prompt_template: PromptTemplate
    base: Base
    adapter: str
    adapter_revision: str
    precision: str
    rows: Rows
    folder: Path | None = None  # the adapter's; None for one that was not loaded
    lock: FairLock = field(default_factory=FairLock)

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
    probe: bool = True,
) -> Pair:
    """Load a base and an adapter from folders or Hub ids.

    An adapter without a prompt.json gets the default prompt template. `probe` compares the base
    rows with the base before; without it no forward pass runs and no weight is read, as it must be
    in a process that has no GPU yet (ZeroGPU). Raises ModelError and PromptTemplateError.
    """
    found = find_adapter(adapter, adapter_revision)
    prompt_template = found.prompt_template()
    model, identity = load_base(base, base_revision, precision)
    found.check_base(identity)
    own = (str(found.folder), None) if found.has_tokenizer else (base, base_revision)
    tokenizer = load_tokenizer(*own, template=family_of(model.config).template)
    _check_tokenizer(adapter if found.has_tokenizer else base, tokenizer, model)
    expected = _logits(model) if probe else None
    model = cast(PreTrainedModel, found.attach(model, compare=probe).base_model.model)
    rows = pair_up(model)
    name = Path(adapter).resolve().parent.name if Path(adapter).is_dir() else adapter
    pair = Pair(
        model.eval(),
        tokenizer,
        prompt_template,
        identity,
        name,
        found.revision,
        precision,
        rows,
        found.folder,
    )
    if expected is not None:
        _check_base_rows(pair, expected)
    return pair


def _check_tokenizer(source: str, tokenizer: PreTrainedTokenizerBase, model) -> None:
    """Raise ModelError for tokens that the base lacks, or another vocabulary."""
    rows = model.get_input_embeddings().num_embeddings
    last = max(tokenizer.get_vocab().values(), default=0)
    if last >= rows or len(tokenizer) < rows * SAME_VOCABULARY:
        what = "tokens that the base lacks" if last >= rows else "another vocabulary than the base"
        raise ModelError(
            f"the tokenizer of {source} has {what}: {len(tokenizer)} tokens with ids up to {last}, "
            f"and the base {rows}: use the base's own tokenizer files, or the base that the "
            "adapter was trained on"
        )


@contextlib.contextmanager
def _weights_as_stored(model: nn.Module) -> Iterator[None]:
    """Keep bitsandbytes from repacking 4-bit weights at a CPU's first forward pass.

    They could not be decoded after it.
    """
    layers = [
        cast(Any, layer)
        for layer in model.modules()
        if getattr(layer, "support_avx512bf16_for_cpu", False)
    ]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    try:
        yield
    finally:
        for layer in layers:
            layer.support_avx512bf16_for_cpu = True


@torch.inference_mode()
def _logits(model) -> torch.Tensor:
    """Compute the logits of one fixed prompt.

    Shape: (tokens, vocabulary), in fp32 on the CPU.
    """
    inputs, _ = _probe_batch(model)
    with _weights_as_stored(model):
        return model(**inputs, use_cache=False).logits[0].float().cpu()


def _probe_batch(model) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    rows = model.get_input_embeddings().num_embeddings
    ids = [(PROBE_STEP * position + 1) % rows for position in range(PROBE_TOKENS)]
    row: TokenRow = {"input_ids": ids, "labels": [IGNORE_INDEX, *ids[1:]]}
    batch = family_of(model.config).batch(model, [row], model.device)
    labels = batch.pop("labels")
    return batch, labels


@torch.inference_mode()
def _check_base_rows(pair: Pair, expected: torch.Tensor) -> None:
    """Raise ModelError where base rows or answer-only logits changed."""
    pair.rows.base = 1
    batch, labels = _probe_batch(pair.model)
    with _weights_as_stored(pair.model):
        short, _ = pair.family.answer_logits(pair.model, labels, **batch)
    # A decoder's last position has no next token; an encoder-decoder's first ones may be forced.
    decoder = isinstance(pair.family, DecoderOnly)
    scored = expected[:-1] if decoder else expected[-len(short) :]
    _check_close(pair, "base column", _logits(pair.model), expected)
    _check_close(pair, "scoring shortcut", short.float().cpu(), scored)


def _check_close(pair: Pair, what: str, logits: torch.Tensor, expected: torch.Tensor) -> None:
    size, off = float(expected.abs().max()), float((logits - expected).abs().max())
    if not off <= size * ROUNDING:  # NaN too
        raise ModelError(
            f"base {pair.base} with adapter {pair.adapter}: the {what} is {off:.3g} off the base's "
            f"own logits (of up to {size:.3g}): this base or adapter is not supported"
        )
