"""Answer many visitors in one batch, which they join and leave between two steps."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, cast

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from space.model.decode import (
    PreallocatedLayer,
    choose_tokens,
    preallocated_cache,
    seed_generators,
)
from space.model.family import DecoderForward, DecoderOnly
from space.model.pair import Pair

IDLE = 10.0  # seconds without work, after which the thread ends and the cache's memory is freed
PREFILL = 1024  # tokens of prompts that are read between two steps of the running answers
PACE = 0.1  # seconds between two readings of an answer that shares its batch
ROUND = 64  # a slot's length in tokens is a multiple of it
# Rotary embeddings that depend on nothing but a token's position. "dynamic" and "longrope" depend
# on the longest row of a batch.
ROTARY = ("default", "linear", "llama3", "yarn")


def can_batch(pair: Pair) -> bool:
    """Check whether answers of different lengths can share one cache.

    An encoder-decoder's cannot, nor those of a base with sliding windows or without rotary
    embeddings: they are answered one after the other.
    """
    config = pair.model.config
    rotary = getattr(config, "rope_parameters", None) or {}
    if not isinstance(pair.family, DecoderOnly) or rotary.get("rope_type") not in ROTARY:
        return False
    layers = preallocated_cache(config).layers
    return all(type(layer) is PreallocatedLayer for layer in layers)


class Answers:
    """Two growing answers, which the batch's thread writes and a visitor's reads."""

    def __init__(
        self,
        pair: Pair,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        temperature: float,
        seed: int | None,
        seconds: float,
    ) -> None:
        self.prompts, self.limit, self.seconds = prompts, max_new_tokens, seconds
        self.temperature = temperature
        self.generators = seed_generators(pair.device, seed, len(prompts))
        self.stop_ids = pair.stop_ids
        self.length = _round_up(max(map(len, prompts)) + max_new_tokens)  # of its slots
        self.forward: DecoderForward | None = None  # its own cache, until it moves to the slots
        self.last: list[int] = []  # each row's last token
        self.left = False  # nobody reads it any more
        self.shared = False  # others run in the same batch
        self._written: tuple[list[int], list[int]] = [], []
        self._going = [True, True]
        self._steps = self._version = self._seen = 0
        self._begun = 0.0
        self._ended = False
        self._error: Exception | None = None
        self._changed = threading.Condition()

    @property
    def prompt_tokens(self) -> int:
        return sum(map(len, self.prompts))

    @property
    def over(self) -> bool:
        """Whether its place is free."""
        return self._ended or self.left

    def begin(self, forward: DecoderForward) -> None:
        """Start the answer's time."""
        self.forward, self._begun = forward, time.monotonic()

    def take(self, tokens: list[int], shared: bool) -> None:
        """Add the base's and the tuned model's next token."""
        self.last, self.shared = tokens, shared
        with self._changed:
            for row, token in enumerate(tokens):
                self._going[row] = self._going[row] and token not in self.stop_ids
                if self._going[row]:
                    self._written[row].append(token)
            self._steps += 1
            if any(self._going):
                self._version = self._steps
            late = time.monotonic() - self._begun > self.seconds
            self._ended = not any(self._going) or self._steps >= self.limit or late
            self._changed.notify()

    def fail(self, error: Exception) -> None:
        """End with an error."""
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify()

    def read(self) -> Iterator[tuple[list[int], list[int]]]:
        """Yield both answers whenever they have grown.

        A reader who shares the batch misses steps, never tokens.
        """
        while True:
            with self._changed:
                if self.shared:
                    self._changed.wait_for(lambda: self._ended, PACE)
                self._changed.wait_for(lambda: self._ended or self._version > self._seen)
                if self._error is not None:
                    raise self._error
                if self._version == self._seen:
                    return
                self._seen = self._version if self.shared else self._seen + 1
                base, tuned = self._written
                both = base[: self._seen], tuned[: self._seen]
            yield both


class SlotLayer(DynamicLayer):
    """One layer's keys and values of all running answers."""

    def __init__(self, slots: Slots, rows: int, length: int, like: DynamicLayer) -> None:
        super().__init__()
        self.slots, self.is_initialized = slots, True
        self.buffers = []
        for states in (like.keys, like.values):
            assert states is not None
            _, heads, _, size = states.shape
            # Zeros: a masked position counts 0 times, which is no number where it holds none.
            self.buffers.append(states.new_zeros(rows, heads, length, size))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write each row's new position, (rows, heads, 1, size)."""
        rows, ends, length = self.slots.reading
        views = []
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[rows, :, ends] = states[:, :, 0]
            views.append(buffer[: len(rows), :, :length])
        return views[0], views[1]


