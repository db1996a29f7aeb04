"""Base against tuned on the same prompts: the sets, the scores, their intervals and every answer behind them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from space.decode import complete
from space.pair import Pair
from space.prompt import language
from space.wording import CITATION, Wording
from train.config import EvaluateConfig
from train.examples import Examples
from train.measures import Rouge, SaysAbsent, SourceRight, TokenF1, UnicodeRouge

RESAMPLES = 10_000  # of the paired bootstrap
MARGIN = 16  # tokens that an answer may go past the longest reference of its set


def score_column(run: Path, pair: Pair, examples: Examples, config: EvaluateConfig, column: str) -> dict[tuple, dict]:
    """Answers every item with one model and returns {(set, uid): {"said", "loss", ...}}.

    `column` is "base", "few_shot" (the base with worked examples) or "tuned". What was scored stays in
    run/scores/<column>.jsonl and is not scored again while the model, the prompt and the reference are the same.
    """
    path = run / "scores" / f"{column}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept, todo = _kept(path), []
    wanted: dict[tuple, dict] = {}
    model = pair.adapter_revision if column == "tuned" else pair.base.revision
    for name, items in examples.sets(config.items).items():
        shown = [examples.worked(item, config.shots) for item in items] if column == "few_shot" else items
        rows = examples.encoded(shown)
        fitting = [(item, row) for item, row in zip(shown, rows, strict=True) if row]
        longest = max((sum(label >= 0 for label in row["labels"]) for _, row in fitting), default=0)
        for item, row in fitting:
            mark = hashlib.sha256(json.dumps([model, pair.precision, longest, row["input_ids"]]).encode()).hexdigest()
            wanted[name, item.uid] = old = kept.get((name, item.uid), {})
            if old.get("fingerprint") != mark:
                todo.append({"set": name, "uid": item.uid, "fingerprint": mark, "row": row, "longest": longest})
    todo.sort(key=lambda job: (job["longest"], job["row"]["length"]))
    with path.open("a", encoding="utf-8") as file, tqdm(total=len(todo), desc=f"score {column}", unit="item") as bar:
        while todo:
            size = next((n for n, job in enumerate(todo) if job["set"] != todo[0]["set"]), len(todo))
            batch, todo = todo[:min(size, config.score_batch)], todo[min(size, config.score_batch):]
            for line in _score(pair, batch, column == "tuned"):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                wanted[line["set"], line["uid"]] = line
            file.flush()
            bar.update(len(batch))
    return wanted


def _kept(path: Path) -> dict[tuple, dict]:
    lines: dict[tuple, dict] = {}
    if path.is_file():
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the line that was being written when an earlier run was killed
            lines[line["set"], line["uid"]] = line
    return lines


def _score(pair: Pair, batch: Sequence[dict], tuned: bool) -> list[dict]:
    rows = [job["row"] for job in batch]
    prompts = [[i for i, label in zip(row["input_ids"], row["labels"], strict=True) if label < 0] for row in rows]
    limit = min(batch[0]["longest"] + MARGIN, pair.window - max(map(len, prompts)))
    answers = complete(pair, prompts, limit, tuned)
    losses = reference_losses(pair, rows, tuned)
    return [{"set": job["set"], "uid": job["uid"], "said": said, "loss": round(loss, 6),
             "fingerprint": job["fingerprint"]} for job, said, loss in zip(batch, answers, losses, strict=True)]


@torch.inference_mode()
def reference_losses(pair: Pair, rows: Sequence[dict], tuned: bool) -> list[float]:
    """Returns each row's mean loss (nats per token) on its reference answer and EOS, given its prompt."""
    length = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, filler: int) -> torch.Tensor:
        values = [row[name] + [filler] * (length - len(row[name])) for row in rows]
        return torch.tensor(values, device=pair.device)

    ids, labels = padded("input_ids", 0), padded("labels", -100)[:, 1:]
    mask = torch.tensor([[1] * len(r["input_ids"]) + [0] * (length - len(r["input_ids"])) for r in rows],
                        device=pair.device)
    with pair.lock:
        pair.rows.base = 0 if tuned else len(rows)
        hidden = pair.model.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels != -100
        each = cross_entropy(pair.model.lm_head(hidden[wanted]).float(), labels[wanted], reduction="none")
    counts = wanted.sum(1).tolist()
    return [part.mean().item() for part in each.split(counts)]


