"""The command line: parse the call, do one verb, turn errors into one line."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import sys
import time
import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from train import ranks
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
    RefreshConfig,
    RentConfig,
    SampleConfig,
    SummariesConfig,
    TrackConfig,
    flag,
)
from train.run import Run


@dataclass(frozen=True)
class Verb:
    """One verb: its help, what it takes beside options, and the configs that its options fill."""

    help: str
    takes: tuple[str, ...]  # of "source", "new source", "run" and "runs"
    configs: tuple[type[Checked], ...]


ALL = (
    *(PrepareConfig, SummariesConfig, FitConfig, PushConfig, TrackConfig),
    *(EvaluateConfig, PublishConfig),
)
VERBS = {
    "prepare": Verb(
        "turn a catalogue into clean records", ("source", "run"), (PrepareConfig, SummariesConfig)
    ),
    "fit": Verb("train an adapter", ("run",), (FitConfig, PushConfig, TrackConfig)),
    "evaluate": Verb("score base and tuned model", ("run",), (EvaluateConfig, TrackConfig)),
    "compare": Verb("compare two or more evaluated runs", ("runs",), (CompareConfig,)),
    "publish": Verb("send adapter and catalogue to the Hub", ("run",), (PublishConfig,)),
    "merge": Verb("merge the adapter into its base", ("run",), (MergeConfig,)),
    "all": Verb("prepare, fit, evaluate, and publish if --to is given", ("source", "run"), ALL),
    "refresh": Verb(
        "bring a published adapter up to a new catalogue",
        ("new source",),
        (RefreshConfig, SummariesConfig, EvaluateConfig, TrackConfig),
    ),
    "deploy": Verb("put the page on a Space", (), (DeployConfig,)),
    "rent": Verb("run `all` on a machine of the Hub's", ("source",), (*ALL, RentConfig)),
    "sample": Verb("rebuild the embedded sample", (), (SampleConfig,)),
}
SHARED = ("fit", "evaluate", "all")  # the verbs that processes under torchrun can share
SOURCE_HELP = (
    "a .json, .jsonl, .csv, .parquet, .gz or .zip file, a folder of them, a URL, gdrive:ID, "
    "or a Hub dataset's user/name[:split]"
)
# What a full disk, missing rights and the like raise. Any other OSError is a bug of ours.
ENVIRONMENT = {
    *(errno.EACCES, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENAMETOOLONG, errno.ENFILE),
    *(errno.ENOSPC, errno.ENOTDIR, errno.EPERM, errno.EROFS),
    getattr(errno, "EDQUOT", errno.ENOSPC),  # Windows has none
}


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all verbs from their configs."""
    parser = argparse.ArgumentParser(prog="python -m train", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="{" + ",".join(VERBS) + "}")
    for name, verb in VERBS.items():
        added = verbs.add_parser(name, help=verb.help, description=verb.help)
        if "source" in verb.takes:
            added.add_argument("source", help=SOURCE_HELP)
        if "new source" in verb.takes:
            added.add_argument(
                "source", nargs="?", default="", help=f"{SOURCE_HELP}; not with --back"
            )
        if "runs" in verb.takes:
            added.add_argument(
                "runs", nargs="+", metavar="RUN", help="two or more; the first is the reference"
            )
        if "run" in verb.takes:
            added.add_argument("--run", required=True, help="the run's folder")
        add_options(added, verb.configs)
        if name == "evaluate":
            added.add_argument(
                "--limit",
                dest="items",
                type=int,
                default=argparse.SUPPRESS,
                help="the same as --items",
            )
    return parser


def add_options(parser: argparse.ArgumentParser, configs: Sequence[type[Checked]]) -> None:
    """Add an option for each field of the configs.

    A field that two share is one option.
    """
    added = set()
    for config in configs:
        hints = typing.get_type_hints(config)
        for item in fields(config):
            if item.name in added:
                continue
            added.add(item.name)
            text = item.metadata["help"].replace("%", "%%")
            if hints[item.name] is bool:
                parser.add_argument(flag(item.name), dest=item.name, action="store_true", help=text)
                continue
            kind = hints[item.name]
            if isinstance(kind, types.UnionType):
                kind = typing.get_args(kind)[0]
            if item.default not in ("", None):
                text += f" (default {item.default})"
            parser.add_argument(
                flag(item.name), dest=item.name, type=kind, default=item.default, help=text
            )


