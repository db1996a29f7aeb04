"""What fine-tuning changed in an answer: how likely each of its tokens is to either model, from one pass over both."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import torch

from space.model.decode import roomy_cache
from space.model.pair import Pair

CHOICES = 5  # alternatives of a token
# Of the answer, whose logits are in memory at once: at a vocabulary of 128,000, both rows in bf16 and one widened to fp32,
# about 0.2 GB. A longer answer is read in as many passes, each going on from the one before.
POSITIONS = 128
UNFINISHED = "\ufffd"  # what a decoder writes for the bytes of half a character


def explain_answer(
    pair: Pair, prompt: Sequence[int], answer: Sequence[int], choices: int = CHOICES
) -> list[dict]:
    """Returns a record for each token of an answer: token, base_logprob, tuned_logprob and alternatives.

    `prompt` and `answer` are token ids that pair.window holds, the answer without its end. A logprob is the
    natural logarithm of the probability (0 to 1) that a model gives the token after the prompt and the answer before it,
    at temperature 1: tuned_logprob - base_logprob is by how many nats fine-tuning raised it. `alternatives` are the base's
    `choices` likeliest tokens at that place, best first, as {token, logprob}; an empty token there ends the answer.

    The tokens, joined, are the answer's text without blanks before it. A character that takes several tokens is one
    record, whose logprobs are their sums and whose alternatives those of the first.
    """
    logprobs, likely, ids = _score(pair, prompt, answer, choices)
    words = {token: _spelled(pair, token) for token in set(ids.flatten().tolist())}
    records: list[dict] = []
    place = 0
    for count, text in _pieces(pair.tokenizer, answer):
        start, place = place, place + count
        first = not records
        text = text.lstrip() if first else text
        if first and not text:
            continue  # a blank that the chat template puts before the answer
        spelled = [words[token] for token in ids[start].tolist()]
        base, tuned = (round(value, 6) for value in logprobs[:, start:place].sum(dim=1).tolist())
        records.append(
            {
                "token": text,
                "base_logprob": base,
                "tuned_logprob": tuned,
                "alternatives": [
                    {
                        "token": (word.lstrip() or word) if first else word,
                        "logprob": round(value, 6),
                    }
                    for word, value in zip(spelled, likely[start].tolist(), strict=True)
                ],
            }
        )
    return records


@torch.inference_mode()
def _score(
    pair: Pair, prompt: Sequence[int], answer: Sequence[int], choices: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns the answer's logprobs, (2, tokens), the base's first; and of the base's likeliest tokens, best first, the
    logprobs and the ids, both (tokens, choices). In nats, fp32, on the CPU."""
    ids = torch.tensor(answer, device=pair.device)
    reading = pair.family.reading(pair.model, [prompt, prompt], roomy_cache(pair.model.config))
    chosen, likely, read, stop = [], [], 0, 0
    with pair.lock:
        pair.rows.base = 1
        for asked in ids.split(POSITIONS):
            # The last token is not read: what follows it is not asked.
            stop += len(asked)
            logits = reading.read(ids[read : stop - 1].expand(2, -1), len(asked))
            base, tuned = (row.float().log_softmax(-1) for row in logits)
            chosen.append(
                torch.stack([row.gather(1, asked[:, None])[:, 0] for row in (base, tuned)]).cpu()
            )
            likely.append(tuple(part.cpu() for part in base.topk(choices)))
            read = stop - 1
    return torch.cat(chosen, dim=1), *(torch.cat(parts) for parts in zip(*likely, strict=True))


def _pieces(tokenizer, ids: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Yields (count, text): the shortest runs of tokens that end where a character does."""
    run: list[int] = []
    for token in ids:
        run.append(token)
        text = _after_a_letter(tokenizer, run, skip_special_tokens=True)
        if not text.endswith(UNFINISHED):
            yield len(run), text
            run = []
    if run:
        yield len(run), text


def _spelled(pair: Pair, token: int) -> str:
    return (
        ""
        if token in pair.stop_ids
        else _after_a_letter(pair.tokenizer, [token], skip_special_tokens=False)
    )


def _after_a_letter(tokenizer, ids: Sequence[int], skip_special_tokens: bool) -> str:
    """Returns the text of ids in the middle of a text; at its beginning, some tokenizers leave out a blank."""
    letter, length = _letter(tokenizer)
    text = tokenizer.decode(
        [*letter, *ids], skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False
    )
    return text[length:]


@functools.lru_cache(maxsize=8)
def _letter(tokenizer) -> tuple[list[int], int]:
    """Returns the ids of a letter, and how long their text is."""
    ids = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
    return ids, len(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
