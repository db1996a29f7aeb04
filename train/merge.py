"""Merge an adapter into its base, and compare the merged model's answers with theirs."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

from huggingface_hub import ModelCardData
from transformers import GenerationConfig

from space.model import (
    Pair,
    Rows,
    find_adapter,
    load_base,
    load_pair,
    split_row,
    stream_tokens,
)
from train.config import ConfigError, FitConfig, MergeConfig
from train.modelfile import GGUF, QUANTIZED, build_modelfile, common_prefix
from train.pipeline import load_examples
from train.publish import MERGED_TEMPLATE, base_file, base_licence, fill_card
from train.run import Run, to_json

COMPARED: dict[Literal["nf4", "bf16"], str] = {
    "nf4": "base and adapter in 4 bits, as the page runs them",
    "bf16": "base and adapter in bf16, not merged",
}


class Agreement(TypedDict):
    """How far two models' greedy answers agree."""

    equal: float  # share of answers that are equal
    common_prefix: float  # mean share of an answer before the first difference


class MergeRecord(TypedDict):
    """merge.json: what was merged, and how far its answers agree with base and adapter apart."""

    base: dict[str, str]
    adapter: str
    questions: int
    nf4: Agreement
    bf16: Agreement


def merge(run: Run, out: Path, config: MergeConfig) -> MergeRecord:
    """Merge a run's adapter into its unquantized base.

    The model is written to `out` atomically. One model at a time is in memory: in 4 bits, then in
    bf16 unmerged, then merged in place. Raises ConfigError and ModelError.
    """
    if not run.has_adapter():
        raise ConfigError(f"{run.name} has no adapter yet: run fit first")
    if out.exists():
        raise ConfigError(f"{out} is there already: remove it, or name another --out")
    fit_config = run.fit_config()
    adapter, limit = str(run.adapter), fit_config.answer_tokens
    pair = load_pair(fit_config.base, adapter, fit_config.base_revision)
    batches = _prompts(run, fit_config, pair, config)
    quantized = _answers(pair, batches, limit)
    pair.model = cast(Any, None)  # frees the memory for the next one
    gc.collect()
    base, _ = load_base(fit_config.base, fit_config.base_revision, "bf16")
    adapted = find_adapter(adapter).attach(base)
    pair = replace(pair, model=adapted.base_model.model, precision="bf16", rows=Rows())
    unmerged = _answers(pair, batches, limit)
    cast(Any, adapted).merge_and_unload(safe_merge=True)  # in place: pair.model is merged now
    merged = _answers(pair, batches, limit)
    record: MergeRecord = {
        "base": asdict(pair.base),
        "adapter": pair.adapter_revision,
        "questions": len(merged),
        "nf4": agreement(quantized, merged),
        "bf16": agreement(unmerged, merged),
    }
    _write(out, run, pair, fit_config, record)
    return record


def agreement(apart: Sequence[list[int]], merged: Sequence[list[int]]) -> Agreement:
    """Compare answers (token ids) one by one."""
    equal, shares = 0, 0.0
    for one, other in zip(apart, merged, strict=True):
        equal += one == other
        longest = max(len(one), len(other))
        shares += common_prefix(one, other) / longest if longest else 1.0
    return {
        "equal": round(equal / len(merged), 4),
        "common_prefix": round(shares / len(merged), 4),
    }


def describe_agreement(record: MergeRecord) -> str:
    """Put merge.json in words, as a Markdown list."""
    lines = []
    for name, apart in COMPARED.items():
        found = record[name]
        lines.append(
            f"- Of its answers to {record['questions']} questions of the run, "
            f"{found['equal']:.0%} are token for token those of {apart}; on average "
            f"{found['common_prefix']:.0%} of an answer passes before the first difference."
        )
    return "\n".join(lines)


def _prompts(
    run: Run, fit_config: FitConfig, pair: Pair, config: MergeConfig
) -> list[list[list[int]]]:
    """Encode questions of each scored set, a batch a set.

    At most config.items of each.
    """
    examples = load_examples(run, fit_config, pair.tokenizer, pair.window, pair.prompt_template)
    batches = []
    for items in examples.build_sets(config.items).values():
        rows = [row for row in examples.encode(items) if row is not None]
        if rows:
            batches.append([split_row(row)[0] for row in rows])
    return batches


def _answers(pair: Pair, batches: Sequence[Sequence[list[int]]], limit: int) -> list[list[int]]:
    """Answer every prompt greedily, in up to `limit` tokens."""
    answers: list[list[int]] = []
    for prompts in batches:
        room = pair.window.answer_limit(max(map(len, prompts)))
        rows: list[list[int]] = [[] for _ in prompts]
        for tokens in stream_tokens(pair, prompts, 0, min(limit, room)):
            for row, token in zip(rows, tokens, strict=True):
                if token is not None:
                    row.append(token)
        answers += rows
    return answers


def _write(out: Path, run: Run, pair: Pair, fit_config: FitConfig, record: MergeRecord) -> None:
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        # Tokenizer, chat template and prompt.json are the adapter's.
        own = shutil.ignore_patterns("adapter_*", "README.md", "run.json", "snapshots")
        shutil.copytree(run.adapter, unfinished, ignore=own)
        sentencepiece = base_file(pair.base, fit_config.base, "tokenizer.model")
        if sentencepiece:  # transformers does without; the conversion to GGUF does not
            shutil.copyfile(sentencepiece, unfinished / sentencepiece.name)
        # Only an encoder-decoder has start tokens.
        names = ("decoder_start_token_id", "forced_bos_token_id")
        start = dict(zip(names, pair.family.start_tokens(pair.model), strict=False))
        pair.model.generation_config = GenerationConfig(
            **start,
            bos_token_id=pair.tokenizer.bos_token_id,
            eos_token_id=sorted(pair.stop_ids),
            pad_token_id=pair.tokenizer.pad_token_id,
            do_sample=False,
            max_new_tokens=fit_config.answer_tokens,
        )
        pair.model.save_pretrained(unfinished)
        (unfinished / "merge.json").write_text(to_json(record), encoding="utf-8")
        if pair.family.runs_on_ollama:
            stops = pair.tokenizer.convert_ids_to_tokens(sorted(pair.stop_ids))
            modelfile = build_modelfile(pair.tokenizer, stops)
            (unfinished / "Modelfile").write_text(modelfile, encoding="utf-8")
        else:
            print("merge: no Modelfile, since Ollama does not run an encoder-decoder", flush=True)
        card = _build_card(run, pair, fit_config, record)
        (unfinished / "README.md").write_text(card, encoding="utf-8")
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _build_card(run: Run, pair: Pair, fit_config: FitConfig, record: MergeRecord) -> str:
    base, licence = pair.base, base_licence(pair.base, fit_config.base)
    name = f"{base.name.split('/')[-1]}-{run.folder.resolve().name}"
    data = ModelCardData(
        language=sorted(run.catalogue_report()["languages"]),
        library_name="transformers",
        pipeline_tag="text-generation",
        model_name=name,
        base_model=base.name if base.on_hub else None,
        base_model_relation="finetune",
        tags=["shelftalk"],
        **licence.metadata(),
    )
    values = {
        "name": name,
        "base": base.name,
        "revision": base.revision,
        "adapter": record["adapter"],
        "agreement": describe_agreement(record),
        "decoder_only": "yes" if pair.family.name == "decoder_only" else "",
        "licence": licence.describe(base),
        "gguf": GGUF,
        "quantized": QUANTIZED,
    }
    return fill_card(MERGED_TEMPLATE, data, values)
