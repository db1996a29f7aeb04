"""Answers of base and tuned to the same prompts, kept so that none is generated twice."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from space.catalogue import keep_relevant, question_language, split_sentences
from space.evidence import CITATION
from space.model import Pair, TokenRow, complete, decode_text, split_row
from train import ranks
from train.config import EvaluateConfig
from train.evaluate.kept import ANSWER_TOKENS, KEPT, kept_examples
from train.evaluate.samples import Answer, EvaluationError, ScoredItem
from train.examples import Example, Examples, add_few_shot
from train.run import Run

FORMAT = 3  # of a kept answer; one of another format is generated again
# The fields of a kept answer; "said" is its text.
FIELDS = {
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

Key = tuple[str, str]  # (set, uid)


@dataclass(frozen=True)
class Job:
    """One item to answer: its prompt and reference as token ids, and its own token limit."""

    set: str
    uid: str
    row: TokenRow
    limit: int
    fingerprint: str

    @property
    def key(self) -> Key:
        return self.set, self.uid


def score_column(
    run: Run, pair: Pair, examples: Examples, config: EvaluateConfig, column: str
) -> dict[Key, Answer]:
    """Answer every item with one model, and keep the answers.

    `column` is "base", "few_shot" (the base with examples) or "tuned". Answers stay in
    scores/<column>.jsonl of the run and are not generated again while the model,
    the prompt and the reference are the same. The base's are also taken from the runs beside this
    one, with the seconds that they took there. Under torchrun all ranks call it and share the
    items; rank 0 writes, and all have all answers.
    """
    path = run.scores / f"{column}.jsonl"
    jobs = _jobs(pair, examples, config, column)
    lines = ranks.from_main(lambda: _known_lines(run, path, jobs, column))
    todo = [job for job in jobs if job.key not in lines]
    quiet = not todo or not ranks.is_main()
    with (
        path.open("a", encoding="utf-8") if ranks.is_main() else contextlib.nullcontext() as file,
        tqdm(total=len(todo), desc=f"score {column}", unit="item", disable=quiet) as bar,
    ):
        for batch in ranks.deal(list(batches(todo, config.score_batch))):
            made = generate(pair, batch, column == "tuned") if batch else []
            for line in itertools.chain.from_iterable(ranks.gather(made)):
                lines[line["set"], line["uid"]] = line
                bar.update()
                if file:
                    file.write(_to_line(line))
            if file:
                file.flush()
    return {job.key: _as_answer(lines[job.key]) for job in jobs}


def _known_lines(
    run: Run, path: Path, jobs: Sequence[Job], column: str
) -> dict[Key, dict[str, Any]]:
    """Read the answers to these jobs that are there.

    The base's may also be in the runs beside this one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = _read_kept(path)
    fresh = [job for job in jobs if kept.get(job.key, {}).get("fingerprint") == job.fingerprint]
    lines = {job.key: kept[job.key] for job in fresh}
    missing = [job for job in jobs if job.key not in lines]
    known = _read_siblings(run, column) if missing and column != "tuned" else {}
    with path.open("a", encoding="utf-8") as file:
        for job in missing:
            if job.fingerprint in known:
                lines[job.key] = known[job.fingerprint] | {"set": job.set, "uid": job.uid}
                file.write(_to_line(lines[job.key]))
    return lines


def _jobs(pair: Pair, examples: Examples, config: EvaluateConfig, column: str) -> list[Job]:
    model = pair.adapter_revision if column == "tuned" else pair.base.revision
    jobs = []
    for name, items in sets_to_score(examples, config).items():
        if column == "few_shot":
            if name == KEPT:
                continue  # its instructions have no examples in a catalogue
            items = [add_few_shot(examples, item, config.shots) for item in items]
        rows = examples.encode(items)
        fitting = [(item.uid, row) for item, row in zip(items, rows, strict=True) if row]
        answer_tokens = ANSWER_TOKENS if name == KEPT else None
        limits = answer_limits(pair, [row for _, row in fitting], answer_tokens)
        for (uid, row), limit in zip(fitting, limits, strict=True):
            fingerprint = digest([FORMAT, model, pair.precision, limit, row["input_ids"]])
            jobs.append(Job(name, uid, row, limit, fingerprint))
    return jobs


