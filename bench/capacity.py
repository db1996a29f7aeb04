"""How much an adapter remembers of what it learned by heart, by records and by rank."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from bench.figures import ROOT, Figure, Options, Outcome
from bench.startup import need_sample
from space.model.base import load_base, load_tokenizer
from space.model.decode import complete, decode_text
from space.model.family import split_row
from space.model.pair import load_pair
from space.settings import DEFAULT_BASE
from train.config import FitConfig, PrepareConfig, PushConfig, TrackConfig
from train.evaluate.metrics import similarity
from train.evaluate.score import MARGIN
from train.fit import fit, is_done
from train.pipeline import load_examples
from train.prepare import prepare_catalogue
from train.run import Run
from train.sample import CATALOGUE, RECIPE

RUNS = (
    ROOT / "runs" / "capacity"
)  # kept: a measurement that was cut off goes on from its checkpoints
RECORDS, ASKED, BATCH, EPOCHS = (100, 300, 1000), 200, 64, 20
# The learning rate of each rank. LoRA's sum is scaled by alpha / rank = 2 at either, so that a
# higher rank takes larger steps: at rank 4's rate, rank 64 lost what it had learned (ROUGE-L .03
# of 1,000 records after 20 epochs).
RATES = {4: 3.5e-3, 64: 1e-3}


def measure(options: Options) -> Outcome:
    """Train on questions from memory alone, and ask for up to 200 records again."""
    need_sample()
    counts, rates = ((4, 8), {2: 1e-3}) if options.tiny else (RECORDS, RATES)
    figures, samples = [], {}
    for rank, rate in rates.items():
        for count in counts:
            config = replace(
                RECIPE,
                base=DEFAULT_BASE,
                learn=count,
                rank=rank,
                alpha=2.0 * rank,
                learning_rate=rate,
                epochs=EPOCHS,
                answers=0.0,
                absent=0.0,
                follow_ups=0.0,
                summarize=0.0,
                max_steps=2 if options.tiny else None,
            )
            run = RUNS / f"{'tiny-' if options.tiny else ''}{count}-{rank}-{EPOCHS}"
            samples[f"{count}-{rank}"] = found = recall(run, config)
            figures += [
                Figure(f"{count} records, rank {rank}: ROUGE-L of seen titles", found["rougeL"]),
                Figure(f"{count} records, rank {rank}: said word for word", found["exact"]),
            ]
    if not options.tiny:
        plot(samples, ROOT / "bench" / "results" / f"{datetime.date.today()}-capacity.png")
    return Outcome(figures, samples)


def recall(run: Path, config: FitConfig) -> dict:
    """Train or resume a run, and score its answers from memory."""
    prepare_catalogue(str(CATALOGUE), Run(run), PrepareConfig(), progress=False)
    if not is_done(Run(run)):
        model, base = load_base(config.base, precision=config.precision, training=True)
        tokenizer = load_tokenizer(config.base)
        fit(
            Run(run),
            model,
            base,
            load_examples(Run(run), config, tokenizer, model.config.max_position_embeddings),
            PushConfig(),
            TrackConfig(),
        )
    pair = load_pair(config.base, str(run / "adapter"), precision=config.precision)
    examples = load_examples(Run(run), config, pair.tokenizer, pair.window, pair.prompt_template)
    items = examples.build_sets(ASKED)["seen"]
    rows = [split_row(row) for row in examples.encode(items)]
    prompts, longest = [prompt for prompt, _ in rows], max(len(answer) for _, answer in rows)
    predictions = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start : start + BATCH]
        answers = complete(pair, batch, longest + MARGIN, tuned=True)
        predictions += [decode_text(pair, answer) for answer in answers]
    scores = [
        similarity(answer, item.answer)["rougeL"]
        for answer, item in zip(predictions, items, strict=True)
    ]
    record = json.loads((run / "adapter" / "run.json").read_text(encoding="utf-8"))
    return {
        "rougeL": round(sum(scores) / len(scores), 4),
        "asked": len(items),
        "exact": round(
            sum(one == item.answer for one, item in zip(predictions, items, strict=True))
            / len(items),
            4,
        ),
        "parameters": record["adapter_parameters"],
        "tokens": record["tokens"],
        "seconds": record["seconds"],
    }


def plot(samples: dict, path: Path) -> None:
    """Draw recall by records, with a line for each rank."""
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for rank in RATES:
        axes.plot(
            RECORDS,
            [samples[f"{count}-{rank}"]["rougeL"] for count in RECORDS],
            marker="o",
            label=f"rank {rank}",
        )
    axes.set(
        xlabel=f"records learned, each asked {EPOCHS} times",
        ylabel="ROUGE-L of seen titles",
        xscale="log",
        ylim=(0, 1.05),
    )
    axes.set_xticks(RECORDS, [str(count) for count in RECORDS])
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
