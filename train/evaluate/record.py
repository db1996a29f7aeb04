"""What was scored: which adapter, on what and how, kept beside the scores, so that one that changed afterwards is found out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from train.config import EvaluateConfig
from train.run import Run

EVALUATION = "evaluation.json"  # in the run
VERSION = 1
# What decides what an adapter says. Its card is not among them: evaluate itself writes it.
SPEAKING = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "prompt.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
DIFFERENCE = ("mean", "low", "high", "wins", "ties", "losses", "needed")


def record(run: Run, config: EvaluateConfig, lines: list[dict], checked: dict[str, int]) -> dict:
    """Returns evaluation.json: {"version", "adapter": {file: digest}, "options", "items": digest of all, "checked"}.

    `lines` are those of samples.jsonl, `checked` what leaks.check() compared.
    """
    asked = [
        [line["set"], line["uid"], line["question"], line["reference"], line["sources"]]
        for line in lines
    ]
    return {
        "version": VERSION,
        "adapter": digests(run.adapter),
        "options": {"items": config.items, "shots": config.shots},
        "items": "sha256:" + hashlib.sha256(json.dumps(asked).encode()).hexdigest(),
        "checked": checked,
    }


def digests(adapter: Path) -> dict[str, str]:
    """Returns {file: "sha256:..."} of what decides what an adapter says."""
    found = {}
    for path in (adapter / name for name in SPEAKING):
        if path.is_file():
            with path.open("rb") as file:
                found[path.name] = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    return found


def faults(run: Run) -> Iterator[str]:
    """Yields, in words, why the scores in a run are not its adapter's, or not what this version reads."""
    again = "run `python -m train evaluate` to score it again"
    try:
        kept, metrics = (
            json.loads((run.folder / name).read_text(encoding="utf-8"), parse_constant=no_number)
            for name in (EVALUATION, "metrics.json")
        )
    except FileNotFoundError as error:
        yield f"{Path(error.filename).name} is missing: {again}"
        return
    except ValueError as error:
        yield f"{EVALUATION} or metrics.json cannot be read ({error}): {again}"
        return
    if not isinstance(kept, dict) or not _are_scores(metrics):
        yield f"{EVALUATION} or metrics.json is not what evaluate writes: {again}"
        return
    if kept.get("version") != VERSION:
        yield f"{EVALUATION} is of version {kept.get('version')!r}, this reads {VERSION}: {again}"
        return
    if not isinstance(kept.get("adapter"), dict):
        yield f"{EVALUATION} does not say which adapter was scored: {again}"
        return
    lacks = lacking(metrics)
    if lacks:
        yield f"metrics.json is of an older version, without {', '.join(lacks)}: {again}"
    now = digests(run.adapter)
    changed = [f"adapter/{name}" for name in SPEAKING if kept["adapter"].get(name) != now.get(name)]
    if changed:
        yield f"{', '.join(changed)} {'was' if len(changed) == 1 else 'were'} changed after the adapter was scored: {again}"


def _are_scores(metrics) -> bool:
    """Whether what metrics.json holds has sets, and those what they say of differences, in the shape of one of any version."""
    return isinstance(metrics, dict) and all(
        isinstance(scores, dict)
        and isinstance(changes := scores.get("difference", {}), dict)
        and all(isinstance(change, dict) for change in changes.values())
        for scores in metrics.values()
    )


def no_number(name: str) -> float:
    """Raises ValueError for what Python's JSON knows and no other: NaN and the infinities."""
    raise ValueError(f"{name} is no number")


def lacking(metrics: dict) -> list[str]:
    """Returns what metrics.json does not say in every set that one of this version says."""
    wanted = [("n", "base", "tuned", "difference", "against"), DIFFERENCE]
    sets = list(metrics.values())
    found = [name for name in wanted[0] if not all(name in scores for scores in sets)]
    changes = [change for scores in sets for change in scores.get("difference", {}).values()]
    return found + [name for name in wanted[1] if not all(name in change for change in changes)]