def sets_to_score(examples: Examples, config: EvaluateConfig) -> dict[str, list[Example]]:
    """Build the run's own sets and `kept`, up to --items of each."""
    return {**examples.build_sets(config.items), KEPT: kept_examples(config.items)}


def answer_limits(
    pair: Pair, rows: Sequence[TokenRow], answer_tokens: int | None = None
) -> list[int]:
    """Limit each answer's tokens.

    By `answer_tokens` or else the longest reference of its set, and by its own window.
    """
    split = [split_row(row) for row in rows]
    if answer_tokens is None:
        answer_tokens = max((len(answer) for _, answer in split), default=0) + MARGIN
    return [min(answer_tokens, pair.window.answer_limit(len(prompt))) for prompt, _ in split]


def batches(jobs: Iterable[Job], size: int) -> Iterator[list[Job]]:
    """Yield jobs in batches of one set and one limit.

    So no item's length changes the answer to another.
    """

    def together(job: Job) -> tuple[str, int]:
        return job.set, job.limit

    ordered = sorted(jobs, key=lambda job: (*together(job), len(job.row["input_ids"])))
    for _, group in itertools.groupby(ordered, key=together):
        members = list(group)
        for start in range(0, len(members), size):
            yield members[start : start + size]


def digest(value: Any) -> str:
    """Digest a JSON value."""
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _read_kept(path: Path) -> dict[Key, dict[str, Any]]:
    lines: dict[Key, dict[str, Any]] = {}
    if not path.is_file():
        return lines
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # the line that was being written when an earlier run was killed
        if _is_kept_answer(line):
            lines[line["set"], line["uid"]] = line
    return lines


def _is_kept_answer(line: Any) -> bool:
    """Tell whether a JSON value is a kept answer with finite numbers."""
    if not isinstance(line, dict):
        return False
    if not all(isinstance(line.get(name), kind) for name, kind in FIELDS.items()):
        return False
    return math.isfinite(line["loss"]) and math.isfinite(line["seconds"])


def _read_siblings(run: Run, column: str) -> dict[str, dict[str, Any]]:
    """Read a column's answers of the runs beside this one, by fingerprint."""
    lines: dict[str, dict[str, Any]] = {}
    for path in sorted(run.folder.resolve().parent.glob(f"*/scores/{column}.jsonl")):
        with contextlib.suppress(OSError):  # a folder of another user's
            lines |= {line["fingerprint"]: line for line in _read_kept(path).values()}
    return lines


