"""The verbs in order: which step needs which model, and what it leaves in the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from typing import Any

from space.catalogue import Catalogue
from space.model import (
    Pair,
    PromptTemplate,
    Rows,
    Window,
    family_of,
    load_base,
    load_pair,
    load_tokenizer,
)
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
from train.evaluate import page, statistics
from train.evaluate import record as evaluation
from train.evaluate import score as evaluate
from train.evaluate import tables as report
from train.examples import Examples
from train.fit import check_init, check_tracking, fit, is_done, track_evaluation
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
    """Returns the run's examples, from its prepared catalogue and, where it has any, its texts with summaries."""
    records = load_records(run)
    return Examples(
        records,
        Catalogue.open(run.catalogue),
        tokenizer,
        prompt_template or PromptTemplate(),
        config,
        window,
        load_pairs(run),
    )


def score_base(run: Run, fit_config: FitConfig, config: EvaluateConfig) -> None:
    """Scores the base before anything is trained, without and with worked examples, and keeps it in the run."""
    require_catalogue(run)
    run.check_fit_config(fit_config)
    model, base = load_base(fit_config.base, fit_config.base_revision, fit_config.precision)
    check_init(fit_config, model.config)
    run.keep_fit_config(fit_config)
    tokenizer = load_tokenizer(
        fit_config.base, fit_config.base_revision, family_of(model.config).template
    )
    pair = Pair(model, tokenizer, PromptTemplate(), base, "", "", fit_config.precision, Rows())
    examples = load_examples(run, fit_config, tokenizer, pair.window)
    examples.check_contamination(config.items)
    _score_base(run, pair, examples, config)


def _score_base(
    run: Run, pair: Pair, examples: Examples, config: EvaluateConfig
) -> dict[str, dict]:
    columns = ["base", "few_shot"] if config.shots else ["base"]
    return {
        column: evaluate.score_column(run, pair, examples, config, column) for column in columns
    }


def fit_run(run: Run, config: FitConfig, push: PushConfig, track: TrackConfig) -> None:
    """Trains the run's adapter; one that is whole already is left as it is.

    `push` is where checkpoints go meanwhile, `track` where it is followed.
    """
    check_tracking(track)
    require_catalogue(run)
    run.check_fit_config(config)
    if is_done(run):
        print("fit: done already", flush=True)
        return
    model, base = load_base(config.base, config.base_revision, config.precision, training=True)
    check_init(config, model.config)
    family = family_of(model.config)
    tokenizer = load_tokenizer(config.base, config.base_revision, family.template)
    examples = load_examples(run, config, tokenizer, family.window(model.config))
    fit(run, model, base, examples, push, track)


def evaluate_run(run: Run, config: EvaluateConfig, track: TrackConfig = UNTRACKED) -> str:
    """Scores what is not scored yet, writes metrics, samples, report, plots and card, tracks them and returns the table."""
    check_tracking(track)
    if not run.has_adapter():
        raise ConfigError(f"{run.name} has no adapter yet: run fit first")
    fit_config = run.fit_config()
    pair = load_pair(
        fit_config.base, str(run.adapter), fit_config.base_revision, precision=fit_config.precision
    )
    examples = load_examples(run, fit_config, pair.tokenizer, pair.window, pair.prompt_template)
    checked = examples.check_contamination(config.items)
    columns = _score_base(run, pair, examples, config)
    columns["retrieved"] = evaluate.retrieved(examples, config)
    columns["tuned"] = evaluate.score_column(run, pair, examples, config, "tuned")
    lines = evaluate.samples(examples, config, columns)
    metrics = statistics.metrics(lines, list(columns), pair.prompt_template)
    if "summary" in metrics:
        metrics["summary"]["references"] = describe_references(run)
    about = evaluation.record(run, config, lines, checked)
    record = run.adapter_record()
    unfinished = run.folder / "evaluation.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "plots").mkdir(parents=True)
    for name, text in {
        "samples.jsonl": "".join(
            json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines
        ),
        "metrics.json": json.dumps(metrics, indent=1, allow_nan=False) + "\n",
        run.evaluation.name: json.dumps(about, indent=1) + "\n",
        "report.html": page.report(run, record, about, metrics, lines, pair.prompt_template),
        "README.md": adapter_card(run, fit_config.base, metrics, lines, config.shots, checked),
    }.items():
        (unfinished / name).write_text(text, encoding="utf-8")
    report.plot_loss(run.history, unfinished / "plots" / "loss.png")
    report.plot_before_after(metrics, config.shots, unfinished / "plots" / "before_after.png")
    run.keep_evaluation(unfinished)
    track_evaluation(run, track)
    return report.as_text(report.table_rows(metrics, config.shots)) + report.summary_note(metrics)


def run_all(source: str, run: Run, configs: Mapping[type[Checked], Any]) -> None:
    """Run every verb in order; the base is scored before anything is trained."""
    check_tracking(configs[TrackConfig])
    prepare_run(source, run, configs[PrepareConfig], configs[SummariesConfig])
    if configs[SummariesConfig].teacher:
        teach_run(run, configs[SummariesConfig])
    score_base(run, configs[FitConfig], configs[EvaluateConfig])
    fit_run(run, configs[FitConfig], configs[PushConfig], configs[TrackConfig])
    print(evaluate_run(run, configs[EvaluateConfig], configs[TrackConfig]), flush=True)
    if configs[PublishConfig].to:
        publish(run, configs[PublishConfig])
