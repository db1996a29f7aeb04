"""Base against tuned on the same prompts: the sets, what is said to them, and every answer behind a score."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from space.catalogue import detect_language, keep_relevant, split_sentences
from space.evidence import CITATION
from space.model import Pair, complete, decode_text, split_row
from train.config import EvaluateConfig
from train.examples import Example, Examples, add_few_shot
from train.run import Run

FORMAT = 2  # of a scored line; one of another is scored again
LINE = {
    "set": str,
    "uid": str,
    "said": str,
    "loss": float,
    "tokens": int,
    "ended": bool,
    "seconds": float,
    "prompt": str,
    "fingerprint": str,
}
MARGIN = 16  # tokens that an answer may go past the longest reference of its set


class EvaluationError(Exception):
    """Two columns cannot be compared; one line that says why."""


def score_column(
    run: Run, pair: Pair, examples: Examples, config: EvaluateConfig, column: str
) -> dict[tuple, dict]:
    """Answers every item with one model and returns {(set, uid): {"said", "loss", ...}}.

    `column` is "base", "few_shot" (the base with worked examples) or "tuned". What was scored stays in
    run/scores/<column>.jsonl and is not scored again while the model, the prompt and the reference are the same; what a run
    beside this one has of the base is taken from there, with the seconds that it took then.
    """
    path = run.scores / f"{column}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept, jobs = _kept(path), []
    wanted: dict[tuple, dict] = {}
    model = pair.adapter_revision if column == "tuned" else pair.base.revision
    for name, items in examples.build_sets(config.items).items():
        shown = (
            [add_few_shot(examples, item, config.shots) for item in items]
            if column == "few_shot"
            else items
        )
        rows = examples.encode(shown)
        fitting = [(item, row) for item, row in zip(shown, rows, strict=True) if row]
        longest = max((len(split_row(row)[1]) for _, row in fitting), default=0)
        for item, row in fitting:
            mark = digest([FORMAT, model, pair.precision, longest, row["input_ids"]])
            wanted[name, item.uid] = old = kept.get((name, item.uid), {})
            if old.get("fingerprint") != mark:
                jobs.append(
                    {
                        "set": name,
                        "uid": item.uid,
                        "fingerprint": mark,
                        "row": row,
                        "longest": longest,
                    }
                )
    known = _beside(run, column) if jobs and column != "tuned" else {}
    taken = [
        known[job["fingerprint"]] | {name: job[name] for name in ("set", "uid")}
        for job in jobs
        if job["fingerprint"] in known
    ]
    todo = sorted(
        (job for job in jobs if job["fingerprint"] not in known),
        key=lambda job: (job["longest"], job["row"]["length"]),
    )
    with (
        path.open("a", encoding="utf-8") as file,
        tqdm(total=len(todo), desc=f"score {column}", unit="item") as bar,
    ):
        for line in taken:
            file.write(_text(line))
            wanted[line["set"], line["uid"]] = line
        while todo:
            size = next(
                (n for n, job in enumerate(todo) if job["set"] != todo[0]["set"]), len(todo)
            )
            batch, todo = (
                todo[: min(size, config.score_batch)],
                todo[min(size, config.score_batch) :],
            )
            for line in _score(pair, batch, column == "tuned"):
                file.write(_text(line))
                wanted[line["set"], line["uid"]] = line
            file.flush()
            bar.update(len(batch))
    return wanted


def digest(what) -> str:
    """Returns the fingerprint of what JSON can say."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _kept(path: Path) -> dict[tuple, dict]:
    lines: dict[tuple, dict] = {}
    if path.is_file():
        for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # the line that was being written when an earlier run was killed
            # One of another version, or of one that went on where a loss was no number, is scored again.
            if (
                isinstance(line, dict)
                and all(isinstance(line.get(name), kind) for name, kind in LINE.items())
                and (math.isfinite(line["loss"]) and math.isfinite(line["seconds"]))
            ):
                lines[line["set"], line["uid"]] = line
    return lines


def _beside(run: Run, column: str) -> dict[str, dict]:
    """Returns {fingerprint: line} of all that the runs beside this one have scored of a column."""
    lines: dict[str, dict] = {}
    for path in sorted(run.folder.resolve().parent.glob(f"*/scores/{column}.jsonl")):
        with contextlib.suppress(OSError):  # another's folder
            lines |= {line["fingerprint"]: line for line in _kept(path).values()}
    return lines


