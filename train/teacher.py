"""Summaries to learn from, written by another model: the teacher."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import polars as pl
import torch
from huggingface_hub import hf_hub_download
from tqdm import tqdm
from transformers import AutoConfig, PreTrainedConfig, PreTrainedTokenizerBase

from space.catalogue import detect_language, normalise, split_sentences
from space.errors import translate_load_errors
from space.model import (
    Base,
    PromptTemplate,
    family_of,
    fit_prompt,
    identify_base,
    load_tokenizer,
    load_weights,
)
from train.config import SummariesConfig
from train.examples import MIN_SENTENCES
from train.generate import Generation, generate, pad_left
from train.prepare import (
    LONGEST_PHRASE,
    REPEATS,
    SplitRecord,
    Tally,
    clean_text,
    load_records,
    print_pairs,
    write_pairs,
)
from train.run import Run, SummariesReport, read_jsonl, to_jsonl

TOKENS = 200  # of a summary, at most
DEFAULT_WINDOW = 1024  # tokens of a text, where neither model nor tokenizer limits them
FAULTS = {
    "empty": "no letter",
    "copied": "the text again, or nearly",
    "longer": "not shorter than its text",
    "unfinished": f"did not come to its end in {TOKENS} tokens",
    "other_language": "not in its text's language",
    "repeats": f"a phrase of up to {LONGEST_PHRASE} words {REPEATS} times in a row",
}


class TeacherError(Exception):
    """A teacher is missing, or gave too few summaries to learn from."""


class Teacher(NamedTuple):
    """A loaded teacher."""

    model: Any  # an encoder-decoder or a causal model of transformers
    tokenizer: PreTrainedTokenizerBase
    window: int  # tokens
    prefix: str  # that a T5 expects before a text


class TeacherLine(TypedDict):
    """A line of teacher.jsonl: a summary, with its fault if it has one."""

    uid: str
    summary: str
    fault: str | None
    tokens: int
    mark: str  # see summary_key()


def teach_run(run: Run, config: SummariesConfig) -> None:
    """Let the teacher summarize, and print what became of it."""
    print_pairs(teach(run, config))


def teach(run: Run, config: SummariesConfig, progress: bool = True) -> SummariesReport:
    """Write run/summaries/ with the teacher's summaries of up to `config.taught` contents.

    Each batch is added to teacher.jsonl, from which a killed call resumes. Raises ModelError or
    TeacherError where the teacher cannot be loaded or gave fewer than two usable summaries.
    """
    teacher, base_config, config = _identify_teacher(config)
    records = long_records(load_records(run), config.taught)
    keys = [summary_key(teacher, record["content"]) for record in records]
    wanted = {
        "teacher": asdict(teacher),
        "asked": hashlib.sha256("".join(keys).encode()).hexdigest(),
        "licence": config.summaries_licence,
    }
    saved = run.summaries_report()
    if wanted.items() <= saved.items():
        return saved
    path = run.summaries / "teacher.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = read_lines(path)
    if not all(key in lines for key in keys):
        pending = dict(zip(keys, records, strict=True))
        _summarize_all(_load(config, base_config), config, pending, lines, path, progress)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    frame, tally = _select_pairs(records, [lines[key] for key in keys])
    if len(frame) < 2:
        raise TeacherError(
            f"the teacher {teacher} gave {len(frame)} usable summaries of {len(records):,} long "
            f"contents{_list_faults(tally)}; choose another --teacher"
        )
    return write_pairs(run, frame, tally, wanted, reasons=FAULTS)


def _identify_teacher(config: SummariesConfig) -> tuple[Base, PreTrainedConfig, SummariesConfig]:
    """Find the teacher's identity and config, and set our config's commit."""
    folder = Path(config.teacher)
    if not folder.is_dir() and (folder.is_absolute() or config.teacher.startswith(".")):
        raise TeacherError(
            f"teacher {config.teacher} is not a folder: give a folder or a Hub id such as "
            "facebook/bart-large-cnn"
        )
    commit = None
    with translate_load_errors("teacher", config.teacher):
        if not folder.is_dir():
            # The Hub client's cache has a folder for each commit.
            path = hf_hub_download(config.teacher, "config.json", revision=config.teacher_revision)
            commit = Path(path).parent.name
        base_config = AutoConfig.from_pretrained(
            config.teacher, revision=commit, trust_remote_code=False
        )
    identity = identify_base(config.teacher, commit, base_config)
    return identity, base_config, replace(config, teacher_revision=commit)


def long_records(records: Sequence[SplitRecord], count: int) -> list[SplitRecord]:
    """Select up to `count` records with several sentences.

    Their order depends on the uids alone. The order is by a hash: it looks random, and does not
    depend on the other records.
    """
    ordered = sorted(records, key=lambda record: hashlib.sha256(record["uid"].encode()).digest())
    found: list[SplitRecord] = []
    for record in ordered:
        if len(found) == count:
            break
        if len(split_sentences(record["content"])) >= MIN_SENTENCES:
            found.append(record)
    return found


def summary_key(teacher: Base, text: str) -> str:
    """Hash what a summary depends on.

    The teacher, the token limit and the text.
    """
    inputs = [teacher.name, teacher.revision, TOKENS, text]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def read_lines(path: Path) -> dict[str, TeacherLine]:
    """Read the lines of teacher.jsonl by key.

    An incomplete last line is cut from the file.
    """
    if not path.is_file():
        return {}
    os.truncate(path, path.read_bytes().rfind(b"\n") + 1)
    return {line["mark"]: TeacherLine(**line) for line in read_jsonl(path)}


def find_fault(text: str, summary: str, ended: bool) -> str | None:
    """Return why a summary is not to be learned.

    One of FAULTS, or None.
    """
    source, words = normalise(text), normalise(summary)
    if not any(map(str.isalpha, summary)):
        return "empty"
    if words in source and 10 * len(words) >= 9 * len(source):
        return "copied"
    if len(summary) >= len(text):
        return "longer"
    if not ended:
        return "unfinished"
    if _repeats(words):
        return "repeats"
    return "other_language" if detect_language(summary) != detect_language(text) else None


def _repeats(text: str) -> bool:
    """Tell whether a short phrase repeats itself.

    Up to LONGEST_PHRASE words, REPEATS times in a row.
    """
    words = re.findall(r"\w+", text)
    for size in range(1, LONGEST_PHRASE + 1):
        same = 0  # words in a row that equal the word `size` before them
        for word, later in zip(words, words[size:], strict=False):
            same = same + 1 if word == later else 0
            if same == (REPEATS - 1) * size:
                return True
    return False


def _summarize_all(
    teacher: Teacher,
    config: SummariesConfig,
    records: Mapping[str, SplitRecord],
    lines: dict[str, TeacherLine],
    path: Path,
    progress: bool,
) -> None:
    """Summarize each record that has no line yet.

    Lines go to `lines` and to the file, the longest record first.
    """
    order = sorted(records, key=lambda key: len(records[key]["content"]), reverse=True)
    done = sum(key in lines for key in order)
    bar = tqdm(total=len(order), initial=done, desc="teacher", unit="text", disable=not progress)
    with path.open("a", encoding="utf-8") as file, bar:
        for start in range(0, len(order), config.teacher_batch):
            # A resumed call makes the same batches: padding changes a summary a little.
            batch = order[start : start + config.teacher_batch]
            todo = [key for key in batch if key not in lines]
            if not todo:
                continue
            texts = [records[key]["content"] for key in todo]
            for key, text, made in zip(todo, texts, _summarize(teacher, texts), strict=True):
                lines[key] = {
                    "uid": records[key]["uid"],
                    "summary": made.text,
                    "fault": find_fault(text, made.text, made.ended),
                    "tokens": made.tokens,
                    "mark": key,
                }
            file.write(to_jsonl(lines[key] for key in todo))
            file.flush()
            bar.update(len(todo))


def _load(config: SummariesConfig, base_config: PreTrainedConfig) -> Teacher:
    """Load the teacher, an encoder-decoder or a causal model.

    In bf16, on the GPU if there is one.
    """
    on_gpu = torch.cuda.is_available()
    with translate_load_errors("teacher", config.teacher):
        model: Any = load_weights(
            family_of(base_config).loader,
            config.teacher,
            revision=config.teacher_revision,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=torch.bfloat16 if on_gpu else torch.float32,
        )
    tokenizer = load_tokenizer(config.teacher, config.teacher_revision)
    settings = base_config.to_dict()
    names = ("max_position_embeddings", "n_positions")  # architectures differ
    limits = [settings[name] for name in names if settings.get(name)] or [DEFAULT_WINDOW]
    tasks = settings.get("task_specific_params") or {}
    prefix = tasks.get("summarization", {}).get("prefix", "")
    window = min(*limits, tokenizer.model_max_length)
    return Teacher(model.to("cuda" if on_gpu else "cpu").eval(), tokenizer, window, prefix)


def _summarize(teacher: Teacher, texts: Sequence[str]) -> list[Generation]:
    """Summarize each text with the teacher's own number of beams, without sampling."""
    model, tokenizer = teacher.model, teacher.tokenizer
    if model.config.is_encoder_decoder:
        encoded = tokenizer(
            [teacher.prefix + text for text in texts],
            padding=True,
            truncation=True,
            max_length=teacher.window,
            return_tensors="pt",
        )
    else:
        room = max(teacher.window - TOKENS, teacher.window // 2)
        rows = []
        for text in texts:
            rows.append(fit_prompt(tokenizer, PromptTemplate(), "summarize", text, room=room).ids)
        encoded = pad_left(tokenizer, rows)
    made = generate(model, tokenizer, encoded, max_new_tokens=TOKENS)
    return [each._replace(text=clean_text(each.text)) for each in made]


def _select_pairs(
    records: Sequence[SplitRecord], lines: Sequence[TeacherLine]
) -> tuple[pl.DataFrame, Tally]:
    """Make pairs of the summaries without a fault, and count the others."""
    tally, kept = Tally(read=len(lines)), []
    for number, (record, line) in enumerate(zip(records, lines, strict=True), start=1):
        if line["fault"]:
            tally.drop(line["fault"], record["uid"], number, line["summary"] or record["content"])
        else:
            kept.append((record["uid"], record["content"], line["summary"], record["split"]))
    columns: tuple[str, ...] = ("uid", "text", "summary", "split")
    return pl.DataFrame(kept, schema=dict.fromkeys(columns, pl.String), orient="row"), tally


def _list_faults(tally: Tally) -> str:
    counts = [
        f"{count:,} {reason} ({FAULTS[reason]})" for reason, count in tally.dropped.most_common()
    ]
    return f": {', '.join(counts)}" if counts else ""
