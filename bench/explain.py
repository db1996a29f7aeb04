"""What fine-tuning changed in an answer of the sample: how long that takes, beside reading it twice
with PEFT's switch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from peft import PeftModel

from bench.figures import Figure, Options, Outcome
from bench.shapes import make_prompts
from space.model.base import load_base
from space.model.explain import explain_answer
from space.model.pair import load_pair
from space.settings import Settings

PROMPT, ANSWER, ROUNDS = 100, 200, 7  # tokens: a question with a short record; /answer's own limit


def measure(options: Options) -> Outcome:
    """Times both in turns, after a first one of each that is not counted; the alternatives' words
    are in the time of ours.
    """
    settings = Settings()
    pair = load_pair(settings.base_model, settings.adapter)
    theirs = PeftModel.from_pretrained(load_base(settings.base_model)[0], settings.adapter).eval()
    length = 20 if options.tiny else ANSWER
    tokens = make_prompts(pair.tokenizer, 1, PROMPT + length)[0]
    prompt, answer = tokens[:PROMPT], tokens[PROMPT:]
    tasks = {
        "ours": lambda: explain_answer(pair, prompt, answer),
        "twice": lambda: twice(theirs, prompt, answer),
    }
    for task in tasks.values():
        task()
    rounds = [
        {name: timed(task) for name, task in tasks.items()}
        for _ in range(2 if options.tiny else ROUNDS)
    ]
    ours = median(one["ours"] for one in rounds)
    return Outcome(
        [
            Figure(f"explaining {length} tokens", ours, "s"),
            Figure(
                "time over two passes with PEFT's switch",
                ours / median(one["twice"] for one in rounds),
                "x",
            ),
        ],
        {"prompt_tokens": PROMPT, "answer_tokens": length, "seconds": rounds},
    )


@torch.inference_mode()
def twice(model, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """Returns both models' logprobs of the answer, (2, tokens), without alternatives."""
    ids = torch.tensor([[*prompt, *answer]])

    def read() -> torch.Tensor:
        rows = (
            model(input_ids=ids, logits_to_keep=len(answer) + 1)
            .logits[0, :-1]
            .float()
            .log_softmax(-1)
        )
        return rows.gather(1, ids[0, len(prompt) :, None])[:, 0]

    tuned = read()
    with model.disable_adapter():
        return torch.stack([read(), tuned])


def timed(task: Callable) -> float:
    """Returns the seconds that a task takes."""
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun
