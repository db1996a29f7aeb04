"""Split a batch into micro-batches of a bounded number of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

# Padded tokens in a forward pass. More gain no speed and cost memory. It is never chosen by the
# memory that is free: another split rounds otherwise, and a resumed run must end with the same
# bytes.
CPU_TOKENS = 1024
GPU_TOKENS = 4096


def micro_batch_tokens(device: torch.device) -> int:
    """Return the padded tokens that a forward pass may have."""
    return CPU_TOKENS if device.type == "cpu" else GPU_TOKENS


def rows_within(length: int, tokens: int) -> int:
    """Count the rows of a micro-batch, at least one."""
    return max(1, tokens // length)


def split_batch(
    inputs: Mapping[str, torch.Tensor], tokens: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield micro-batches of at most `tokens` padded tokens, the longest rows first.

    Each value of `inputs` is (rows, length). One row alone may have more tokens. A batch that is
    small enough is yielded as it is.
    """
    rows, length = inputs["attention_mask"].shape
    if rows * length <= tokens:
        yield dict(inputs)
        return
    lengths = inputs["attention_mask"].sum(1)
    order = torch.argsort(lengths, descending=True, stable=True)
    while len(order):
        count = rows_within(int(lengths[order[0]]), tokens)
        # Rows in the batch's order, so that splitting alone reorders as little as possible.
        chosen, order = order[:count].sort().values, order[count:]
        yield _trim({name: value[chosen] for name, value in inputs.items()})


def _trim(inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Remove the columns that are padding in every row."""
    used = inputs["attention_mask"].any(0)
    if "decoder_input_ids" not in inputs:
        return {name: value[:, used] for name, value in inputs.items()}
    answered = (inputs["labels"] >= 0).any(0).nonzero()[-1] + 1
    encoder = ("input_ids", "attention_mask")
    return {
        name: value[:, used] if name in encoder else value[:, :answered]
        for name, value in inputs.items()
    }
