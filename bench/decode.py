"""Two answers in one batch, against PEFT's mixed batch, one answer alone, and in bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from bitsandbytes.nn import Params4bit
from peft import PeftModel
from torch import nn

from bench.figures import ROOT, Figure, Options, Outcome, peak_memory
from bench.shapes import make_adapter, make_base, make_prompts
from space.model.base import load_base, load_tokenizer
from space.model.decode import preallocated_cache, stream_tokens
from space.model.layers import DecodedLinear, PairedLinear, pair_up
from space.model.pair import Pair, load_pair
from space.model.prompt_template import PromptTemplate

CORES = 2
PROMPT, ANSWER = 100, 200  # tokens: a question with a short record; /answer's own limit
LENGTHS = (
    (24, 64),
    (24, 200),
    (100, 64),
    (400, 200),
)  # other prompts and answers: a second prompt is read at full price
ROUNDS = 7
VARIANTS = ("both", "peft", "tuned", "base")


def measure(options: Options) -> Outcome:
    """Times the four variants in turns; a pair is the base's and the tuned answer to one prompt."""
    torch.set_num_threads(CORES)
    with tempfile.TemporaryDirectory() as folder:
        base = make_base(Path(folder, "base"), options.tiny)
        adapter = make_adapter(Path(folder, "run"), base)
        pair = load_pair(str(base), str(adapter))
        theirs = PeftModel.from_pretrained(load_base(str(base))[0], str(adapter)).eval()
        rounds = timed_rounds(pair, theirs, 2 if options.tiny else ROUNDS)
        others = {
            f"{prompt}+{new}": other_length(pair, prompt, new)
            for prompt, new in LENGTHS[: 1 if options.tiny else None]
        }
        sizes = weigh(pair)
        peaks = {what: peak(what, base, adapter) for what in ("base", "pair")}
    samples = {
        "prompt_tokens": PROMPT,
        "new_tokens": ANSWER,
        "rounds": rounds,
        "bytes": sizes,
        "peak_rss_bytes": peaks,
        "both_over_tuned_at_prompt_and_new_tokens": others,
    }
    lengths = [
        Figure(f"time of both over the tuned alone, {name} tokens", value, "x")
        for name, value in others.items()
    ]
    return Outcome(figures(rounds, sizes, peaks) + lengths, samples)


def figures(rounds: list[dict], sizes: dict[str, int], peaks: dict[str, int]) -> list[Figure]:
    """Returns the figures; a ratio of times is the median of the rounds' own ratios."""

    def ratio(one: str, other: str) -> float:
        return median(entry["seconds"][one] / entry["seconds"][other] for entry in rounds)

    both = 1 / median(entry["seconds"]["both"] for entry in rounds)
    one_answer = sizes["base"] + sizes["bare_cache_of_one_row"]
    pair = sizes["base"] + sizes["adapter"] + 2 * sizes["cache_of_one_row"]
    tuned = sizes["base"] + sizes["adapter"] + sizes["bare_cache_of_one_row"]
    return [
        Figure("pairs a second", both, "1/s"),
        Figure("tokens a second, both rows", both * 2 * ANSWER, "1/s"),
        Figure("pairs a second over PEFT's", ratio("peft", "both"), "x", low=1.25),
        Figure(
            "share of prompts with PEFT's very tokens",
            sum(e["equal"] for e in rounds) / len(rounds),
            low=1.0,
        ),
        Figure(
            "share of prompts with the tokens of each alone",
            sum(e["equal_alone"] for e in rounds) / len(rounds),
        ),
        Figure("time of both over the tuned alone", ratio("both", "tuned"), "x", high=1.10),
        Figure("time of both over the base alone", ratio("both", "base"), "x"),
        Figure(
            "bytes of base, adapter and two caches over base and one cache",
            pair / one_answer,
            "x",
            high=1.1,
        ),
        Figure(
            "bytes of base, adapter and two caches over base, adapter and one cache",
            pair / tuned,
            "x",
        ),
        Figure(
            "peak memory of a process with both over one with the base",
            peaks["pair"] / (peaks["base"] or 1),
            "x",
        ),
    ]


# --- time ---


def timed_rounds(pair: Pair, theirs: PeftModel, count: int) -> list[dict]:
    """Returns each round's seconds a variant and whether the tokens agree; every round has a prompt
    of its own.
    """
    prompts = make_prompts(pair.tokenizer, count + 1, PROMPT)
    for variant in VARIANTS:
        answer(variant, pair, theirs, prompts[0])  # the first forward packs the weights for the CPU
    rounds = []
    for number, prompt in enumerate(prompts[1:]):
        seconds, tokens = {}, {}
        turn = number % len(VARIANTS)
        for variant in VARIANTS[turn:] + VARIANTS[:turn]:
            begun = time.perf_counter()
            tokens[variant] = answer(variant, pair, theirs, prompt)
            seconds[variant] = time.perf_counter() - begun
        rounds.append(
            {
                "seconds": seconds,
                "equal": tokens["both"] == tokens["peft"],
                "equal_alone": tokens["both"] == [*tokens["base"], *tokens["tuned"]],
                "rows_differ": tokens["both"][0] != tokens["both"][1],
                "tokens": [len(row) for row in tokens["both"]],
                "distinct_tokens": [len(set(row)) for row in tokens["both"]],
            }
        )
    return rounds