# --- from answers to numbers -----------------------------------------------------------------------------------------


def samples(examples: Examples, config: EvaluateConfig, columns: dict[str, dict[tuple, dict]]) -> list[dict]:
    """Returns the lines of samples.jsonl: every item that all columns have, with its answers and losses."""
    lines = []
    for name, items in examples.sets(config.items).items():
        for item in items:
            answers = {column: scores.get((name, item.uid)) for column, scores in columns.items()}
            if not all(answers.values()):
                continue
            line = {"task": item.task, "set": name, "question": item.text, "reference": item.answer}
            line |= {column: answer["said"] for column, answer in answers.items()}
            line |= {"sources": item.sources, "uid": item.uid, "title": item.title}
            line |= {f"{column}_cited": cited(answer["said"], item.sources) for column, answer in answers.items()}
            lines.append(line | {f"{column}_loss": answer["loss"] for column, answer in answers.items()})
    return lines


def cited(said: str, sources: Sequence[str]) -> list[str | None]:
    """Returns the uids that an answer cites, in its order; None for a position at which there is no record."""
    positions = [int(position) for position in CITATION.findall(said)]
    return [sources[position - 1] if 1 <= position <= len(sources) else None for position in positions]


def metrics(lines: Sequence[dict], columns: Sequence[str], wording: Wording | None = None) -> dict:
    """Returns metrics.json from samples.jsonl: {set: {"n", column: {metric: mean}, "difference": {metric: ...}}}.

    `wording` is the adapter's, for what says that something is absent. A difference is tuned less base over the same
    items, with the 95% interval of a paired bootstrap (Efron 1979).
    """
    result = {}
    for name in dict.fromkeys(line["set"] for line in lines):
        items = [line for line in lines if line["set"] == name]
        scores = {column: item_scores(items, column) | grounding(items, column, wording or Wording())
                  for column in columns}
        result[name] = {"n": len(items)}
        for column in columns:
            result[name][column] = {metric: round(float(np.nanmean(values)), 4)
                                    for metric, values in scores[column].items()}
        result[name]["difference"] = {metric: interval(scores["tuned"][metric] - scores["base"][metric])
                                      for metric in scores["tuned"]}
    return result


def item_scores(items: Sequence[dict], column: str) -> dict[str, np.ndarray]:
    """Returns {metric: one value an item}; rougeL_unicode is there for Portuguese items alone, NaN for the others."""
    said, references = [item[column] for item in items], [item["reference"] for item in items]
    scores: dict[str, np.ndarray] = {}
    for measure in (Rouge(), TokenF1()):
        scores |= {name: np.array(values) for name, values in
                   measure.compute(predictions=said, references=references).items()}
    portuguese = [place for place, item in enumerate(items) if language(item["reference"]) == "pt"]
    if portuguese:
        values = UnicodeRouge().compute(predictions=[said[i] for i in portuguese],
                                        references=[references[i] for i in portuguese])["rougeL_unicode"]
        scores["rougeL_unicode"] = np.full(len(items), np.nan)
        scores["rougeL_unicode"][portuguese] = values
    scores["loss"] = np.array([item[f"{column}_loss"] for item in items])
    return scores


def grounding(items: Sequence[dict], column: str, wording: Wording) -> dict[str, np.ndarray]:
    """Returns what only questions with records are measured by, one value an item; nothing for another set."""
    name, said, scores = items[0]["set"], [item[column] for item in items], {}
    if name == "grounded":
        right = [item["sources"].index(item["uid"]) + 1 for item in items]
        scores |= SourceRight().compute(predictions=said, references=right)
    if name in ("grounded", "absent"):
        titles = [item["title"] for item in items]
        scores |= SaysAbsent().compute(predictions=said, references=titles, absent=wording.absent)
    return {metric: np.array(values) for metric, values in scores.items()}


def interval(differences: np.ndarray) -> dict[str, float]:
    """Returns the mean of paired differences and its 95% bootstrap interval; NaN items are left out."""
    values = differences[~np.isnan(differences)]
    draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(1), (2.5, 97.5))
    return {"mean": round(float(values.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}