def _text(line: dict) -> str:
    return json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def _score(pair: Pair, batch: Sequence[dict], tuned: bool) -> list[dict]:
    rows = [job["row"] for job in batch]
    prompts = [split_row(row)[0] for row in rows]
    limit = min(batch[0]["longest"] + MARGIN, pair.window.answer_limit(max(map(len, prompts))))
    begun = time.perf_counter()
    answers = complete(pair, prompts, limit, tuned)
    share = (time.perf_counter() - begun) / len(batch)
    losses = reference_losses(pair, rows, tuned)
    wrong = sum(not math.isfinite(loss) for loss in losses)
    if wrong:
        who, mend = (
            ("tuned model", "train it again with a lower --learning-rate")
            if tuned
            else ("base", "its weights are broken, or it needs another --precision")
        )
        raise EvaluationError(
            f"the {who}'s loss is no number on {wrong} of {len(batch)} references of {batch[0]['set']}: such "
            f"scores mean nothing, and none is written; {mend}, in another --run"
        )
    return [
        {
            "set": job["set"],
            "uid": job["uid"],
            "said": decode_text(pair, answer),
            "loss": round(loss, 6),
            "tokens": len(answer),
            "ended": len(answer) < limit,
            "seconds": round(share, 4),
            "prompt": digest(prompt),
            "fingerprint": job["fingerprint"],
        }
        for job, prompt, answer, loss in zip(batch, prompts, answers, losses, strict=True)
    ]


@torch.inference_mode()
def reference_losses(pair: Pair, rows: Sequence[dict], tuned: bool) -> list[float]:
    """Returns each row's mean loss (nats per token) on its reference answer and EOS, given its prompt."""
    batch = pair.family.batch(pair.model, rows, pair.device)
    with pair.lock:
        pair.rows.base = 0 if tuned else len(rows)
        logits, labels = pair.family.answer_logits(pair.model, **batch)
        each = cross_entropy(logits.float(), labels, reduction="none")
    counts = [len(split_row(row)[1]) for row in rows]
    return [part.mean().item() for part in each.split(counts)]


# --- every answer, side by side ---------------------------------------------------------------------------------------


def retrieved(examples: Examples, config: EvaluateConfig) -> dict[tuple, dict]:
    """Returns what no model says: the first record that the search finds, cited, or that there is none; of a text its lead.

    What a shop has without any model, and what a tuned one must be seen beside. Shaped as what score_column() returns.
    """
    said = {}
    for name, items in examples.build_sets(config.items).items():
        for item in items:
            said[name, item.uid] = {"said": first_record(examples, item)}
    return said


def first_record(examples: Examples, item: Example) -> str:
    """Returns the beginning of the first record that a question finds, as an answer may quote it."""
    if item.task == "summarize":
        count = max(1, len(split_sentences(item.answer)))
        return " ".join(split_sentences(item.text)[:count])
    found = keep_relevant(examples.catalogue.search(item.text, 1))
    if not found:
        return examples.prompt_template.absent[detect_language(item.text)].format(title=item.title)
    cite = examples.prompt_template.citation.format(position=1) if item.task == "answer" else ""
    return examples.quote(found[0]) + cite


def samples(
    examples: Examples, config: EvaluateConfig, columns: dict[str, dict[tuple, dict]]
) -> list[dict]:
    """Returns the lines of samples.jsonl: every item that all columns have, with its answers and all they are measured by.

    "evidence" is what an answer may rest on. Raises EvaluationError where base and tuned were not asked the same.
    """
    contents = {record["uid"]: record for record in (*examples.train, *examples.held_out)}
    lines = []
    for name, items in examples.build_sets(config.items).items():
        for item in items:
            answers = {column: scores.get((name, item.uid)) for column, scores in columns.items()}
            if not all(answers.values()):
                continue
            if answers["base"]["prompt"] != answers["tuned"]["prompt"]:
                raise EvaluationError(
                    f"base and tuned were asked {item.text[:80]!r} in different words: score them again"
                )
            line = {"task": item.task, "set": name, "question": item.text, "reference": item.answer}
            line |= {column: answer["said"] for column, answer in answers.items()}
            line |= {
                "sources": item.sources,
                "uid": item.uid,
                "title": item.title,
                "evidence": evidence(item, contents),
            }
            line |= {
                f"{column}_cited": cited(answer["said"], item.sources)
                for column, answer in answers.items()
            }
            lines.append(
                line
                | {
                    f"{column}_{what}": answer[what]
                    for column, answer in answers.items()
                    for what in ("loss", "tokens", "ended", "seconds")
                    if what in answer
                }
            )
    return lines


def evidence(item: Example, records: Mapping[str, dict]) -> str:
    """Returns what an answer may rest on: the text to summarize, the records in the prompt, or the record asked about."""
    if item.task == "summarize":
        return item.text
    shown = item.context or ([records[item.uid]] if item.uid in records else [])
    return "\n".join(f"{record['title']}: {record['content']}" for record in shown)


def cited(said: str, sources: Sequence[str]) -> list[str | None]:
    """Returns the uids that an answer cites, in its order; None for a position at which there is no record."""
    positions = [int(position) for position in CITATION.findall(said)]
    return [
        sources[position - 1] if 1 <= position <= len(sources) else None for position in positions
    ]
