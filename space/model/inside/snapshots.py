"""Snapshots of an adapter from its training: find those that fit it, and answer with each."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from space.errors import ModelError
from space.model.adapter import FLOATS, RECORD, SNAPSHOTS, WEIGHTS, plain_name
from space.model.decode import complete
from space.model.files import read_header, read_object
from space.model.inside.adapter_change import answer_as_both
from space.model.layers import OtherLora, adapted_layers
from space.model.pair import Pair

NAME = re.compile(r"step-([1-9]\d{0,8})\.safetensors")
MOST_STEPS = 10**9
SNAPSHOTS_READ = 4  # at most, the earliest ones; `fit` keeps two
HEADER_ROOM = 4096  # bytes by which a snapshot may be larger than its adapter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshots:
    """The snapshots that fit an adapter, by their steps.

    `total` is how many steps the adapter took, `left_out` how many files do not fit it.
    """

    total: int
    files: Mapping[int, Path]
    left_out: int = 0


def find_snapshots(pair: Pair) -> Snapshots:
    """Find the snapshots beside an adapter, and check each.

    Those that do not fit it are left out, in one line of the log each.
    """
    if pair.folder is None or not (pair.folder / RECORD).is_file():
        return Snapshots(0, {})
    total = read_object(f"adapter {pair.adapter}", pair.folder / RECORD).get("steps")
    if type(total) is not int or not 0 < total < MOST_STEPS:
        return Snapshots(0, {})
    named = {}
    for path in pair.folder.glob(SNAPSHOTS):
        found = NAME.fullmatch(path.name)
        if found:
            named[int(found[1])] = path
    files = {}
    for step, path in sorted(named.items())[:SNAPSHOTS_READ]:
        try:
            if step >= total:
                raise ModelError(
                    f"snapshot of adapter {pair.adapter}: {path.name} is of another training than "
                    f"its {total} steps: remove it"
                )
            read_snapshot(pair, path)
        except ModelError as error:
            log.warning("left out: %s", error)
        else:
            files[step] = path
    return Snapshots(total, files, len(named) - len(files))


def read_snapshot(pair: Pair, path: Path) -> OtherLora:
    """Read a snapshot's A and B of each adapted layer.

    Raises ModelError unless they have the names and shapes of the adapter's own, and are finite.
    """
    assert pair.folder is not None
    what = f"snapshot of adapter {pair.adapter}"
    tensors, own = read_header(what, path), read_header(what, pair.folder / WEIGHTS)
    for name in sorted({*tensors, *own}):
        unlike = name not in own or name not in tensors or tensors[name].shape != own[name].shape
        if unlike or tensors[name].dtype not in FLOATS:
            raise ModelError(
                f"{what}: {path.name} does not fit it at {name}: it is of another adapter; "
                "remove it"
            )
    size, most = path.stat().st_size, (pair.folder / WEIGHTS).stat().st_size + HEADER_ROOM
    if size > most:
        raise ModelError(f"{what}: {path.name} has {size:,} bytes, of at most {most:,}: remove it")
    try:
        content = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{what}: {path.name} cannot be read ({error}): remove it") from error
    weights = {}
    for name, tensor in content.items():
        if not tensor.isfinite().all():
            raise ModelError(f"{what}: {path.name} has NaN or infinite values: remove it")
        weights[plain_name(name)] = tensor
    found = {}
    for layer in adapted_layers(pair.model):
        down, up = (weights[plain_name(f"{layer.name}.lora_{side}.weight")] for side in "AB")
        found[layer.name] = (down, up)
    return found


def answer_along_training(
    pair: Pair, snapshots: Snapshots, prompt: Sequence[int], max_new_tokens: int
) -> dict[int, list[int]]:
    """Generate greedy answers along a training, by step.

    They are token ids. Step 0 is the base, and the last one the adapter. Both come from the batch
    that the page's answers come from.
    """
    base, tuned = answer_as_both(pair, prompt, max_new_tokens)
    answers = {0: base}
    for step, path in snapshots.files.items():
        lora = read_snapshot(pair, path)
        (answers[step],) = complete(pair, [prompt], max_new_tokens, tuned=True, lora=lora)
    answers[snapshots.total] = tuned
    return answers
