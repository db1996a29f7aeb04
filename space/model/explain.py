"""Explain an answer by how likely each model finds its tokens."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TypedDict

import torch

from space.model.decode import preallocated_cache
from space.model.pair import Pair

CHOICES = 5  # alternatives of a token
# Answer tokens whose logits are in memory at once. At a vocabulary of 128,000, both rows in bf16
# and one in fp32 take about 0.2 GB. A longer answer is read in several passes over one cache.
POSITIONS = 128
UNFINISHED = "\ufffd"  # what a decoder writes for a part of a character


class Alternative(TypedDict):
    """A token that the base finds likely.

    An empty one ends the answer.
    """

    token: str
    logprob: float


class ExplainedToken(TypedDict):
    """One token of an answer with its log probabilities, in nats at temperature 1."""

    token: str
    base_logprob: float
    tuned_logprob: float
    alternatives: list[Alternative]


def explain_answer(
    pair: Pair, prompt: Sequence[int], answer: Sequence[int], choices: int = CHOICES
) -> list[ExplainedToken]:
    """Compute how likely each token of an answer is to either model.

    `prompt` and `answer` are token ids that fit in pair.window, the answer without its end token. A
    logprob is conditional on the prompt and the answer so far, so tuned_logprob - base_logprob says
    by how many nats fine-tuning raised the token. `alternatives` are the base's `choices` likeliest
    tokens at that position, best first.

    The tokens, joined, are the answer's text without leading blanks. A character of several tokens
    is one record, with the sums of their logprobs and the alternatives of the first.
    """
    logprobs, top_logprobs, top_ids = _score(pair, prompt, answer, choices)
    spelling = {token: _spell(pair, token) for token in set(top_ids.flatten().tolist())}
    records: list[ExplainedToken] = []
    end = 0
    for count, text in group_characters(pair.tokenizer, answer):
        start, end = end, end + count
        first = not records
        text = text.lstrip() if first else text
        if first and not text:
            continue  # a blank that the chat template puts before the answer
        alternatives: list[Alternative] = []
        for token, logprob in zip(
            top_ids[start].tolist(), top_logprobs[start].tolist(), strict=True
        ):
            word = spelling[token]
            shown = word.lstrip() or word if first else word
            alternatives.append({"token": shown, "logprob": round(logprob, 6)})
        base, tuned = logprobs[:, start:end].sum(dim=1).tolist()
        records.append(
            {
                "token": text,
                "base_logprob": round(base, 6),
                "tuned_logprob": round(tuned, 6),
                "alternatives": alternatives,
            }
        )
    return records


@torch.inference_mode()
def _score(
    pair: Pair, prompt: Sequence[int], answer: Sequence[int], choices: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Score an answer with both models in one batch.

    Returns its logprobs, (2, tokens), the base first; and the base's likeliest tokens, best first,
    as logprobs and ids, both (tokens, choices). In fp32, on the CPU.
    """
    ids = torch.tensor(answer, device=pair.device)
    cache = preallocated_cache(pair.model.config)
    forward = pair.family.cached_forward(pair.model, [prompt, prompt], cache)
    logprobs, top_logprobs, top_ids, read, stop = [], [], [], 0, 0
    with pair.lock:
        pair.rows.base = 1
        for targets in ids.split(POSITIONS):
            # The last token is a target only: nothing after it is scored.
            stop += len(targets)
            logits = forward.step(ids[read : stop - 1].expand(2, -1), len(targets))
            base, tuned = (row.float().log_softmax(-1) for row in logits)
            both = [row.gather(1, targets[:, None])[:, 0] for row in (base, tuned)]
            logprobs.append(torch.stack(both).cpu())
            top = base.topk(choices)
            top_logprobs.append(top.values.cpu())
            top_ids.append(top.indices.cpu())
            read = stop - 1
    return torch.cat(logprobs, dim=1), torch.cat(top_logprobs), torch.cat(top_ids)


def group_characters(tokenizer, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Group tokens into the shortest runs that end with a character."""
    run: list[int] = []
    text = ""
    for token in ids:
        run.append(token)
        text = _decode_inside(tokenizer, run, skip_special_tokens=True)
        if not text.endswith(UNFINISHED):
            yield len(run), text
            run = []
    if run:
        yield len(run), text


def _spell(pair: Pair, token: int) -> str:
    if token in pair.stop_ids:
        return ""
    return spell_token(pair.tokenizer, token)


def spell_token(tokenizer, token: int) -> str:
    """Decode one token as it stands inside a text, blanks included."""
    return _decode_inside(tokenizer, [token], skip_special_tokens=False)


def _decode_inside(tokenizer, ids: Sequence[int], skip_special_tokens: bool) -> str:
    # At the beginning of a text some tokenizers drop a blank, so the ids follow a letter.
    letter, length = _letter(tokenizer)
    text = tokenizer.decode(
        [*letter, *ids], skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False
    )
    return text[length:]


@functools.lru_cache(maxsize=8)
def _letter(tokenizer) -> tuple[list[int], int]:
    """Encode a letter and measure the text of its ids."""
    ids = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
    return ids, len(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
