"""Train the embedded sample: the default base on the catalogue of examples/catalogue."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from space.evidence import FILES
from space.settings import DEFAULT_BASE
from train.config import (
    EvaluateConfig,
    FitConfig,
    PrepareConfig,
    PublishConfig,
    PushConfig,
    SampleConfig,
    SummariesConfig,
    TrackConfig,
)
from train.pipeline import run_all
from train.run import Run

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "space" / "sample"
CATALOGUE = ROOT / "examples" / "catalogue"
QUICK_STEPS = 40  # of `make run`; the committed adapter takes all of the recipe's
PREPARE = PrepareConfig(unseen_share=0.15)
RECIPE = FitConfig(
    base=DEFAULT_BASE,
    learn=60,
    answers=11.5,
    absent=0.4,
    asked=30.0,
    unstated=0.3,
    follow_ups=2.5,
    summarize=2.5,
    rehearse=3.9,
    learning_rate=1e-3,
    batch_size=8,
    answer_tokens=64,
    max_length=640,
    snapshots=True,
)


def rebuild_sample(config: SampleConfig) -> None:
    """Train and score the embedded sample.

    With `config.adapter` all of the recipe's steps are taken, and the result goes to `config.out`.
    """
    steps = config.max_steps or (None if config.adapter else QUICK_STEPS)
    recipe = replace(RECIPE, max_steps=steps)
    out = Path(config.out) if config.out else SAMPLE
    run = Run(Path(config.run))
    train_sample(run, recipe, CATALOGUE, PREPARE, out if config.adapter else None, config.items)


def train_sample(
    run: Run,
    recipe: FitConfig,
    source: Path,
    prepare: PrepareConfig,
    out: Path | None,
    items: int = 50,
) -> None:
    """Train and score a recipe, and copy what is served to `out`."""
    configs = (
        prepare,
        SummariesConfig(),
        recipe,
        PushConfig(),
        TrackConfig(),
        EvaluateConfig(items=items),
        PublishConfig(),
    )
    run_all(str(source), run, {type(config): config for config in configs})
    if out is None:
        return
    for name in ("catalogue", "adapter", "plots"):
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.copytree(run.folder / name, out / name)
    for name in FILES:
        shutil.copyfile(run.folder / name, out / name)