class Slots:
    """Room for the keys and values of answers, two rows for each, all from position 0.

    Row 2i is the base's of answer i, and row 2i + 1 the tuned model's. The last answer moves to
    where one leaves. What a row has not written yet is masked.
    """

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.ends: list[int] = []  # tokens in each row
        self.rows = self.length = 0  # there is room for
        # Of the step that runs: its rows, where each writes, and how far the longest reads.
        self.reading: tuple[torch.Tensor, torch.Tensor, int]
        self.cache = DynamicCache(config=pair.model.config)
        self.layers: list[SlotLayer] = []

    def reserve(self, rows: int, length: int, like: Cache) -> None:
        """Make room for more or longer rows, and keep what is there."""
        if rows <= self.rows and length <= self.length:
            return
        self.rows, self.length = rows, length
        for index, layer in enumerate(like.layers):
            grown = SlotLayer(self, rows, length, cast(DynamicLayer, layer))
            if index == len(self.layers):
                self.layers.append(grown)
            # One layer after the other, so that both sizes of all layers are never in memory.
            before, self.layers[index] = self.layers[index], grown
            for row, end in enumerate(self.ends):
                for new, old in zip(grown.buffers, before.buffers, strict=True):
                    new[row, :, :end] = old[row, :, :end]
        self.cache.layers[:] = self.layers

    def add(self, forward: DecoderForward) -> None:
        """Copy an answer's two rows from its own cache."""
        first, lengths = len(self.ends), forward.lengths
        for slot, layer in zip(self.layers, forward.cache.layers, strict=True):
            own = cast(DynamicLayer, layer)
            for buffer, states in zip(slot.buffers, (own.keys, own.values), strict=True):
                assert states is not None
                for row, length in enumerate(lengths):
                    # The shorter prompt is padded on the left.
                    buffer[first + row, :, :length] = states[row, :, -length:]
        self.ends += lengths

    def remove(self, index: int) -> None:
        """Free the rows of an answer, and move the last answer there."""
        first, last = 2 * index, len(self.ends) - 2
        if first < last:
            for slot in self.layers:
                for buffer in slot.buffers:
                    for row in range(2):
                        end = self.ends[last + row]
                        buffer[first + row, :, :end] = buffer[last + row, :, :end]
            self.ends[first : first + 2] = self.ends[last:]
        del self.ends[last:]

    def step(self, ids: list[int]) -> torch.Tensor:
        """Read one token a row into logits, (rows, vocabulary)."""
        model, device = self.pair.model, self.pair.device
        ends = torch.tensor(self.ends, device=device)
        rows, length = torch.arange(len(ids), device=device), max(self.ends) + 1
        self.reading = rows, ends, length
        unwritten = torch.arange(length, device=device) > ends[:, None]
        mask = torch.zeros(unwritten.shape, dtype=model.dtype, device=device)
        mask.masked_fill_(unwritten, torch.finfo(model.dtype).min)
        self.pair.rows.base, self.pair.rows.stride = 1, 2
        try:
            logits = cast(Any, model)(
                input_ids=torch.tensor(ids, device=device)[:, None],
                attention_mask=mask[:, None, None],
                position_ids=ends[:, None],
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        finally:
            self.pair.rows.stride = 1
        self.ends = [end + 1 for end in self.ends]
        return logits[:, -1]


class Batch:
    """The answers that run together, at most `size`, and the line of those that wait.

    One thread owns the model: between two steps it lets in whoever waits, in turn, as long as the
    cache stays within `memory` bytes. An answer that needs more waits until it runs alone.
    """

    def __init__(self, pair: Pair, size: int, memory: int) -> None:
        self.pair, self.size, self.memory = pair, size, memory
        self._line: deque[Answers] = deque()
        self._tasks: deque[tuple[Future, Callable, tuple]] = deque()
        self._running: list[Answers] = []  # in the slots' order
        self._slots = Slots(pair)
        self._token_bytes = 0  # of one row's keys and values, once known
        self._thread: threading.Thread | None = None
        self._work = threading.Condition()

    def stream_answers(
        self,
        base_prompt: Sequence[int],
        tuned_prompt: Sequence[int],
        max_new_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        seconds: float = math.inf,
    ) -> Generator[tuple[list[int], list[int]]]:
        """Generate as decode.stream_answers() does, beside other answers.

        Yields whenever the answers have grown. They end after `seconds`, counted from their first
        step. Closing the generator frees their place within one step.
        """
        prompts = [base_prompt, tuned_prompt]
        answers = Answers(self.pair, prompts, max_new_tokens, temperature, seed, seconds)
        self._enter(self._line, answers)
        try:
            yield from answers.read()
        finally:
            answers.left = True

    def run(self, task: Callable, *values):
        """Call a function between two steps, and return its result."""
        future: Future = Future()
        self._enter(self._tasks, (future, task, values))
        return future.result()

    def load(self) -> tuple[int, int]:
        """Count the answers that run and those that wait."""
        return len(self._running), len(self._line)

    def _enter(self, queue: deque, entry) -> None:
        with self._work:
            queue.append(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="batch", daemon=True)
                self._thread.start()
            self._work.notify()

    # What follows runs in the batch's own thread.

    def _serve(self) -> None:
        while self._has_work():
            self._do_task()
            with self.pair.lock, torch.inference_mode():
                self._let_in()
                self._step()

    def _has_work(self) -> bool:
        """Wait for work, or end the thread and free the cache."""
        with self._work:
            if self._work.wait_for(lambda: self._running or self._line or self._tasks, IDLE):
                return True
            self._thread, self._slots = None, Slots(self.pair)
            return False

    def _do_task(self) -> None:
        with self._work:
            if not self._tasks:
                return
            future, task, values = self._tasks.popleft()
        try:
            future.set_result(task(*values))
        except Exception as error:
            future.set_exception(error)

    def _let_in(self) -> None:
        """Read the prompts of those who may join."""
        self._drop_ended()
        read = 0
        while (answers := self._next(read)) is not None:
            read += answers.prompt_tokens
            self._begin(answers)

    def _move(self) -> None:
        """Move answers that share a batch into its slots."""
        if len(self._running) < 2:
            return
        moving = [answers for answers in self._running if answers.forward is not None]
        if moving:
            length = max(answers.length for answers in self._running)
            first = cast(DecoderForward, moving[0].forward)
            self._slots.reserve(2 * len(self._running), length, first.cache)
        for answers in moving:
            self._slots.add(cast(DecoderForward, answers.forward))
            answers.forward = None

    def _next(self, read: int) -> Answers | None:
        """Get the next in line, if it may join now.

        `read` tokens of other prompts were read since the last step.
        """
        with self._work:
            while self._line and self._line[0].left:
                self._line.popleft()
            if not self._line:
                return None
            first = self._line[0]
            if self._running:
                late = read and read + first.prompt_tokens > PREFILL
                if late or len(self._running) >= self.size or not self._fits(first):
                    return None
            return self._line.popleft()

    def _fits(self, answers: Answers) -> bool:
        lengths = [answers.length, *(other.length for other in self._running)]
        return 2 * len(lengths) * max(lengths) * self._token_bytes <= self.memory

    def _begin(self, answers: Answers) -> None:
        """Read an answer's prompts, exactly as if it ran alone."""
        cache = preallocated_cache(self.pair.model.config)
        try:
            forward = DecoderForward(self.pair.model, answers.prompts, cache)
            answers.begin(forward)
            self._step_alone(answers, torch.empty(2, 0, dtype=torch.long))
        except Exception as error:
            answers.fail(error)
            return
        self._token_bytes = self._token_bytes or _token_bytes(cache)
        if not answers.over:
            self._running.append(answers)

    def _step(self) -> None:
        """Generate the next token of each row that runs."""
        if not self._running:
            return
        try:
            self._move()
            if self._running[0].forward is not None:
                (alone,) = self._running
                self._step_alone(alone, torch.tensor(alone.last)[:, None])
            else:
                self._step_together()
        except Exception as error:
            for answers in self._running:
                answers.fail(error)
            self._running, self._slots = [], Slots(self.pair)

    def _step_alone(self, answers: Answers, ids: torch.Tensor) -> None:
        self.pair.rows.base = 1
        assert answers.forward is not None
        logits = answers.forward.step(ids.to(self.pair.device), 1)[:, -1]
        chosen = choose_tokens(logits, answers.temperature, answers.generators, 1)
        answers.take(chosen.tolist(), shared=False)

    def _step_together(self) -> None:
        ids: list[int] = []
        for answers in self._running:
            ids += answers.last
        logits = self._slots.step(ids)
        best = logits.argmax(-1).tolist()
        for index, answers in enumerate(self._running):
            rows = slice(2 * index, 2 * index + 2)
            tokens = best[rows]
            if answers.temperature > 0:
                tokens = choose_tokens(
                    logits[rows], answers.temperature, answers.generators, 1
                ).tolist()
            answers.take(tokens, shared=len(self._running) > 1)

    def _drop_ended(self) -> None:
        """Free the places of answers that ended or that nobody reads."""
        for index in reversed(range(len(self._running))):
            answers = self._running[index]
            if not answers.over:
                continue
            if answers.forward is None:
                self._slots.remove(index)
            self._running[index] = self._running[-1]
            self._running.pop()


def _round_up(length: int) -> int:
    return -(-length // ROUND) * ROUND


def _token_bytes(cache: DynamicCache) -> int:
    """Measure what one token of one row takes in a cache."""
    total = 0
    for layer in cache.layers:
        own = cast(DynamicLayer, layer)
        for states in (own.keys, own.values):
            assert states is not None
            total += states[:1, :, :1].numel() * states.element_size()
    return total
