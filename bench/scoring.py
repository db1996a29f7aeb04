"""Scoring a run in batches, beside one item at a time by two separate models."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import torch
from peft import PeftModel

from bench.figures import Figure, Options, Outcome
from bench.startup import SAMPLE, need_sample
from space.model.base import load_base
from space.model.family import split_row
from space.model.pair import load_pair
from space.settings import DEFAULT_BASE
from train.config import EvaluateConfig, FitConfig, PrepareConfig
from train.evaluate import score as evaluate
from train.pipeline import load_examples
from train.prepare import prepare_catalogue
from train.run import Run
from train.sample import CATALOGUE

ITEMS, ALONE, SECONDS, TIMES = 500, 12, 240, 5  # items of a set; of them one at a time; targets


def measure(options: Options) -> Outcome:
    """Scores up to 500 items of each set with base and tuned, and a few of each one at a time."""
    need_sample()
    items, alone = (4, 2) if options.tiny else (ITEMS, ALONE)
    with tempfile.TemporaryDirectory() as name:
        run = Path(name)
        recipe = json.loads((SAMPLE / "adapter" / "run.json").read_text(encoding="utf-8"))["config"]
        config = FitConfig(**{**recipe, "base": DEFAULT_BASE})
        prepare_catalogue(str(CATALOGUE), Run(run), PrepareConfig(), progress=False)
        pair = load_pair(config.base, str(SAMPLE / "adapter"), precision=config.precision)
        examples = load_examples(
            Run(run), config, pair.tokenizer, pair.window, pair.prompt_template
        )
        sets = examples.build_sets(items)
        for batch in evaluate.batches(_jobs(pair, examples, next(iter(sets.values()))[:2]), 2):
            evaluate.generate(pair, batch, True)  # weights are repacked at first use
        samples = {}
        for name, chosen in sets.items():
            begun = time.perf_counter()
            for column in ("base", "tuned"):
                jobs = _jobs(pair, examples, chosen)
                for batch in evaluate.batches(jobs, EvaluateConfig.score_batch):
                    evaluate.generate(pair, batch, column == "tuned")
            samples[name] = {"items": len(chosen), "seconds": round(time.perf_counter() - begun, 1)}
        for name, seconds in _one_at_a_time(
            config, pair, examples, {name: chosen[:alone] for name, chosen in sets.items()}
        ).items():
            samples[name] |= {
                "alone_items": min(alone, len(sets[name])),
                "alone_seconds": round(seconds, 1),
            }
    figures = []
    for name, sample in samples.items():
        rate = (
            sample["alone_seconds"] / sample["alone_items"] / (sample["seconds"] / sample["items"])
        )
        figures += [
            Figure(
                f"{name}: {sample['items']} items, base and tuned",
                sample["seconds"],
                "s",
                high=SECONDS,
            ),
            Figure(f"{name}: times one item at a time", rate, "x", low=TIMES),
        ]
    return Outcome(figures, samples)


def _jobs(pair, examples, chosen) -> list[evaluate.Job]:
    rows = [row for row in examples.encode(chosen) if row]
    limits = evaluate.answer_limits(pair, rows)
    return [evaluate.Job("", "", row, limit, "") for row, limit in zip(rows, limits, strict=True)]


@torch.inference_mode()
def _one_at_a_time(config: FitConfig, pair, examples, sets: dict[str, list]) -> dict[str, float]:
    """Time two separate models on each set's items: generate(), and the reference's loss."""
    plain = load_base(config.base, precision=config.precision)[0]
    tuned = PeftModel.from_pretrained(
        load_base(config.base, precision=config.precision)[0], SAMPLE / "adapter"
    ).eval()
    seconds = {}
    for name, chosen in sets.items():
        jobs = _jobs(pair, examples, chosen)
        for model in (plain, tuned):
            _one(model, jobs[0])
        begun = time.perf_counter()
        for model in (plain, tuned):
            for job in jobs:
                _one(model, job)
        seconds[name] = time.perf_counter() - begun
    return seconds


def _one(model, job: evaluate.Job) -> None:
    ids, labels = job.row["input_ids"], job.row["labels"]
    prompt = torch.tensor([split_row(job.row)[0]])
    model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=job.limit,
    )
    model(input_ids=torch.tensor([ids]), labels=torch.tensor([labels]))
