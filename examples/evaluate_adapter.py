"""Scores a Shelftalk adapter again, elsewhere: asks base and tuned the questions behind its published scores.

    pip install torch transformers peft huggingface_hub rouge_score numpy      # and bitsandbytes, for 4 bits
    python evaluate_adapter.py mistralai/Mistral-7B-Instruct-v0.3 user/adapter --items 50

Base and adapter are Hub ids or folders. `samples.jsonl` beside the adapter has every question with its reference and both
published answers. Its `describe` and `summarize` questions are asked again here, in the words of the adapter's
`prompt.json`; the others need catalogue records in the prompt, and their published answers alone are scored. On the machine
and in the precision of the published scores the two agree within .02.
"""

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import snapshot_download
from peft import PeftConfig, PeftModel
from rouge_score.rouge_scorer import RougeScorer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BitsAndBytesConfig,
)

MARGIN = 16  # tokens that an answer may go past the longest reference of its set
# As the page answers: the likeliest token each time, whatever else the base is set to.
GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "forced_eos_token_id": None,
}


def load(base, folder):
    """Returns (model, tokenizer); the base in NF4 where bitsandbytes is installed, and else in bf16."""
    nf4 = (
        BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        if find_spec("bitsandbytes")
        else None
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    revision = PeftConfig.from_pretrained(
        folder
    ).revision  # the base's commit that the adapter was made for
    encodes = AutoConfig.from_pretrained(
        base, revision=revision
    ).is_encoder_decoder  # T5 and BART, as opposed to Llama
    kind = AutoModelForSeq2SeqLM if encodes else AutoModelForCausalLM
    model = kind.from_pretrained(
        base, revision=revision, dtype=torch.bfloat16, quantization_config=nf4, device_map=device
    )
    return PeftModel.from_pretrained(model, folder).eval(), AutoTokenizer.from_pretrained(folder)


def read_samples(folder):
    """Returns {set: its items}: on the Hub samples.jsonl lies beside the adapter, in a run's folder above it."""
    paths = [
        path
        for path in (folder / "samples.jsonl", folder.parent / "samples.jsonl")
        if path.is_file()
    ]
    if not paths:
        sys.exit(f"{folder} has no samples.jsonl beside it: this adapter was not evaluated")
    sets = {}
    for line in paths[0].read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        sets.setdefault(item["set"], []).append(item)
    return sets


def longest(tokenizer, items):
    """Returns how many tokens an answer to one of a set's items may take, its end included."""
    return (
        max(
            len(tokenizer(item["reference"], add_special_tokens=False)["input_ids"])
            for item in items
        )
        + 1
        + MARGIN
    )


def ask(model, tokenizer, words, items, limit):
    """Returns {"base": answers, "tuned": answers} of up to `limit` tokens; `words` are prompt.json's."""
    answers = {"base": [], "tuned": []}
    for item in items:
        chat = [{"role": "user", "content": words[item["task"]].format(text=item["question"])}]
        prompt = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        prompt, options = prompt.to(model.device), {"max_new_tokens": limit, **GREEDY}
        start = 0 if model.config.is_encoder_decoder else prompt["input_ids"].shape[1]
        with model.disable_adapter():
            base = model.generate(**prompt, **options)
        for column, ids in (("base", base), ("tuned", model.generate(**prompt, **options))):
            said = tokenizer.decode(ids[0, start:], skip_special_tokens=True)
            answers[column].append(said.strip())
    return answers


def report(name, source, items, answers):
    """Prints ROUGE-L of base and tuned, and their mean difference with the 95% interval of a paired bootstrap."""
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    base, tuned = (
        np.array(
            [
                scorer.score(item["reference"], said)["rougeL"].fmeasure
                for item, said in zip(items, answers[column], strict=True)
            ]
        )
        for column in ("base", "tuned")
    )
    change = tuned - base
    draws = np.random.default_rng(0).integers(0, len(change), (10_000, len(change)))
    low, high = np.percentile(change[draws].mean(1), (2.5, 97.5))
    print(
        f"{name:<9} {source:<10} {len(items):>5}  {base.mean():.3f}  {tuned.mean():.3f}  "
        f"{change.mean():+.3f} [{low:+.3f}, {high:+.3f}]",
        flush=True,
    )


def main(base, adapter, count):
    folder = Path(
        adapter
        if Path(adapter).is_dir()
        else snapshot_download(adapter, ignore_patterns=["checkpoint*"])
    )
    sets, words = (
        read_samples(folder),
        json.loads((folder / "prompt.json").read_text(encoding="utf-8")),
    )
    model, tokenizer = load(base, folder)
    print(f"{'set':<9} {'answers':<10} items   base  tuned  difference [95%]")
    for name, whole in sets.items():
        items = whole[:count]
        report(
            name,
            "published",
            items,
            {column: [item[column] for item in items] for column in ("base", "tuned")},
        )
        if all(item["task"] in ("describe", "summarize") for item in items):
            report(
                name,
                "asked here",
                items,
                ask(model, tokenizer, words, items, longest(tokenizer, whole)),
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base")
    parser.add_argument("adapter")
    parser.add_argument(
        "--items", type=int, help="items of each set, at most; all of them unless given"
    )
    chosen = parser.parse_args()
    main(chosen.base, chosen.adapter, chosen.items)
