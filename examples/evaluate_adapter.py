"""Score a Shelftalk adapter again: ask base and tuned model the published questions.

    pip install torch transformers peft huggingface_hub rouge_score numpy  # bitsandbytes for 4 bits
    python evaluate_adapter.py mistralai/Mistral-7B-Instruct-v0.3 user/adapter --items 50

Base and adapter are Hub ids or folders; the base may be a GGUF file.
`samples.jsonl` beside the adapter has every question with
its reference and both published answers. This program asks the `describe` and `summarize` questions
again, with the prompt template in `prompt.json`. The other questions need catalogue records in the
prompt: of those it scores the published answers. On the machine and in the precision of the
published scores the two agree within .02.
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
    GgufConfig,
)

MARGIN = 16  # tokens that an answer may have more than the longest reference
# Greedy, as the page decodes, whatever the base's own generation config says.
GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "forced_eos_token_id": None,
}


def load(base, folder):
    """Load (model, tokenizer); the base in NF4 if bitsandbytes is installed, else in bf16.

    A GGUF file is always decoded to bf16.
    """
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
    options = {"dtype": torch.bfloat16, "quantization_config": nf4, "device_map": device}
    if base.endswith(".gguf"):  # decoded to bf16
        options |= {
            "gguf_file": Path(base).name,
            "quantization_config": GgufConfig(dequantize=True),
        }
        model = AutoModelForCausalLM.from_pretrained(Path(base).parent, **options)
    else:
        # The base's commit that the adapter was trained on.
        options["revision"] = PeftConfig.from_pretrained(folder).revision
        config = AutoConfig.from_pretrained(base, revision=options["revision"])
        # T5 and BART are encoder-decoders; Llama and Mistral are not.
        loader = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = loader.from_pretrained(base, **options)
    return PeftModel.from_pretrained(model, folder).eval(), AutoTokenizer.from_pretrained(folder)


def read_samples(folder):
    """Read {set: items} from samples.jsonl: on the Hub beside the adapter, in a run above it."""
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
    """Return the tokens that an answer of a set may have, its end token included."""
    return (
        max(
            len(tokenizer(item["reference"], add_special_tokens=False)["input_ids"])
            for item in items
        )
        + 1
        + MARGIN
    )


def ask(model, tokenizer, template, items, limit):
    """Return {"base": answers, "tuned": answers}, each of at most `limit` tokens."""
    answers = {"base": [], "tuned": []}
    for item in items:
        chat = [{"role": "user", "content": template[item["task"]].format(text=item["question"])}]
        prompt = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        prompt, options = prompt.to(model.device), {"max_new_tokens": limit, **GREEDY}
        start = 0 if model.config.is_encoder_decoder else prompt["input_ids"].shape[1]
        with model.disable_adapter():
            base = model.generate(**prompt, **options)
        for column, ids in (("base", base), ("tuned", model.generate(**prompt, **options))):
            answer = tokenizer.decode(ids[0, start:], skip_special_tokens=True)
            answers[column].append(answer.strip())
    return answers


def report(name, source, items, answers):
    """Print both mean ROUGE-L and their difference with its 95% paired bootstrap interval."""
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    base, tuned = (
        np.array(
            [
                scorer.score(item["reference"], answer)["rougeL"].fmeasure
                for item, answer in zip(items, answers[column], strict=True)
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
    sets, template = (
        read_samples(folder),
        json.loads((folder / "prompt.json").read_text(encoding="utf-8")),
    )
    model, tokenizer = load(base, folder)
    print(f"{'set':<9} {'answers':<10} items   base  tuned  difference [95%]")
    sets.pop("kept", None)  # scored by rules, without a reference
    for name, everything in sets.items():
        items = everything[:count]
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
                ask(model, tokenizer, template, items, longest(tokenizer, everything)),
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base")
    parser.add_argument("adapter")
    parser.add_argument("--items", type=int, help="items of each set, at most (default: all)")
    chosen = parser.parse_args()
    main(chosen.base, chosen.adapter, chosen.items)
