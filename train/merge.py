"""Base and adapter -> a stand-alone bf16 model, and how far its answers agree with those of the two apart."""

from __future__ import annotations

import functools
import gc
import itertools
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from huggingface_hub import ModelCardData
from peft import PeftModel
from transformers import GenerationConfig

from space.model import Pair, Rows, load_base, load_pair, split_row, stream_tokens
from train.config import ConfigError, FitConfig, MergeConfig
from train.modelfile import modelfile
from train.pipeline import load_examples
from train.publish import MERGED_TEMPLATE, base_file, base_licence, fill_card
from train.run import Run

COMPARED = {
    "nf4": "base and adapter in 4 bits, as the page runs them",
    "bf16": "base and adapter in bf16, not merged",
}


def merge(run: Run, out: Path, config: MergeConfig) -> dict:
    """Merges run/adapter into its unquantized base, writes the model to `out` whole or not at all, and returns merge.json.

    One model at a time is in memory: first the one in 4 bits answers some of the run's questions, then the one in bf16,
    unmerged and merged. Raises ConfigError and ModelError.
    """
    adapter = run.adapter
    if not run.has_adapter():
        raise ConfigError(f"{run.name} has no adapter yet: run fit first")
    if out.exists():
        raise ConfigError(f"{out} is there already: remove it, or name another --out")
    fit_config = run.fit_config()
    pair = load_pair(fit_config.base, str(adapter), fit_config.base_revision)
    batches = _prompts(run, fit_config, pair, config)
    answer = functools.partial(_answers, batches=batches, limit=fit_config.answer_tokens)
    said = {"nf4": answer(pair)}
    pair.model = None
    gc.collect()
    apart = PeftModel.from_pretrained(
        load_base(fit_config.base, fit_config.base_revision, "bf16")[0], str(adapter)
    )
    pair = replace(pair, model=apart.base_model.model, precision="bf16", rows=Rows())
    said["bf16"] = answer(pair)
    apart.merge_and_unload(safe_merge=True)  # in place: pair.model is the merged one now
    merged = answer(pair)
    told = {
        "base": asdict(pair.base),
        "adapter": pair.adapter_revision,
        "questions": len(merged),
        **{name: agreement(answers, merged) for name, answers in said.items()},
    }
    _write(out, run, pair, fit_config, told)
    return told


def agreement(apart: Sequence[list[int]], merged: Sequence[list[int]]) -> dict[str, float]:
    """Returns the share of answers (token ids) that are equal, and the mean share of an answer before the first difference."""
    pairs = list(zip(apart, merged, strict=True))
    shares = [
        common_prefix(one, other) / max(len(one), len(other)) if one != other else 1.0
        for one, other in pairs
    ]
    return {
        "equal": round(sum(one == other for one, other in pairs) / len(pairs), 4),
        "common_prefix": round(sum(shares) / len(pairs), 4),
    }


def common_prefix(one: Sequence, other: Sequence) -> int:
    """Returns how many items two sequences have in common before their first difference."""
    return sum(
        1
        for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    )


def in_words(told: dict) -> str:
    """Returns what merge.json says."""
    return "\n".join(
        f"- Of its answers to {told['questions']} questions of the run, {told[name]['equal']:.0%} are token for token those of "
        f"{apart}; on average {told[name]['common_prefix']:.0%} of an answer passes before the first difference."
        for name, apart in COMPARED.items()
    )


def _prompts(
    run: Run, fit_config: FitConfig, pair: Pair, config: MergeConfig
) -> list[list[list[int]]]:
    """The prompts (token ids) of up to config.items questions of each scored set, a batch a set."""
    examples = load_examples(run, fit_config, pair.tokenizer, pair.window, pair.prompt_template)
    encoded = (examples.encoded(items) for items in examples.sets(config.items).values())
    batches = [[split_row(row)[0] for row in rows if row] for rows in encoded]
    return [batch for batch in batches if batch]


def _answers(pair: Pair, batches: Sequence[Sequence[list[int]]], limit: int) -> list[list[int]]:
    """The greedy answers (token ids) to every prompt, of at most `limit` tokens."""
    answers: list[list[int]] = []
    for prompts in batches:
        rows: list[list[int]] = [[] for _ in prompts]
        for tokens in stream_tokens(
            pair, prompts, 0, min(limit, pair.window.answer_limit(max(map(len, prompts))))
        ):
            for row, token in zip(rows, tokens, strict=True):
                row += [] if token is None else [token]
        answers += rows
    return answers


def _write(out: Path, run: Run, pair: Pair, fit_config: FitConfig, told: dict) -> None:
    unfinished = out.with_name(out.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        # The adapter's own tokenizer, chat template and prompt_template.
        shutil.copytree(
            run.adapter,
            unfinished,
            ignore=shutil.ignore_patterns("adapter_*", "README.md", "run.json"),
        )
        sentencepiece = base_file(pair.base, fit_config.base, "tokenizer.model")
        if sentencepiece:  # transformers does without; a GGUF is not the same model without it
            shutil.copyfile(sentencepiece, unfinished / sentencepiece.name)
        # The decoder's first tokens are an encoder-decoder's alone.
        opening = zip(
            ("decoder_start_token_id", "forced_bos_token_id"),
            pair.family.start_tokens(pair.model),
            strict=False,
        )
        pair.model.generation_config = GenerationConfig(
            **dict(opening),
            bos_token_id=pair.tokenizer.bos_token_id,
            eos_token_id=sorted(pair.stop_ids),
            pad_token_id=pair.tokenizer.pad_token_id,
            do_sample=False,
            max_new_tokens=fit_config.answer_tokens,
        )
        pair.model.save_pretrained(unfinished)
        (unfinished / "merge.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        if pair.family.runs_on_ollama:
            stops = pair.tokenizer.convert_ids_to_tokens(sorted(pair.stop_ids))
            (unfinished / "Modelfile").write_text(
                modelfile(pair.tokenizer, stops), encoding="utf-8"
            )
        else:
            print("merge: no Modelfile, since Ollama does not run an encoder-decoder", flush=True)
        (unfinished / "README.md").write_text(_card(run, pair, fit_config, told), encoding="utf-8")
        unfinished.rename(out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _card(run: Run, pair: Pair, fit_config: FitConfig, told: dict) -> str:
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
        "adapter": told["adapter"],
        "agreement": in_words(told),
        "decoder_only": "yes" if pair.family.name == "decoder_only" else "",
        "licence": licence.describe(base),
    }
    return fill_card(MERGED_TEMPLATE, data, values)