def _to_line(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"


def _as_answer(line: Mapping[str, Any]) -> Answer:
    return Answer(
        text=line["said"],
        loss=line["loss"],
        tokens=line["tokens"],
        ended=line["ended"],
        seconds=line["seconds"],
        prompt=line["prompt"],
    )


def generate(pair: Pair, batch: Sequence[Job], tuned: bool) -> list[dict[str, Any]]:
    """Answer a batch of jobs greedily and measure their references' loss.

    Raises EvaluationError where a loss is NaN or infinite.
    """
    rows, limit = [job.row for job in batch], batch[0].limit
    prompts = [split_row(row)[0] for row in rows]
    begun = time.perf_counter()
    answers = complete(pair, prompts, limit, tuned)
    share = (time.perf_counter() - begun) / len(batch)
    losses = reference_losses(pair, rows, tuned)
    wrong = sum(not math.isfinite(loss) for loss in losses)
    if wrong:
        model, remedy = "base", "its weights are broken, or it needs another --precision"
        if tuned:
            model, remedy = "tuned model", "train it again with a lower --learning-rate"
        raise EvaluationError(
            f"the {model}'s loss is NaN or infinite on {wrong} of {len(batch)} references of "
            f"{batch[0].set}: such scores mean nothing, and none is written; {remedy}, in another "
            "--run"
        )
    return [
        {
            "set": job.set,
            "uid": job.uid,
            "said": decode_text(pair, answer),
            "loss": round(loss, 6),
            "tokens": len(answer),
            "ended": len(answer) < limit,
            "seconds": round(share, 4),
            "prompt": digest(prompt),
            "fingerprint": job.fingerprint,
        }
        for job, prompt, answer, loss in zip(batch, prompts, answers, losses, strict=True)
    ]


@torch.inference_mode()
def reference_losses(pair: Pair, rows: Sequence[TokenRow], tuned: bool) -> list[float]:
    """Compute each row's mean loss on its reference.

    Nats a token, EOS included.
    """
    batch = pair.family.batch(pair.model, rows, pair.device)
    with pair.lock:
        pair.rows.base = 0 if tuned else len(rows)
        logits, labels = pair.family.answer_logits(pair.model, **batch)
        each = cross_entropy(logits.float(), labels, reduction="none")
    counts = [len(split_row(row)[1]) for row in rows]
    return [part.mean().item() for part in each.split(counts)]


# --- without a model ---


def quote_top_hits(examples: Examples, config: EvaluateConfig) -> dict[Key, Answer]:
    """Answer every item by quoting the top hit, or a text's lead."""
    answers = {}
    for name, items in examples.build_sets(config.items).items():
        for item in items:
            answers[name, item.uid] = Answer(top_hit(examples, item))
    return answers


def top_hit(examples: Examples, item: Example) -> str:
    """Quote the first record that a question finds, as an answer would."""
    if item.task == "summarize":
        count = max(1, len(split_sentences(item.answer)))
        return " ".join(split_sentences(item.text)[:count])
    found = keep_relevant(examples.catalogue.search(item.text, 1))
    if not found:
        return examples.prompt_template.absent[question_language(item.text, [item.title])].format(
            title=item.title
        )
    cite = examples.prompt_template.citation.format(position=1) if item.task == "answer" else ""
    return examples.quote(found[0]) + cite


# --- every answer, side by side ---


def collect_samples(
    examples: Examples, config: EvaluateConfig, columns: Mapping[str, Mapping[Key, Answer]]
) -> list[ScoredItem]:
    """Gather every item that all columns answered, not scored yet.

    `kept` is answered by base and tuned alone.
    Raises EvaluationError where base and tuned were not asked the same.
    """
    records = {record["uid"]: record for record in (*examples.train, *examples.held_out)}
    samples = []
    for name, items in sets_to_score(examples, config).items():
        asked = [column for column in columns if name != KEPT or column in ("base", "tuned")]
        for item in items:
            key = name, item.uid
            if not all(key in columns[column] for column in asked):
                continue
            if columns["base"][key].prompt != columns["tuned"][key].prompt:
                raise EvaluationError(
                    f"base and tuned were asked {item.text[:80]!r} in different words: "
                    "score them again"
                )
            samples.append(
                ScoredItem(
                    task=item.task,
                    set=name,
                    question=item.text,
                    reference=item.answer,
                    answers={
                        column: _with_citations(columns[column][key], item.sources)
                        for column in asked
                    },
                    sources=item.sources,
                    uid=item.uid,
                    title=item.title,
                    evidence=_evidence(item, records),
                    expected=item.expected,
                )
            )
    return samples


def _with_citations(answer: Answer, sources: Sequence[str]) -> Answer:
    return replace(answer, cited=cited(answer.text, sources))


def cited(answer: str, sources: Sequence[str]) -> list[str | None]:
    """Return the uids that an answer cites, in order.

    None stands for a position without a record.
    """
    positions = [int(position) for position in CITATION.findall(answer)]
    return [
        sources[position - 1] if 1 <= position <= len(sources) else None for position in positions
    ]


def _evidence(item: Example, records: Mapping[str, Any]) -> str:
    """Return the text that an answer may rest on."""
    if item.task == "summarize":
        return item.text
    shown = item.context or ([records[item.uid]] if item.uid in records else [])
    return "\n".join(f"{record['title']}: {record['content']}" for record in shown)
