"""The command line: python -m train prepare | fit | evaluate | compare | publish | merge | all | deploy | rent | sample."""

from __future__ import annotations

import argparse
import os
import sys
import types
import typing
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from train.config import (
    Checked,
    CompareConfig,
    ConfigError,
    DeployConfig,
    EvaluateConfig,
    FitConfig,
    MergeConfig,
    PrepareConfig,
    PublishConfig,
    PushConfig,
    RentConfig,
    SummariesConfig,
    TrackConfig,
)
from train.run import Run

VERBS = (
    "prepare",
    "fit",
    "evaluate",
    "compare",
    "publish",
    "merge",
    "all",
    "deploy",
    "rent",
    "sample",
)
STEPS = {
    "prepare": (PrepareConfig, SummariesConfig),
    "fit": (FitConfig, PushConfig, TrackConfig),
    "evaluate": (EvaluateConfig, TrackConfig),
    "publish": (PublishConfig,),
}
ALL = tuple(dict.fromkeys(config for configs in STEPS.values() for config in configs))
CONFIGS = {
    **STEPS,
    "compare": (CompareConfig,),
    "merge": (MergeConfig,),
    "all": ALL,
    "deploy": (DeployConfig,),
    "rent": (*ALL, RentConfig),
}


def prepare(run: Run, source: str, config: PrepareConfig, summaries: SummariesConfig) -> None:
    """A catalogue becomes clean records, their index and a report; a set or a teacher gives it summaries."""
    from train.prepare import pairs
    from train.prepare import prepare as prepare_catalogue

    if not (summaries.summaries or summaries.teacher):
        pairs.refuse_leftover(run)
    report = prepare_catalogue(source, run, config)
    print(
        f"prepare: {report['read']:,} lines read, {report['kept']:,} records kept; {dropped(report)}",
        flush=True,
    )
    if summaries.summaries:
        report = pairs.prepare_pairs(run, summaries)
    elif summaries.teacher:
        from train.teacher import teach

        report = teach(run, summaries)
    else:
        return
    print(
        f"prepare: {report['read']:,} texts with summaries read, {report['kept']:,} kept, {report['splits']['unseen']:,} of "
        f"them held out; {dropped(report)}",
        flush=True,
    )


def dropped(report: dict) -> str:
    """Returns in words what a report counts as dropped."""
    return "dropped: " + (
        ", ".join(f"{count:,} {reason}" for reason, count in report["dropped"].items()) or "nothing"
    )


def fit(run: Run, config: FitConfig, push: PushConfig, track: TrackConfig) -> None:
    """The base gets its adapter."""
    from train import pipeline

    pipeline.fit_run(run, config, push, track)


def evaluate(run: Run, config: EvaluateConfig, track: TrackConfig) -> None:
    """Base and tuned are scored; table, plots and card are written."""
    from train import pipeline

    print(pipeline.evaluate_run(run, config, track), flush=True)


def compare(runs: list[Path], config: CompareConfig) -> None:
    """Two or more runs are compared on the items that all of them answered."""
    from train.evaluate import compare_runs

    print(compare_runs(runs, config), flush=True)


def publish(run: Run, config: PublishConfig) -> None:
    """Adapter and catalogue go to the Hub."""
    from train.publish import publish as publish_run

    publish_run(run, config)


def merge(run: Run, out: Path, config: MergeConfig) -> None:
    """Base and adapter become one model; how far its answers agree is printed."""
    from train import merge as merging

    told = merging.merge(run, out, config)
    print(f"merge: {out}\n{merging.in_words(told)}", flush=True)


def deploy(config: DeployConfig) -> None:
    """The page goes to a Space."""
    from train.publish import deploy as deploy_space

    deploy_space(config)


def rent(source: str, configs: dict[type, Checked]) -> None:
    """Every verb in order, on a machine of the Hub's."""
    from train.publish import rent as rent_machine

    rent_machine(source, configs)


def everything(run: Run, source: str, configs: dict[type, Checked]) -> None:
    """Every verb in order; the base is scored before it is tuned."""
    from train import pipeline

    prepare(run, source, configs[PrepareConfig], configs[SummariesConfig])
    pipeline.score_base(run, configs[FitConfig], configs[EvaluateConfig])
    fit(run, configs[FitConfig], configs[PushConfig], configs[TrackConfig])
    evaluate(run, configs[EvaluateConfig], configs[TrackConfig])
    if configs[PublishConfig].to:
        publish(run, configs[PublishConfig])


# --- the call --------------------------------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser, configs: Sequence[type]) -> None:
    """Gives the parser one option for each field of the configs; one that two of them have is one option."""
    for owner, item in {
        item.name: (config, item) for config in configs for item in fields(config)
    }.values():
        kind = typing.get_type_hints(owner)[item.name]
        if isinstance(kind, types.UnionType):
            kind = typing.get_args(kind)[0]
        if kind is bool:
            parser.add_argument(
                "--" + item.name.replace("_", "-"), action="store_true", help=item.metadata["help"]
            )
            continue
        shown = "" if item.default in ("", None) else f" (default {item.default})"
        parser.add_argument(
            "--" + item.name.replace("_", "-"),
            type=kind,
            default=item.default,
            help=item.metadata["help"].replace("%", "%%") + shown,
        )


