"""space/model/batch.py: many visitors in one batch, and each gets what it would get alone."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import LlamaConfig, MistralConfig, T5Config

from space.model.batch import Batch, Slots, can_batch
from space.model.decode import stream_answers
from space.model.explain import explain_answer
from space.model.pair import FairLock
from space.model.prompt import prompt_ids
from space.model.prompt_template import PromptTemplate

NEW = 24
ROOM = 2**30  # bytes
TEXTS = (
    "What is the Dovenka Kettle?",
    "Who made this?",
    "O que é Rede Bamu? Fale mais, por favor.",
    "Is it oak or linen, and how much does it weigh when it is full of water?",
    "Kettle?",
)


@pytest.fixture(scope="module")
def prompts(pair):
    return [prompt_ids(pair.tokenizer, PromptTemplate(), "describe", text) for text in TEXTS]


@pytest.fixture
def batch(pair):
    return Batch(pair, 4, ROOM)


def alone(pair, base, tuned, limit=NEW, **options):
    return list(stream_answers(pair, base, tuned, limit, **options))[-1]


def together(batch, requests):
    """Let each request be asked by a thread of its own; return the last answers of each."""

    def ask(request):
        base, tuned, limit, options = request
        return list(batch.stream_answers(base, tuned, limit, **options))[-1]

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(ask, requests))


def assert_equal_but_for_a_near_tie(pair, prompt, single, answer, base_rows):
    """Where two answers part, the logits of their tokens differ by less than bf16 can tell."""
    pairs = enumerate(zip(single, answer, strict=False))
    at = next((place for place, (one, other) in pairs if one != other), None)
    if at is None:
        assert len(single) == len(answer)
        return
    pair.rows.base = base_rows
    with torch.no_grad():
        ids = torch.tensor([[*prompt, *single[:at]]])
        logits = pair.model(input_ids=ids).logits[0, -1].float()
    assert (logits[single[at]] - logits[answer[at]]).abs() <= 2**-6 * logits.max().abs()


def test_many_visitors_get_the_greedy_answers_that_they_get_alone(pair, batch, prompts):
    requests = [(prompt, prompt, NEW, {}) for prompt in prompts * 2]
    for request, answers in zip(requests, together(batch, requests), strict=True):
        expected = alone(pair, *request[:2])
        for base_rows, single, answer in zip((1, 0), expected, answers, strict=True):
            assert_equal_but_for_a_near_tie(pair, request[0], single, answer, base_rows)


def test_base_and_tuned_model_may_read_different_prompts(pair, batch, prompts):
    requests = [(one, other, NEW, {}) for one, other in itertools.pairwise(prompts)]
    for request, answers in zip(requests, together(batch, requests), strict=True):
        for side, (single, answer) in enumerate(
            zip(alone(pair, *request[:2]), answers, strict=True)
        ):
            assert_equal_but_for_a_near_tie(pair, request[side], single, answer, 1 - side)


def test_each_has_its_own_limit_sampling_and_seed(pair, batch, prompts):
    requests = [
        (prompts[0], prompts[0], 3, {}),
        (prompts[1], prompts[1], 17, {"temperature": 1.0, "seed": 5}),
        (prompts[1], prompts[1], 17, {"temperature": 1.0, "seed": 6}),
        (prompts[2], prompts[2], 40, {}),
    ]
    found = together(batch, requests)
    for (*_, limit, _options), answers in zip(requests, found, strict=True):
        assert max(map(len, answers)) <= limit
    assert found[1] != found[2]
    assert len(found[0][0]) == 3 == len(alone(pair, *requests[0][:3])[0])
    again = list(batch.stream_answers(*requests[1][:3], **requests[1][3]))[-1]
    assert again == alone(pair, *requests[1][:3], **requests[1][3])


def test_each_stops_at_its_own_end(pair, batch, prompts, monkeypatch):
    free = alone(pair, prompts[0], prompts[0])
    monkeypatch.setattr(type(pair), "stop_ids", frozenset({free[1][3]}))
    expected = alone(pair, prompts[0], prompts[0])
    requests = [(prompt, prompt, NEW, {}) for prompt in (prompts[0], prompts[2], prompts[3])]
    found = together(batch, requests)[0]
    assert len(expected[1]) <= 3 and len(found[1]) < NEW
    for side, (single, answer) in enumerate(zip(expected, found, strict=True)):
        assert_equal_but_for_a_near_tie(pair, prompts[0], single, answer, 1 - side)


def wait_for(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_who_leaves_frees_the_place_within_a_step(pair, prompts, monkeypatch):
    batch, steps = Batch(pair, 2, ROOM), []
    step = Slots.step
    monkeypatch.setattr(
        Slots, "step", lambda *args: (steps.append(len(args[1])), time.sleep(0.02), step(*args))[2]
    )
    first, second, third = (batch.stream_answers(p, p, 400) for p in prompts[:3])
    next(first), next(second)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next, third)
        wait_for(lambda: batch.load() == (2, 1))
        before = len(steps)
        first.close()
        waiting.result()
    assert len(steps) - before <= 3 and batch.load()[1] == 0
    second.close(), third.close()
    wait_for(lambda: batch.load() == (0, 0))
    with pair.lock:  # it is let go after the last step
        pass


def test_who_leaves_the_line_is_never_answered(pair, prompts):
    batch = Batch(pair, 1, ROOM)
    first, second = (batch.stream_answers(p, p, 60) for p in prompts[:2])
    next(first)
    batch._enter(batch._line, gone := list_entry(batch, prompts[2]))
    gone.left = True
    assert list(second)
    assert gone.forward is None
    first.close()


def list_entry(batch, prompt):
    from space.model.batch import Answers

    return Answers(batch.pair, [prompt, prompt], 8, 0.0, None, 60.0)


def test_the_line_is_served_in_turn_and_memory_is_bounded(pair, prompts, monkeypatch):
    """An answer that does not fit beside the others waits, and nobody overtakes it."""
    token = 2 * pair.model.config.num_hidden_layers * 2 * 32 * 2  # bytes of a row's one token
    batch, most, order = Batch(pair, 8, 2 * 2 * 128 * token), [], []
    step, begin = Slots.step, Batch._begin
    monkeypatch.setattr(Slots, "step", lambda *a: (most.append(len(a[1])), step(*a))[1])
    monkeypatch.setattr(
        Batch, "_begin", lambda self, answers: (order.append(answers.limit), begin(self, answers))
    )
    requests = [(prompts[0], prompts[0], limit, {}) for limit in (20, 21, 300, 22, 23)]
    with ThreadPoolExecutor(5) as pool:
        jobs = []
        for base, tuned, limit, _ in requests:
            jobs.append(pool.submit(lambda *a: list(batch.stream_answers(*a)), base, tuned, limit))
            time.sleep(0.01)
        assert all(job.result() for job in jobs)
    assert order == [20, 21, 300, 22, 23]
    assert max(most, default=4) <= 4


def test_an_error_in_one_prompt_ends_only_its_own_answer(pair, batch, prompts):
    wrong = [10**6]
    found = []

    def ask(prompt):
        try:
            found.append(list(batch.stream_answers(prompt, prompt, NEW))[-1])
        except IndexError:
            found.append("error")

    threads = [threading.Thread(target=ask, args=(p,)) for p in (*prompts[:3], wrong)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found.count("error") == 1 and len(found) == 4


def test_an_error_in_a_step_reaches_everyone_and_the_next_are_answered(
    pair, batch, prompts, monkeypatch
):
    def fail(*_):
        raise RuntimeError("the device is gone")

    monkeypatch.setattr(Slots, "step", fail)
    answers = [batch.stream_answers(p, p, NEW * 10) for p in prompts[:2]]
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(list, each) for each in answers]
        errors = [job.exception() for job in jobs]
    assert any(isinstance(error, RuntimeError) for error in errors)
    monkeypatch.undo()
    assert together(batch, [(p, p, NEW, {}) for p in prompts[:3]])
    with pair.lock:  # it is let go after the last step
        pass


def test_a_task_runs_between_two_steps(pair, batch, prompts):
    answers = batch.stream_answers(prompts[0], prompts[0], 300)
    next(answers)
    expected = explain_answer(pair, prompts[1], prompts[2][:8])
    assert batch.run(explain_answer, pair, prompts[1], prompts[2][:8]) == expected
    assert batch.load()[0] == 1
    with pytest.raises(ZeroDivisionError):
        batch.run(lambda: 1 / 0)
    answers.close()


def test_an_answer_ends_when_its_time_is_over(pair, batch, prompts):
    assert len(list(batch.stream_answers(prompts[0], prompts[0], 400, seconds=0.0))) == 1
    assert len(list(stream_answers(pair, prompts[0], prompts[0], 400, seconds=0.0))) == 1


def test_the_thread_ends_without_work(pair, prompts, monkeypatch):
    monkeypatch.setattr("space.model.batch.IDLE", 0.05)
    batch = Batch(pair, 4, ROOM)
    for _ in range(2):
        assert together(batch, [(p, p, 8, {}) for p in prompts[:3]])
        wait_for(lambda: batch._thread is None)
        assert batch._slots.layers == []


def test_what_cannot_share_a_cache_is_recognised(pair):
    def fits(config):
        model = type("Model", (), {"config": config})
        family = type(pair).family.fget(type("Pair", (), {"model": model}))
        return can_batch(type("Pair", (), {"model": model, "family": family}))

    assert can_batch(pair) and fits(LlamaConfig())
    assert not fits(MistralConfig(sliding_window=16)) and not fits(T5Config())
    scaled = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}
    assert not fits(LlamaConfig(rope_parameters=scaled))


def test_a_lock_goes_to_whoever_waited_longest():
    lock, order, threads = FairLock(), [], []

    def take(name):
        with lock:
            order.append(name)

    with lock:
        for number, name in enumerate("abc"):
            threads.append(threading.Thread(target=take, args=(name,)))
            threads[-1].start()
            wait_for(lambda number=number: len(lock._waiting) == number + 1)
    take("again")  # at once, as a loop does
    for thread in threads:
        thread.join()
    assert order == ["a", "b", "c", "again"] and not lock.locked()
