"""The command line: python -m bench [NAME ...] [--full] [--tiny]; all, if no name is given."""

from __future__ import annotations

import argparse
import importlib
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from bench.figures import ROOT, Options, Skipped, conditions, table, write

NAMES = (
    "decode",
    "training",
    "startup",
    "sample",
    "summaries",
    "scoring",
    "catalogue",
    "search",
    "titles",
    "explain",
    "anywhere",
    "vllm",
    "kills",
    "capacity",
    "recipe",
    "batch",
    "visitors",
    "page",
)


def main(arguments: list[str] | None = None) -> int:
    """Measures what is named and returns 0 where every target was met, else 1."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)} (default all)"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="sample: also score 200 items a set, against the targets",
    )
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="tiny shapes: only checks that it runs, writes no result",
    )
    call = parser.parse_args(arguments)
    unknown = [name for name in call.names if name not in NAMES]
    if unknown:
        parser.error(f"{', '.join(unknown)}: it is one of {', '.join(NAMES)}")
    missed = False
    for name in call.names or NAMES:
        missed |= not measure(name, Options(call.full, call.tiny))
    return int(missed)


def measure(name: str, options: Options) -> bool:
    """Measures one thing, prints its table and writes its result; returns whether no target was
    missed.
    """
    print(f"{name}:", flush=True)
    measured = conditions()
    try:
        outcome = importlib.import_module(f"bench.{name}").measure(options)
    except Skipped as reason:
        print(f"  skipped: {reason}", flush=True)
        return True
    print(table(outcome.figures), flush=True)
    if options.tiny:
        return True
    print(f"  -> {write(name, outcome, measured).relative_to(ROOT)}", flush=True)
    return all(figure.passed is not False for figure in outcome.figures)


if __name__ == "__main__":
    sys.exit(main())
