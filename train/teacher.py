"""Another model summarizes the catalogue's long contents, once each; what failed never becomes a label."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import polars as pl
import torch
from huggingface_hub import hf_hub_download
from tqdm import tqdm
from transformers import AutoConfig, PreTrainedConfig

from space.catalogue import detect_language, normalise, split_sentences
from space.errors import translate_load_errors
from space.model import (
    Base,
    PromptTemplate,
    family_of,
    fit_prompt,
    identify_base,
    load_tokenizer,
)
from train.config import SummariesConfig
from train.examples import FEWEST
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
from train.run import Run, SummariesReport

TOKENS = 200  # of a summary, at most
WINDOW = 1024  # tokens of a text, where neither model nor tokenizer says how many it takes
FAULTS = {
    "empty": "no letter",
    "copied": "the text again, whole or nearly",
    "longer": "not shorter than its text",
    "unfinished": f"did not come to its end in {TOKENS} tokens",
    "other_language": "not in its text's language",
    "repeats": f"a phrase of up to {LONGEST_PHRASE} words {REPEATS} times in a row",
}


class TeacherError(Exception):
    """A teacher is not there or gave too little to learn from; one line with the reasons and the remedy."""


class Teacher(NamedTuple):
    """A loaded teacher; `window` is in tokens, `prefix` is what a T5 wants before a text."""

    model: torch.nn.Module
    tokenizer: object
    window: int
    prefix: str


def teach_run(run: Run, config: SummariesConfig) -> None:
    """Let the teacher summarize, and print what became of it."""
    print_pairs(teach(run, config))


def teach(run: Run, config: SummariesConfig, progress: bool = True) -> SummariesReport:
    """Writes run/summaries/ from what the teacher says of up to `config.taught` contents and returns its report.

    Every text has its line in teacher.jsonl when its batch is done: killed and called again it goes on with the others.
    Texts and their sides are the prepared records'. Raises ModelError or TeacherError where the teacher cannot be loaded or gave
    fewer than two labels.
    """
    teacher, settings, config = _identified(config)
    records = long_records(load_records(run), config.taught)
    asked = [mark(teacher, record["content"]) for record in records]
    wanted = {
        "teacher": asdict(teacher),
        "asked": hashlib.sha256("".join(asked).encode()).hexdigest(),
        "licence": config.summaries_licence,
    }
    saved = run.summaries_report()
    if wanted.items() <= saved.items():
        return saved
    path = run.summaries / "teacher.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = said_before(path)
    if not all(key in done for key in asked):
        _summarize_all(
            config, settings, dict(zip(asked, records, strict=True)), done, path, progress
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    frame, tally = _labels(records, [done[key] for key in asked])
    if len(frame) < 2:
        went = ", ".join(
            f"{count:,} {reason} ({FAULTS[reason]})"
            for reason, count in tally.dropped.most_common()
        )
        raise TeacherError(
            f"the teacher {teacher} gave {len(frame)} usable summaries of {len(records):,} long contents"
            f"{went and f': {went}'}; choose another --teacher"
        )
    return write_pairs(run, frame, tally, wanted, reasons=FAULTS)


def _identified(config: SummariesConfig) -> tuple[Base, PreTrainedConfig, SummariesConfig]:
    """Returns which teacher it is, its own config, and ours with the commit that its branch has now."""
    folder = Path(config.teacher)
    if not folder.is_dir() and (folder.is_absolute() or config.teacher.startswith(".")):
        raise TeacherError(
            f"teacher {config.teacher} is not a folder: give a folder or a Hub id such as "
            "facebook/bart-large-cnn"
        )
    with translate_load_errors("teacher", config.teacher):
        commit = (
            None
            if folder.is_dir()
            else Path(
                hf_hub_download(config.teacher, "config.json", revision=config.teacher_revision)
            ).parent.name
        )
        settings = AutoConfig.from_pretrained(config.teacher, revision=commit)
    return (
        identify_base(config.teacher, commit, settings),
        settings,
        replace(config, teacher_revision=commit),
    )


def long_records(records: Sequence[SplitRecord], count: int) -> list[SplitRecord]:
    """Returns up to `count` records with a content of several sentences; which ones depends on nothing but their uids."""
    ordered = sorted(records, key=lambda record: hashlib.sha256(record["uid"].encode()).digest())
    found: list[SplitRecord] = []
    for record in ordered:
        if len(found) == count:
            break
        if len(split_sentences(record["content"])) >= FEWEST:
            found.append(record)
    return found


def mark(teacher: Base, text: str) -> str:
    """Returns what a summary is known by: its teacher, how it was told to write, and the text."""
    return hashlib.sha256(
        json.dumps([teacher.name, teacher.revision, TOKENS, text]).encode()
    ).hexdigest()


def said_before(path: Path) -> dict[str, dict]:
    """Returns {mark: line} of teacher.jsonl; a torn last line goes from the file, so that the next begins on its own."""
    if not path.is_file():
        return {}
    whole = path.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    os.truncate(path, len(whole))
    return {line["mark"]: line for line in map(json.loads, whole.decode("utf-8").splitlines())}


def fault(text: str, summary: str, ended: bool) -> str | None:
    """Returns the reason, of FAULTS, for which a summary is no label, or None."""
    own, said = normalise(text), normalise(summary)
    if not any(map(str.isalpha, summary)):
        return "empty"
    if said in own and 10 * len(said) >= 9 * len(own):
        return "copied"
    if len(summary) >= len(text):
        return "longer"
    if not ended:
        return "unfinished"
    if repeats(said):
        return "repeats"
    return "other_language" if detect_language(summary) != detect_language(text) else None


def repeats(text: str) -> bool:
    """Whether a phrase of up to LONGEST_PHRASE words stands REPEATS times in a row anywhere in a text."""
    words = re.findall(r"\w+", text)
    for size in range(1, LONGEST_PHRASE + 1):
        run = 0
        for word, later in zip(words, words[size:], strict=False):
            run = run + 1 if word == later else 0
            if run == (REPEATS - 1) * size:
                return True
    return False


# --- the model -------------------------------------------------------------------------------------------------------


def _summarize_all(
    config: SummariesConfig,
    settings,
    records: dict[str, SplitRecord],
    done: dict,
    path: Path,
    progress: bool,
) -> None:
    """Adds to `done` and to the file at `path` a line for each mark and record that has none yet, the longest first."""
    teacher = _load(config, settings)
    order = sorted(records, key=lambda key: len(records[key]["content"]), reverse=True)
    with (
        path.open("a", encoding="utf-8") as file,
        tqdm(
            total=len(order),
            initial=sum(key in done for key in order),
            desc="teacher",
            unit="text",
            disable=not progress,
        ) as bar,
    ):
        # Batches are cut before what is done is left out: a summary has the same neighbours in every try.
        for start in range(0, len(order), config.teacher_batch):
            todo = [key for key in order[start : start + config.teacher_batch] if key not in done]
            if not todo:
                continue
            texts = [records[key]["content"] for key in todo]
            for key, text, (summary, tokens, ended) in zip(
                todo, texts, _summaries(teacher, texts), strict=True
            ):
                done[key] = {
                    "uid": records[key]["uid"],
                    "summary": summary,
                    "fault": fault(text, summary, ended),
                    "tokens": tokens,
                    "mark": key,
                }
            file.write("".join(json.dumps(done[key], ensure_ascii=False) + "\n" for key in todo))
            file.flush()
            bar.update(len(todo))


def _load(config: SummariesConfig, settings) -> Teacher:
    """Loads an encoder-decoder or a causal model, in bf16 on the GPU if there is one."""
    on_gpu = torch.cuda.is_available()
    with translate_load_errors("teacher", config.teacher):
        model = family_of(settings).loader.from_pretrained(
            config.teacher,
            revision=config.teacher_revision,
            use_safetensors=True,
            dtype=torch.bfloat16 if on_gpu else torch.float32,
        )
    tokenizer = load_tokenizer(config.teacher, config.teacher_revision)
    told = settings.to_dict()
    # Architectures have their own names for how many tokens they take.
    limits = [told[name] for name in ("max_position_embeddings", "n_positions") if told.get(name)]
    prefix = (told.get("task_specific_params") or {}).get("summarization", {}).get("prefix", "")
    window = min([*(limits or [WINDOW]), tokenizer.model_max_length])
    return Teacher(model.to("cuda" if on_gpu else "cpu").eval(), tokenizer, window, prefix)


@torch.inference_mode()
def _summaries(teacher: Teacher, texts: Sequence[str]) -> list[tuple[str, int, bool]]:
    """Returns (summary, its tokens, whether it came to its end) of each text, without chance: the teacher's own beams."""
    model, tokenizer = teacher.model, teacher.tokenizer
    settings = copy.deepcopy(model.generation_config)
    settings.update(
        do_sample=False,
        max_new_tokens=TOKENS,
        max_length=None,
        temperature=None,
        top_p=None,
        top_k=None,
        forced_eos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )  # an end that is forced is none
    if model.config.is_encoder_decoder:
        given = tokenizer(
            [teacher.prefix + text for text in texts],
            padding=True,
            truncation=True,
            max_length=teacher.window,
            return_tensors="pt",
        )
        start = 1  # the decoder's own first token
    else:
        room = max(teacher.window - TOKENS, teacher.window // 2)
        rows = [
            fit_prompt(tokenizer, PromptTemplate(), "summarize", text, room=room).ids
            for text in texts
        ]
        given = tokenizer.pad({"input_ids": rows}, padding_side="left", return_tensors="pt")
        start = given["input_ids"].shape[1]
    inputs = {name: given[name].to(model.device) for name in ("input_ids", "attention_mask")}
    said = model.generate(**inputs, generation_config=settings)[:, start:]
    ends = (
        {settings.eos_token_id}
        if isinstance(settings.eos_token_id, int)
        else set(settings.eos_token_id or ())
    )
    found = []
    for row in said.tolist():
        end = next((place for place, token in enumerate(row) if token in ends), None)
        written = row if end is None else row[:end]
        found.append(
            (
                clean_text(tokenizer.decode(written, skip_special_tokens=True)),
                len(written),
                end is not None,
            )
        )
    return found


def _labels(records: Sequence[SplitRecord], lines: Sequence[dict]) -> tuple[pl.DataFrame, Tally]:
    """Returns the pairs of what has no fault, and the tally of the rest."""
    tally, kept = Tally(read=len(lines)), []
    for place, (record, line) in enumerate(zip(records, lines, strict=True), start=1):
        if line["fault"]:
            tally.drop(line["fault"], record["uid"], place, line["summary"] or record["content"])
        else:
            kept.append((record["uid"], record["content"], line["summary"], record["split"]))
    schema = dict.fromkeys(("uid", "text", "summary", "split"), pl.String)
    return pl.DataFrame(kept, schema=schema, orient="row"), tally
