"""Measure many visitors in one batch, in process: against one alone, and one after the other."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from statistics import median

import torch

from bench.figures import Figure, Options, Outcome
from bench.startup import need_sample
from bench.visitors import resident
from space.engine import Engine, load_engine
from space.model import Batch, Pair, stream_answers
from space.settings import Settings
from tests.toy import TOY

VISITORS, CROWD, QUESTIONS, TOKENS = 8, 20, 5, 32
ROUNDS = 4
ONE_BY_ONE = 12  # questions of the crowd that are also answered one after the other
FEW, MANY = 200, 2000  # answers, after which the memory is compared
Answer = tuple[list[int], list[int]]


def measure(options: Options) -> Outcome:
    """Time the sample with one, 8 and 20 visitors, and the toy's memory after many answers."""
    toy = Settings(base_model=str(TOY / "base"), adapter=str(TOY / "adapter"))
    toy = replace(toy, catalogue=str(TOY / "catalogue"))
    if not options.tiny:
        need_sample()
    engine = load_engine(toy if options.tiny else Settings())
    rounds = 2 if options.tiny else ROUNDS
    figures: list[Figure] = []
    samples: dict = {}
    for part in (
        time_eight(engine, rounds, "with records"),
        time_eight(engine, rounds, "from memory"),
        time_crowd(engine, 4 if options.tiny else CROWD),
        weigh(toy, 20 if options.tiny else FEW, 60 if options.tiny else MANY),
    ):
        figures += part[0]
        samples |= part[1]
    return Outcome(figures, samples)


