"""What anyone does with an adapter who has peft and transformers and nothing of ours: load it in
every way, and ask.

    python -I stranger.py ask.json said.json

ask.json: {"adapter": a folder or Hub id, "base": likewise, "chats": [messages], "tokens": most in
an answer}. said.json gets
{"prompts": ids by apply_chat_template, precision: {way: the greedy answers' ids}, "modules": those
imported, "versions"}.
"""

import importlib.metadata
import json
import sys

import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from peft.tuners.tuners_utils import cast_adapter_dtype
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, pipeline

FOUR_BITS = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)
PRECISIONS = {
    "nf4": dict(dtype=torch.bfloat16, quantization_config=FOUR_BITS),
    "bf16": dict(dtype=torch.bfloat16),
    "fp32": dict(dtype=torch.float32),
}


def by_auto(adapter, base, tokenizer, how):
    """AutoPeftModelForCausalLM finds the base by the name in the adapter's config."""
    return generating(AutoPeftModelForCausalLM.from_pretrained(adapter, **how), tokenizer)


def by_peft(adapter, base, tokenizer, how):
    """PeftModel puts the adapter on a base that is there."""
    model = AutoModelForCausalLM.from_pretrained(base, **how)
    return generating(PeftModel.from_pretrained(model, adapter), tokenizer)


def by_pipeline(adapter, base, tokenizer, how):
    """pipeline() finds both; transformers adds the adapter in the base's bf16, where PEFT does it
    in fp32.
    """
    return piped(found_by_pipeline(adapter, how), tokenizer)


def by_pipeline_in_fp32(adapter, base, tokenizer, how):
    """The same, with the adapter's weights widened as PEFT does it."""
    answer = found_by_pipeline(adapter, how)
    cast_adapter_dtype(answer.model, "default")
    return piped(answer, tokenizer)


def by_pipeline_of_a_model(adapter, base, tokenizer, how):
    """pipeline() is given the model as PEFT loads it."""
    model = AutoPeftModelForCausalLM.from_pretrained(adapter, **how)
    return piped(pipeline("text-generation", model=model, tokenizer=tokenizer), tokenizer)


WAYS = {
    "AutoPeftModelForCausalLM": by_auto,
    "PeftModel": by_peft,
    "pipeline(model)": by_pipeline_of_a_model,
    "pipeline(adapter)": by_pipeline,
    "pipeline(adapter) in fp32": by_pipeline_in_fp32,
}
TRIED = {
    "nf4": list(WAYS),
    "bf16": ["AutoPeftModelForCausalLM", "pipeline(adapter)"],
    "fp32": ["AutoPeftModelForCausalLM"],
}


def found_by_pipeline(adapter, how):
    """Returns the pipeline of an adapter; without tokenizer= it would take the base's, which may
    have no chat template.
    """
    rest = {name: value for name, value in how.items() if name != "dtype"}
    return pipeline(
        "text-generation", model=adapter, tokenizer=adapter, dtype=how["dtype"], model_kwargs=rest
    )


def exact_sums(model):
    """Turns off a kernel for some CPUs whose sums are rounded otherwise than on a GPU."""
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False


def piped(answer, tokenizer):
    """Returns a function from (chat, tokens) to the ids of the pipeline's greedy answer."""
    exact_sums(answer.model)

    def said(chat, tokens):
        ids = answer(chat, max_new_tokens=tokens, do_sample=False, return_tensors=True)[0][
            "generated_token_ids"
        ]
        return ids[len(asked(tokenizer, chat)["input_ids"][0]) :]

    return said


def generating(model, tokenizer):
    """Returns a function from (chat, tokens) to the ids of the model's greedy answer."""
    exact_sums(model)

    def said(chat, tokens):
        ids = asked(tokenizer, chat)
        return model.generate(**ids, max_new_tokens=tokens, do_sample=False)[
            0, ids["input_ids"].shape[1] :
        ].tolist()

    return said


def asked(tokenizer, chat):
    """Returns the prompt's ids and mask, each (1, tokens)."""
    return tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )


def until(end, ids):
    """Returns the ids before the one that ends an answer."""
    return ids[: ids.index(end)] if end in ids else ids


def main(ask, said):
    """Asks every question in every way and precision."""
    with open(ask, encoding="utf-8") as file:
        wanted = json.load(file)
    adapter, base, chats, tokens = (wanted[name] for name in ("adapter", "base", "chats", "tokens"))
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    answers = {"prompts": [asked(tokenizer, chat)["input_ids"][0].tolist() for chat in chats]}
    for precision, how in PRECISIONS.items():
        answers[precision] = {}
        for way in TRIED[precision]:
            answer = WAYS[way](adapter, base, tokenizer, how)
            answers[precision][way] = [
                until(tokenizer.eos_token_id, answer(chat, tokens)) for chat in chats
            ]
    answers["versions"] = {
        name: importlib.metadata.version(name)
        for name in ("torch", "transformers", "peft", "bitsandbytes")
    }
    answers["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
    with open(said, "w", encoding="utf-8") as file:
        json.dump(answers, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
