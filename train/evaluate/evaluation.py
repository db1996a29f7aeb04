"""evaluation.json: which adapter was scored, on what and how, to notice what changed afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from space.evidence import Change
from train.config import EvaluateConfig
from train.evaluate.samples import ScoredItem
from train.run import Run, sha256_file

VERSION = 1
# What decides an adapter's answers. Its card is not among them: evaluate itself writes it.
ANSWERING = (
    "adapter_model.safetensors",
    "adapter_config.json",
    "prompt.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)
AGAIN = "run `python -m train evaluate` to score it again"


def evaluation_record(
    run: Run, config: EvaluateConfig, items: Sequence[ScoredItem], checked: dict[str, int]
) -> dict[str, Any]:
    """Make evaluation.json: {"version", "adapter": {file: digest}, "options", "items", "checked"}.

    "items" is the digest of all that was asked, `checked` what the contamination check compared.
    """
    asked = [
        [item.set, item.uid, item.question, item.reference, list(item.sources)] for item in items
    ]
    return {
        "version": VERSION,
        "adapter": adapter_digests(run.adapter),
        "options": {"items": config.items, "shots": config.shots},
        "items": "sha256:" + hashlib.sha256(json.dumps(asked).encode()).hexdigest(),
        "checked": checked,
    }


def adapter_digests(adapter: Path) -> dict[str, str]:
    """Digest the files that decide an adapter's answers: {file: "sha256:..."}."""
    paths = [adapter / name for name in ANSWERING]
    return {path.name: sha256_file(path) for path in paths if path.is_file()}


def evaluation_problems(run: Run) -> Iterator[str]:
    """Yield why a run's scores cannot be used.

    They are not its adapter's, or not what this version reads.
    """
    names = f"{run.evaluation.name} or metrics.json"
    try:
        kept, metrics = (_read_strict(path) for path in (run.evaluation, run.metrics))
    except FileNotFoundError as error:
        yield f"{Path(error.filename).name} is missing: {AGAIN}"
        return
    except ValueError as error:
        yield f"{names} cannot be read ({error}): {AGAIN}"
        return
    if not isinstance(kept, dict) or not _are_scores(metrics):
        yield f"{names} is not what evaluate writes: {AGAIN}"
        return
    if kept.get("version") != VERSION:
        version = kept.get("version")
        yield f"{run.evaluation.name} is of version {version!r}, this reads {VERSION}: {AGAIN}"
        return
    if not isinstance(kept.get("adapter"), dict):
        yield f"{run.evaluation.name} does not say which adapter was scored: {AGAIN}"
        return
    missing = _missing(metrics)
    if missing:
        yield f"metrics.json is of an older version, without {', '.join(missing)}: {AGAIN}"
    now = adapter_digests(run.adapter)
    changed = [
        f"adapter/{name}" for name in ANSWERING if kept["adapter"].get(name) != now.get(name)
    ]
    if changed:
        verb = "was" if len(changed) == 1 else "were"
        yield f"{', '.join(changed)} {verb} changed after the adapter was scored: {AGAIN}"


def _read_strict(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> float:
    """Raise ValueError for what only Python's JSON knows: NaN and the infinities."""
    raise ValueError(f"{name} is not JSON")


def _are_scores(metrics: Any) -> bool:
    """Tell whether a JSON value is shaped like metrics.json of any version."""
    if not isinstance(metrics, dict):
        return False
    for scores in metrics.values():
        changes = scores.get("difference", {}) if isinstance(scores, dict) else None
        if not isinstance(changes, dict):
            return False
        if not all(isinstance(change, dict) for change in changes.values()):
            return False
    return True


def _missing(metrics: dict[str, Any]) -> list[str]:
    """Name what an older version's metrics.json lacks."""
    sets = list(metrics.values())
    changes = []
    for scores in sets:
        changes += scores.get("difference", {}).values()
    parts = ("n", "base", "tuned", "difference", "against")
    missing = []
    for name in parts:
        if not all(name in scores for scores in sets):
            missing.append(name)
    for field in fields(Change):
        if not all(field.name in change for change in changes):
            missing.append(field.name)
    return missing