def time_eight(engine: Engine, rounds: int, kind: str) -> tuple[list[Figure], dict]:
    """Time one visitor without and with the batch, and 8 visitors in it, in turns."""
    pair, batch = engine.pair, Batch(engine.pair, VISITORS, 2**31)
    prompts = prompts_of(engine, VISITORS, kind == "with records")

    def before(prompt: list[int]) -> Answer:
        return last(stream_answers(pair, prompt, prompt, TOKENS))

    def after(prompt: list[int]) -> Answer:
        return last(batch.stream_answers(prompt, prompt, TOKENS))

    before(prompts[0]), after(prompts[0])
    alone: list[Answer] = []
    seconds: dict[str, list[float]] = {"before": [], "alone": [], "eight": []}
    for prompt in itertools.islice(itertools.cycle(prompts), rounds):
        seconds["before"].append(timed(lambda prompt=prompt: before(prompt)))
        seconds["alone"].append(timed(lambda prompt=prompt: after(prompt)))
    found: list[Answer] = []
    counts = []
    for _ in range(max(rounds // 2, 1)):
        seconds["eight"].append(timed(lambda: found.extend(at_once(after, prompts))))
        counts.append(count(found[-VISITORS:]))
    started = time.perf_counter()
    alone = [before(prompt) for prompt in prompts]
    one_rate = count(alone) / (time.perf_counter() - started)
    eight_rate = median(each / took for each, took in zip(counts, seconds["eight"], strict=True))
    differ = differences(pair, prompts, alone, found[:VISITORS])
    ratios = [one / other for one, other in zip(seconds["before"], seconds["alone"], strict=True)]
    return [
        Figure(f"{kind}: one visitor, batch over none", median(ratios), "x", low=0.97),
        Figure(f"{kind}: one visitor", one_rate, "tokens/s"),
        Figure(f"{kind}: 8 visitors", eight_rate, "tokens/s"),
        Figure(f"{kind}: 8 visitors over one", eight_rate / one_rate, "x", low=4),
        Figure(f"{kind}: rows of {2 * VISITORS} with another token than alone", len(differ)),
        Figure(f"{kind}: largest gap there, of the largest logit", max(differ, default=0.0)),
        Figure(f"{kind}: steps until a place is free", steps_to_leave(batch, prompts), high=1),
    ], {kind: {"seconds": seconds, "prompt_tokens": list(map(len, prompts)), "gaps": differ}}


def time_crowd(engine: Engine, visitors: int) -> tuple[list[Figure], dict]:
    """Let a crowd ask five questions each, and some of them one after the other."""
    assert engine.catalogue is not None
    titles = engine.catalogue.titles(visitors * QUESTIONS)
    questions = [f"What is {title}?" for title in titles]
    shares = [questions[number::visitors] for number in range(visitors)]

    def visit(share: Sequence[str]) -> list[tuple]:
        return [ask(engine, question) for question in share]

    begun = time.perf_counter()
    answers = itertools.chain(*at_once(visit, shares))
    found = dict(zip(itertools.chain(*shares), answers, strict=True))
    together = (time.perf_counter() - begun) / len(questions)
    some = questions[:ONE_BY_ONE]
    single = Engine(engine.pair, engine.catalogue, replace(engine.settings, batch_size=1))
    begun = time.perf_counter()
    expected = {question: ask(single, question) for question in some}
    apart = (time.perf_counter() - begun) / len(some)
    # Another visitor's records or words would be a mix-up; a rounding changes an answer's end.
    own = [found[question][2] == expected[question][2] for question in some]
    same = [found[question] == expected[question] for question in some]
    return [
        Figure("crowd: questions answered, of all", sum(map(any, found.values())) / len(questions)),
        Figure("crowd: records that are the asker's own", sum(own) / len(some), low=1),
        Figure("crowd: answers that are letter for letter those alone", sum(same) / len(some)),
        Figure("crowd: seconds an answer", together, "s"),
        Figure("one after the other: seconds an answer", apart, "s"),
        Figure("crowd over one after the other", apart / together, "x", low=3),
    ], {"questions": len(questions), "one_by_one": len(some)}


def weigh(settings: Settings, few: int, many: int) -> tuple[list[Figure], dict]:
    """Compare a small model's memory after few answers and after many."""
    engine = load_engine(settings)
    batch = Batch(engine.pair, VISITORS, 2**31)
    prompts = prompts_of(engine, 40)
    sizes = []

    def answer(number: int) -> None:
        prompt = prompts[number % len(prompts)]
        last(batch.stream_answers(prompt, prompt, 1 + number % 12))

    with ThreadPoolExecutor(VISITORS) as pool:
        for numbers in (range(few), range(few, many)):
            list(pool.map(answer, numbers))
            sizes.append(resident(os.getpid()))
    name = f"memory after {many} answers over after {few}"
    return [Figure(name, sizes[1] / sizes[0], "x", high=1.05)], {"resident_bytes": sizes}


def prompts_of(engine: Engine, number: int, records: bool = True) -> list[list[int]]:
    """Make the prompts of questions, with their records or without."""
    assert engine.catalogue is not None
    prompts = []
    for title in engine.catalogue.titles(number):
        question = f"What is {title}?"
        found, _ = engine._find(question, (), records)
        fitted, _ = engine._fit_question(question, (), found, TOKENS, "")
        prompts.append(fitted[1].ids)
    return prompts


def ask(engine: Engine, question: str) -> tuple[str, str, tuple[str, ...]]:
    """Ask; return both answers and the uids of their records."""
    *_, (base, tuned, records) = engine.answer(question, True, TOKENS, 0.0)
    return base, tuned, tuple(record["uid"] for record in records)


def last(steps) -> Answer:
    """Return what both answers are in the end."""
    answers: Answer = [], []
    for step in steps:
        answers = step
    return answers


def count(answers: Sequence[Answer]) -> int:
    return sum(len(base) + len(tuned) for base, tuned in answers)


def timed(task: Callable[[], object]) -> float:
    begun = time.perf_counter()
    task()
    return time.perf_counter() - begun


def at_once(task: Callable, values: Sequence) -> list:
    """Call a function for all values at the same time."""
    with ThreadPoolExecutor(len(values)) as pool:
        return list(pool.map(task, values))


def differences(
    pair: Pair, prompts: Sequence[list[int]], alone: Sequence[Answer], found: Sequence[Answer]
) -> list[float]:
    """Find where an answer leaves the one alone: by which share of the largest logit."""
    gaps = []
    for prompt, expected, answers in zip(prompts, alone, found, strict=True):
        for row, (one, other) in enumerate(zip(expected, answers, strict=True)):
            places = enumerate(itertools.zip_longest(one, other))
            at = next((place for place, (mine, its) in places if mine != its), None)
            if at is None or at >= min(len(one), len(other)):
                gaps += [] if at is None else [0.0]  # one of them ended
                continue
            with pair.lock, torch.inference_mode():
                pair.rows.base = 1 - row
                ids = torch.tensor([[*prompt, *one[:at]]], device=pair.device)
                logits = pair.model(input_ids=ids, logits_to_keep=1).logits[0, -1].float()
            gaps.append(float((logits[one[at]] - logits[other[at]]).abs() / logits.abs().max()))
    return gaps


def steps_to_leave(batch: Batch, prompts: Sequence[list[int]]) -> int:
    """Count the steps that begin after a visitor left and before its place is free."""
    answers = [batch.stream_answers(prompt, prompt, 200) for prompt in prompts[:3]]
    for each in answers:
        next(each)
    steps, step = [], batch._slots.step

    def counted(ids: list[int]) -> torch.Tensor:
        steps.append(len(ids))
        return step(ids)

    batch._slots.step = counted
    with closing(answers[1]), closing(answers[2]):
        answers[0].close()
        left = len(steps)
        while batch.load()[0] == 3:
            time.sleep(0.001)
        taken = len(steps) - left
    batch._slots.step = step
    return taken