def run_at(folder: str) -> Run:
    """Return the run in a folder."""
    return Run(Path(folder))


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of all verbs."""
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="{" + ",".join(VERBS) + "}")
    made = {name: verbs.add_parser(name) for name in VERBS}
    for name in ("prepare", "all", "rent"):
        made[name].add_argument(
            "source",
            help="a .json, .jsonl, .csv, .parquet, .gz or .zip file, a folder of "
            "them, a URL, gdrive:ID, or a Hub dataset's user/name[:split]",
        )
    for name, configs in CONFIGS.items():
        add_options(made[name], configs)
    made["evaluate"].add_argument(
        "--limit", dest="items", type=int, default=argparse.SUPPRESS, help="the same as --items"
    )
    made["merge"].add_argument(
        "--out", type=Path, default=None, help="the merged model's folder (default RUN/merged)"
    )
    for name in (*STEPS, "merge", "all"):
        made[name].add_argument("--run", type=run_at, required=True, help="the run's folder")
    made["compare"].add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="two or more; the first is the reference"
    )
    made["sample"].add_argument(
        "--base", action="store_true", help="pre-train the sample's base (long)"
    )
    made["sample"].add_argument(
        "--adapter", action="store_true", help="rebuild its catalogue and adapter (short)"
    )
    made["sample"].add_argument(
        "--run", type=run_at, default=run_at("runs/sample"), help="where it is trained"
    )
    made["sample"].add_argument(
        "--out", type=Path, default=None, help="where it goes (default space/sample)"
    )
    made["sample"].add_argument(
        "--max-steps", type=int, default=None, help="stop after this many steps"
    )
    made["sample"].add_argument(
        "--items", type=int, default=50, help="items in a set, at most (default 50)"
    )
    return parser


def dispatch(call: argparse.Namespace) -> None:
    """Does what was asked."""
    if call.verb == "sample":
        from train import sample

        return sample.rebuild(
            call.run,
            base=call.base,
            adapter=call.adapter,
            out=call.out,
            max_steps=call.max_steps,
            items=call.items,
        )
    made = {
        config: config(**{item.name: getattr(call, item.name) for item in fields(config)})
        for config in CONFIGS[call.verb]
    }
    if TrackConfig in made and made[TrackConfig].report_to != "none":
        from train.fit import tracking

        tracking.check(made[TrackConfig])
    if FitConfig in made and not made[FitConfig].base:
        raise ConfigError(
            "--base is missing: give a Hub id such as mistralai/Mistral-7B-Instruct-v0.3, or a folder"
        )
    if call.verb == "fit" and call.to and not call.push_every:
        raise ConfigError(
            "--push-every is missing: --to says where checkpoints go; `publish` sends the adapter"
        )
    if call.verb in ("publish", "rent") and not call.to:
        raise ConfigError("--to is missing: give the Hub repository, user/name")
    if call.verb == "compare":
        compare(call.runs, made[CompareConfig])
    elif call.verb == "merge":
        merge(call.run, call.out or call.run.merged, made[MergeConfig])
    elif call.verb == "prepare":
        prepare(call.run, call.source, made[PrepareConfig], made[SummariesConfig])
    elif call.verb == "fit":
        fit(call.run, made[FitConfig], made[PushConfig], made[TrackConfig])
    elif call.verb == "evaluate":
        evaluate(call.run, made[EvaluateConfig], made[TrackConfig])
    elif call.verb == "publish":
        publish(call.run, made[PublishConfig])
    elif call.verb == "deploy":
        deploy(made[DeployConfig])
    elif call.verb == "rent":
        rent(call.source, made)
    else:
        everything(call.run, call.source, made)


def main(arguments: list[str] | None = None) -> int:
    """Runs one verb and returns its exit code: 0 done, 1 the work failed, 2 the call was wrong."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    call = build_parser().parse_args(arguments)
    try:
        dispatch(call)
    except ConfigError as error:
        return _stop(str(error), 2)
    except OSError as error:
        return _stop(
            f"{error.strerror or error}: {Path(error.filename).name}"
            if error.filename
            else str(error),
            1,
        )
    except KeyboardInterrupt:
        return _stop("stopped; the same command goes on from here", 1)
    except Exception as error:
        if not is_ours(error):
            raise
        return _stop(str(error), 1)
    return 0


def is_ours(error: Exception) -> bool:
    """Whether an error was raised in words for a person; any other is a bug and keeps its traceback."""
    return type(error).__module__.split(".")[0] in ("space", "train")


def _stop(words: str, code: int) -> int:
    print("error: " + " ".join(words.split()), file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
