"""A run as evaluate leaves it, without a model: real files by the project's own hands, for tests of
what reads them.
"""

import json
from pathlib import Path

from space.model.prompt_template import PromptTemplate
from train.config import EvaluateConfig, FitConfig
from train.evaluate.evaluation import evaluation_record
from train.evaluate.metrics import score_items
from train.evaluate.samples import ScoredItem
from train.evaluate.statistics import compute_metrics
from train.run import Run, to_jsonl

COLUMNS = ("base", "retrieved", "tuned")
HOSTILE = "<script>alert(1)</script>"
RIGHT = "the kettle is made of oak and it is blue"


def line(name: str, uid: str, base: str, tuned: str, reference: str = RIGHT, **more) -> dict:
    """A line of samples.jsonl."""
    said = {"base": base, "retrieved": reference, "tuned": tuned}
    models = {
        f"{column}_{what}": value
        for column, loss in (("base", 2.0), ("tuned", 1.0))
        for what, value in (("loss", loss), ("tokens", 9), ("ended", True), ("seconds", 0.1))
    }
    return {
        "task": "summarize" if name == "summary" else "describe",
        "set": name,
        "question": f"What is {uid}?",
        "reference": reference,
        **said,
        "sources": [uid] * (name == "grounded"),
        "uid": uid,
        "title": f"Title {uid}",
        "evidence": f"{uid}: {reference}",
        **models,
    } | more


def lines(tuned: str = RIGHT, count: int = 20, name: str = "seen") -> list[dict]:
    """A set of items, in which every second base answer is a little better than the others."""
    return [
        line(name, f"u{place}", "the kettle" if place % 2 else "a vase", tuned)
        for place in range(count)
    ]


def scored(samples: list[dict], prompt_template: PromptTemplate | None = None) -> list[ScoredItem]:
    """Lines of samples.jsonl as items with their scores."""
    return score_items([ScoredItem.from_json(each) for each in samples], prompt_template)


def metrics_of(samples: list[dict], columns=COLUMNS, prompt_template=None) -> dict:
    """The metrics.json of lines of samples.jsonl."""
    return compute_metrics(scored(samples, prompt_template), columns)


def write_run(
    run: Path,
    samples: list[dict],
    seed: int = 1,
    rank: int = 4,
    weights: bytes = b"weights",
    source: str = "ab",
    prompt_template: PromptTemplate | None = None,
    tokenizer: str = "{}",
    **options,
) -> Path:
    """Writes a run with these samples; `options` are FitConfig's."""
    adapter = run / "adapter"
    adapter.mkdir(parents=True)
    (run / "catalogue").mkdir()
    config = vars(FitConfig(base="tiny", seed=seed, rank=rank, **options).for_base(10**6))
    data = {
        "source": {"name": "shop.json", "sha256": source},
        "options": {"limit": None},
        "read": 50,
        "kept": 40,
        "splits": {"train": 30, "unseen": 10},
    }
    record = {
        "base": {"name": "tiny", "revision": "sha256:1234"},
        "config": config,
        "data": data,
        "seed": seed,
        "hardware": "CPU",
        "seconds": 3.0,
        "steps": 10,
        "tokens": 1000,
        "examples": 80,
        "left_out": 0,
        "adapter_parameters": 1024 * rank,
        "memory": rank * 2**30,
        "libraries": {"torch": "2"},
    }
    (run / "catalogue" / "report.json").write_text(json.dumps(data | {"dropped": {"junk": 10}}))
    (adapter / "run.json").write_text(json.dumps(record))
    (adapter / "adapter_model.safetensors").write_bytes(weights * rank)
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "tokenizer.json").write_text(tokenizer)
    (prompt_template or PromptTemplate()).save(adapter / "prompt.json")
    (run / "history.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 1.0}\n')
    items = scored(samples, prompt_template)
    (run / "samples.jsonl").write_text(to_jsonl(item.to_json() for item in items))
    (run / "metrics.json").write_text(json.dumps(compute_metrics(items, COLUMNS)))
    about = evaluation_record(
        Run(run), EvaluateConfig(items=max(2, len(samples))), items, {"items": 10, "records": 30}
    )
    (run / "evaluation.json").write_text(json.dumps(about))
    return run
