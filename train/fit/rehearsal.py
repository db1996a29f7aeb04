"""Rehearsal: the base's own answers to general questions are trained beside the shop's.

An adapter that sees the shop alone forgets what its base could do. The base's answers to other
questions, taken before training, hold it: Learning without Forgetting (Li and Hoiem 2016), with
sampled text in the place of soft targets.
"""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from space.catalogue import sentence_spans
from space.model import PromptTemplate, fit_prompt
from train.examples import general_questions
from train.generate import generate, pad_left
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
        answers += zip(part, _answer(model, tokenizer, part), strict=True)
        bar.update(len(part))
    bar.close()
    answers = [(question, answer) for question, answer in answers if answer]
    write_atomic(path, to_json({"asked": asked, "answers": answers}))
    return answers


def _answer(model, tokenizer, questions: Sequence[str]) -> list[str]:
    template, prompts = PromptTemplate(), []
    for question in questions:
        room = tokenizer.model_max_length
        prompts.append(fit_prompt(tokenizer, template, "describe", question, room=room).ids)
    encoded = pad_left(tokenizer, prompts)
    made = generate(model, tokenizer, encoded, max_new_tokens=ANSWER_TOKENS, num_beams=1)
    return [each.text.strip() if each.ended else _whole_sentences(each.text) for each in made]


def _whole_sentences(text: str) -> str:
    """Leave out the last sentence of a text, which was cut."""
    spans = sentence_spans(text)
    return text[: spans[-2][1]].strip() if len(spans) > 1 else ""
