"""The verbs in order: which step needs which model, and what it leaves in the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from space.catalogue import Catalogue
from space.model import (
    Pair,
    PromptTemplate,
    Window,
    family_of,
    load_base,
    load_pair,
    load_tokenizer,
    pair_up,
)
from train import ranks
from train.config import (
    Checked,
    ConfigError,
    EvaluateConfig,
    FitConfig,
    PrepareConfig,
    PublishConfig,
    PushConfig,
    SummariesConfig,
    TrackConfig,
)
from train.evaluate import describe_scores, score_base_columns, score_models, write_evaluation
from train.examples import Examples
from train.fit import check_device, check_init, check_tracking, fit, is_done, track_evaluation
from train.prepare import (
    describe_references,
    load_pairs,
    load_records,
    prepare_run,
    require_catalogue,
)
from train.publish import adapter_card, publish
from train.run import Run
from train.teacher import teach_run

UNTRACKED = TrackConfig()


def load_examples(
    run: Run,
    config: FitConfig,
    tokenizer,
    window: Window,
    prompt_template: PromptTemplate | None = None,
) -> Examples:
    """Load a run's catalogue and summaries as examples."""
    records = load_records(run)
    # An evaluation may have fewer processes than the training that it asks about.
    trained = run.adapter_record().get("world_size", 1) if run.has_adapter() else None
    return Examples(
        records,
        Catalogue.open(run.catalogue),
        tokenizer,
        prompt_template or PromptTemplate(),
        config,
        window,
        load_pairs(run),
        trained or ranks.world_size(),
    )


def score_base(run: Run, fit_config: FitConfig, config: EvaluateConfig) -> None:
    """Score the base, zero-shot and few-shot, before anything is trained."""
    ranks.join()
    require_catalogue(run)
    check_device()
    run.check_fit_config(fit_config)
    model, base = load_base(fit_config.base, fit_config.base_revision, fit_config.precision)
    check_init(fit_config, model.config)
    with ranks.main_first():
        run.keep_fit_config(fit_config)
    tokenizer = load_tokenizer(
        fit_config.base, fit_config.base_revision, family_of(model.config).template
    )
    rows = pair_up(model)
    pair = Pair(model, tokenizer, PromptTemplate(), base, "", "", fit_config.precision, rows)
    examples = load_examples(run, fit_config, tokenizer, pair.window)
    examples.check_contamination(config.items)
    score_base_columns(run, pair, examples, config)


def fit_run(run: Run, config: FitConfig, push: PushConfig, track: TrackConfig) -> None:
    """Train the run's adapter.

    A finished one is left alone. `push` says where checkpoints go, `track` which board follows.
    """
    ranks.join()
    check_tracking(track)
    require_catalogue(run)
    check_device()
    run.check_fit_config(config)
    if is_done(run):
        ranks.say("fit: done already")
        return
    ranks.mention_idle_gpus("fit")
    model, base = load_base(config.base, config.base_revision, config.precision, training=True)
    check_init(config, model.config)
    family = family_of(model.config)
    tokenizer = load_tokenizer(config.base, config.base_revision, family.template)
    examples = load_examples(run, config, tokenizer, family.window(model.config))
    fit(run, model, base, examples, push, track)


def evaluate_run(run: Run, config: EvaluateConfig, track: TrackConfig = UNTRACKED) -> str:
    """Score the run, write all that evaluation leaves, and return the table.

    Under torchrun all ranks call it, and rank 0 writes; the others return "".
    """
    ranks.join()
    ranks.mention_idle_gpus("evaluate")
    check_tracking(track)
    if not run.has_adapter():
        raise ConfigError(f"{run.name} has no adapter yet: run fit first")
    fit_config = run.fit_config()
    pair = load_pair(
        fit_config.base, str(run.adapter), fit_config.base_revision, precision=fit_config.precision
    )
    examples = load_examples(run, fit_config, pair.tokenizer, pair.window, pair.prompt_template)
    checked = examples.check_contamination(config.items)
    if not ranks.is_main():
        score_models(run, pair, examples, config)
        return ""
    unfinished = run.folder / "evaluation.unfinished"
    made = write_evaluation(
        run, unfinished, pair, examples, config, checked, describe_references(run)
    )
    text = adapter_card(run, fit_config.base, made.metrics, made.items, config.shots, checked)
    (unfinished / "README.md").write_text(text, encoding="utf-8")
    run.keep_evaluation(unfinished)
    track_evaluation(run, track)
    return describe_scores(made.metrics, config.shots)


def run_all(source: str, run: Run, configs: Mapping[type[Checked], Any]) -> None:
    """Run every verb in order.

    The base is scored before anything is trained. Under torchrun rank 0 alone prepares and
    publishes.
    """
    check_tracking(configs[TrackConfig])
    if ranks.is_main():
        prepare_run(source, run, configs[PrepareConfig], configs[SummariesConfig])
        if configs[SummariesConfig].teacher:
            teach_run(run, configs[SummariesConfig])
    score_base(run, configs[FitConfig], configs[EvaluateConfig])
    fit_run(run, configs[FitConfig], configs[PushConfig], configs[TrackConfig])
    ranks.say(evaluate_run(run, configs[EvaluateConfig], configs[TrackConfig]))
    if configs[PublishConfig].to and ranks.is_main():
        publish(run, configs[PublishConfig])