def read_configs(call: argparse.Namespace) -> dict[type[Checked], typing.Any]:
    """Make the verb's configs from a parsed call.

    Raise ConfigError for what contradicts.
    """
    configs = {}
    for config in VERBS[call.verb].configs:
        configs[config] = config(**{item.name: getattr(call, item.name) for item in fields(config)})
    if call.verb == "fit" and call.to and not call.push_every:
        raise ConfigError(
            "--push-every is missing: --to says where checkpoints go; `publish` sends the adapter"
        )
    if call.verb == "refresh" and bool(call.source) == call.back:
        raise ConfigError("give the new catalogue's SOURCE, or --back and no SOURCE")
    if call.verb in ("publish", "rent") and not call.to:
        raise ConfigError("--to is missing: give the Hub repository, user/name")
    return configs


def do(call: argparse.Namespace) -> None:
    """Do one verb.

    Modules that need torch are imported by the verbs that need them.
    """
    configs = read_configs(call)
    made = tuple(configs.values())
    if call.verb == "prepare":
        from train.prepare import prepare_run

        run, summaries = Run(Path(call.run)), configs[SummariesConfig]
        prepare_run(call.source, run, configs[PrepareConfig], summaries)
        if summaries.teacher:
            from train.teacher import teach_run

            teach_run(run, summaries)
    elif call.verb == "fit":
        from train.pipeline import fit_run

        fit_run(Run(Path(call.run)), *made)
    elif call.verb == "evaluate":
        from train.pipeline import evaluate_run

        ranks.say(evaluate_run(Run(Path(call.run)), *made))
    elif call.verb == "compare":
        from train.evaluate import compare_runs

        print(compare_runs([Path(run) for run in call.runs], *made), flush=True)
    elif call.verb == "publish":
        from train.publish import publish

        publish(Run(Path(call.run)), *made)
    elif call.verb == "merge":
        from train.merge import describe_agreement, merge

        run, config = Run(Path(call.run)), configs[MergeConfig]
        out = Path(config.out) if config.out else run.merged
        print(f"merge: {out}\n{describe_agreement(merge(run, out, config))}", flush=True)
    elif call.verb == "all":
        from train.pipeline import run_all

        run_all(call.source, Run(Path(call.run)), configs)
    elif call.verb == "refresh":
        from train.refresh import refresh

        refresh(call.source, configs)
    elif call.verb == "deploy":
        from train.publish import deploy_space

        deploy_space(*made)
    elif call.verb == "rent":
        from train.publish import rent_machine

        rent_machine(call.source, configs)
    else:
        from train.sample import rebuild_sample

        rebuild_sample(configs[SampleConfig])


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return its exit code.

    0: done. 1: the work failed. 2: the call was wrong.
    """
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    arguments = sys.argv[1:] if arguments is None else arguments
    call = build_parser().parse_args(arguments)
    try:
        with _terminated_as_interrupted():
            processes = _processes_to_start(call)
            if processes > 1:
                print(f"{call.verb}: one process for each of {processes} GPUs", flush=True)
                return ranks.launch(processes, arguments)
            do(call)
            ranks.leave()
    except ConfigError as error:
        return _stop(str(error), 2)
    except KeyboardInterrupt:
        return _stop("stopped; the same command goes on from here", 1)
    except Exception as error:
        line = in_one_line(error)
        if line is None:
            raise
        return _stop(line, 1)
    return 0


def _processes_to_start(call: argparse.Namespace) -> int:
    """Count the GPUs that `all` uses by itself.

    0 for other verbs. Raise ConfigError for a verb that several processes cannot share.
    """
    if ranks.world_size() > 1 and call.verb not in SHARED:
        raise ConfigError(f"{call.verb} is for one process: start it without torchrun")
    if call.verb != "all":
        return 0
    read_configs(call)
    return ranks.idle_gpus()


def in_one_line(error: Exception) -> str | None:
    """Return an error's words for a person.

    None for a bug, which keeps its traceback.
    """
    if type(error).__module__.split(".")[0] in ("space", "train"):
        return str(error)
    if isinstance(error, OSError) and error.errno in ENVIRONMENT:
        name = f": {Path(error.filename).name}" if error.filename else ""
        return f"{error.strerror}{name}"
    return None


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM act as Ctrl-C: it ends a job or a Space."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(words: str, code: int) -> int:
    where = ""
    if not ranks.is_main():
        # Of what is wrong on all ranks, rank 0 speaks, and torchrun ends the others meanwhile.
        time.sleep(ranks.PATIENCE_WITH_ERRORS)
        where = f"rank {ranks.rank()}: "
    print("error: " + where + " ".join(words.split()), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    code = main()
    if code and ranks.world_size() > 1:
        sys.stdout.flush()
        os._exit(code)  # NCCL's own end may wait for ranks that wait for this one
    sys.exit(code)
