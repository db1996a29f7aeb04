"""The recipe's choices, each changed alone: 300 steps and three seeds each, on the sample."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import mean, stdev

from bench.figures import ROOT, Figure, Options, Outcome
from bench.startup import need_sample
from space.settings import DEFAULT_BASE
from train import pipeline
from train.config import EvaluateConfig, FitConfig, PrepareConfig, PushConfig, TrackConfig
from train.prepare import prepare_catalogue
from train.run import Run
from train.sample import CATALOGUE, RECIPE

RUNS = ROOT / "runs" / "recipe"  # kept: a measurement that was cut off goes on from its runs
STEPS, SEEDS, ITEMS = 300, (1, 2, 3), 100
CHOICES = {
    "as it is": {},
    "rank 8": {"rank": 8, "alpha": 16.0},
    "rank 64": {"rank": 64, "alpha": 128.0},
    "half the learning rate": {"learning_rate": RECIPE.learning_rate / 2},
    "twice the learning rate": {"learning_rate": RECIPE.learning_rate * 2},
    "half the answers": {"answers": RECIPE.answers / 2},
    "twice the answers": {"answers": RECIPE.answers * 2},
    "half of what is absent": {"absent": RECIPE.absent / 2},
    # rsLoRA's usual alpha: a scale of 16 / sqrt(32) = 2.8, where the recipe's is 64 / 32 = 2.
    "rank-stabilized": {"rank_stabilized": True, "alpha": 16.0},
    "EVA initialisation": {"init": "eva"},
}
SHOWN = (
    ("seen", "rougeL"),
    ("unseen", "rougeL"),
    ("grounded", "rougeL"),
    ("grounded", "source_right"),
    ("absent", "says_absent"),
    ("summary", "rougeL"),
)


def measure(options: Options) -> Outcome:
    """Train and score every choice with every seed; report mean and standard deviation."""
    need_sample()
    steps, seeds, items = (2, (1, 2), 2) if options.tiny else (STEPS, SEEDS, ITEMS)
    figures, samples = [], {}
    for choice, changes in list(CHOICES.items())[: 2 if options.tiny else None]:
        config = replace(RECIPE, base=DEFAULT_BASE, max_steps=steps, **changes)
        samples[choice] = [
            scored(choice, replace(config, seed=seed), items, options.tiny) for seed in seeds
        ]
        for title, metric in SHOWN:
            values = [scores[title]["tuned"][metric] for scores in samples[choice]]
            figures += [
                Figure(f"{choice}: {title}, {metric}", mean(values)),
                Figure(
                    f"{choice}: {title}, {metric}, standard deviation over seeds", stdev(values)
                ),
            ]
    return Outcome(figures, {"steps": steps, "choices": samples})


def scored(choice: str, config: FitConfig, items: int, tiny: bool) -> dict:
    """Train and score one choice with one seed, in its own run."""
    run = RUNS / f"{'tiny-' if tiny else ''}{choice.replace(' ', '-')}-{config.seed}"
    prepare_catalogue(str(CATALOGUE), Run(run), PrepareConfig(), progress=False)
    pipeline.fit_run(Run(run), config, PushConfig(), TrackConfig())
    pipeline.evaluate_run(Run(run), EvaluateConfig(items=items, shots=0))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {
        title: {"n": scores["n"], "tuned": scores["tuned"]} for title, scores in metrics.items()
    }