def other_length(pair: Pair, prompt_tokens: int, new: int, count: int = 5) -> float:
    """Returns the time of both answers over the tuned alone, the median of a few rounds."""
    prompt = [token for some in make_prompts(pair.tokenizer, 4, PROMPT) for token in some][
        :prompt_tokens
    ]
    ratios = []
    for _ in range(count):
        seconds = {}
        for variant in ("both", "tuned"):
            begun = time.perf_counter()
            answer(variant, pair, None, prompt, new)
            seconds[variant] = time.perf_counter() - begun
        ratios.append(seconds["both"] / seconds["tuned"])
    return median(ratios)


def answer(
    variant: str, pair: Pair, theirs: PeftModel | None, prompt: list[int], new: int = ANSWER
) -> list[list[int]]:
    """Returns the greedy tokens of each row of a variant, the base's first."""
    if variant == "peft":
        ids = torch.tensor([prompt, prompt])
        with torch.inference_mode():
            out = theirs.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=new,
                do_sample=False,
                adapter_names=["__base__", "default"],
            )
        stop = pair.stop_ids
        return [[int(i) for i in row if int(i) not in stop] for row in out[:, len(prompt) :]]
    count, base_rows = {"both": (2, 1), "tuned": (1, 0), "base": (1, 1)}[variant]
    steps = list(stream_tokens(pair, [prompt] * count, base_rows, new))
    return [[step[row] for step in steps if step[row] is not None] for row in range(count)]


# --- bytes ---


def weigh(pair: Pair) -> dict[str, int]:
    """Returns bytes of the base, the adapter and one row's cache at the end of an answer, with its
    room and without.

    The base: its parameters and buffers with their quantization state, as they lie in memory after
    the first answer,
    shared storage counted once. The adapter: its A and B, as they were saved.
    """
    lora = {
        part.data_ptr(): part.nbytes
        for layer in pair.model.modules()
        if isinstance(layer, PairedLinear)
        for down, up, _ in layer.lora
        for part in (down, up)
    }
    decoded = sum(
        layer.weight.nbytes for layer in pair.model.modules() if isinstance(layer, DecodedLinear)
    )
    everything = {storage.data_ptr(): storage.nbytes() for storage in storages(pair.model)}
    cache = preallocated_cache(pair.model.config)
    with torch.inference_mode():
        for length in (PROMPT, *[1] * (ANSWER - 1)):  # the last token is never read
            pair.model(
                input_ids=torch.ones(1, length, dtype=torch.long),
                past_key_values=cache,
                use_cache=True,
            )
    held = sum(lora.values())
    return {
        "base": sum(everything.values()) + decoded,
        "adapter": held,
        "cache_of_one_row": sum(part.nbytes for layer in cache.layers for part in layer.buffers),
        "bare_cache_of_one_row": sum(
            layer.keys.nbytes + layer.values.nbytes for layer in cache.layers
        ),
    }


def storages(module: nn.Module) -> Iterator[torch.UntypedStorage]:
    """Yields the memory of a module's parameters and buffers, and of its quantization state."""
    for tensor in [*module.parameters(), *module.buffers()]:
        yield tensor.untyped_storage()
        state = tensor.quant_state if isinstance(tensor, Params4bit) else None
        while state is not None:
            yield from (
                part.untyped_storage()
                for part in vars(state).values()
                if isinstance(part, torch.Tensor)
            )
            state = vars(state).get("state2")


def peak(what: str, base: Path, adapter: Path) -> int:
    """Returns the peak resident bytes of a fresh process that loads the pair, or the base alone,
    and answers once.
    """
    done = subprocess.run(
        [sys.executable, "-m", "bench.decode", what, str(base), str(adapter)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def answer_once(what: str, base: str, adapter: str) -> int:
    """Loads, answers one prompt and returns this process's peak resident bytes."""
    if what == "pair":
        pair = load_pair(base, adapter)
    else:
        model, identity = load_base(base)
        rows = pair_up(model)
        pair = Pair(model, load_tokenizer(base), PromptTemplate(), identity, "", "", "nf4", rows)
    prompt = make_prompts(pair.tokenizer, 1, PROMPT)[0]
    rows = 2 if what == "pair" else 1
    list(stream_tokens(pair, [prompt] * rows, 1, ANSWER))
    return peak_memory()


if __name__ == "__main__":
    print(answer_once(*sys.argv[1:]))
