"""Rehearsal: the base's own answers to general questions are trained beside the shop's.

An adapter that sees the shop alone forgets what its base could do. The base's answers to other
questions, taken before training, hold it: Learning without Forgetting (Li and Hoiem 2016), with
sampled text in the place of soft targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tqdm import tqdm

from space.model import PromptTemplate, fit_prompt
from train.examples import general_questions
from train.run import Run, read_json, sha256_json, to_json, write_atomic

ANSWER_TOKENS = 48
ROWS = 32  # questions answered at a time


def answer_as_base(run: Run, model, tokenizer, count: int, seed: int) -> list[tuple[str, str]]:
    """Answer up to `count` general questions with the base, greedily.

    Returns (question, answer) pairs. They are kept in the run, so that training resumes with the
    same ones. An answer that is neither at its end nor at the end of a sentence within
    ANSWER_TOKENS tokens is cut at its last sentence, or its question is left out.
    """
    questions = general_questions(seed)[:count]
    if not questions:
        return []
    asked = sha256_json({"questions": questions, "tokens": ANSWER_TOKENS})
    path = run.rehearsal
    if path.exists():
        kept = read_json(path)
        if kept["asked"] == asked:
            return [(question, answer) for question, answer in kept["answers"]]
    answers: list[tuple[str, str]] = []
    bar = tqdm(total=len(questions), desc="rehearse", unit="question", leave=False)
    for start in range(0, len(questions), ROWS):
        part = questions[start : start + ROWS]
        answers += zip(part, _generate(model, tokenizer, part), strict=True)
        bar.update(len(part))
    bar.close()
    answers = [(question, answer) for question, answer in answers if answer]
    write_atomic(path, to_json({"asked": asked, "answers": answers}))
    return answers


@torch.inference_mode()
def _generate(model, tokenizer, questions: Sequence[str]) -> list[str]:
    template = PromptTemplate()
    prompts = [
        fit_prompt(tokenizer, template, "describe", question, room=tokenizer.model_max_length).ids
        for question in questions
    ]
    pad = tokenizer.pad_token_id
    pad = tokenizer.eos_token_id if pad is None else pad
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(each)) + list(each) for each in prompts])
    mask = torch.tensor([[0] * (width - len(each)) + [1] * len(each) for each in prompts])
    options: dict[str, Any] = {"do_sample": False, "pad_token_id": pad}
    made = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=ANSWER_TOKENS,
        **options,
    )
    start = 0 if model.config.is_encoder_decoder else width
    texts = tokenizer.batch_decode(made[:, start:], skip_special_tokens=True)
    stops = model.generation_config.eos_token_id
    stops = {stops} if isinstance(stops, int) else set(stops or ())
    answers = []
    for text, row in zip(texts, made[:, start:].tolist(), strict=True):
        ended = any(token in stops for token in row)
        answers.append(text.strip() if ended else _whole_sentences(text))
    return answers


def _whole_sentences(text: str) -> str:
    """Cut a text behind its last full stop.

    "" where it has none.
    """
    end = max(text.rfind(mark) for mark in (". ", ".\n", "! ", "? "))
    return text[: end + 1].strip() if end > 0 else ""
