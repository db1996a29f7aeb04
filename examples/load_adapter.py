"""Load a Shelftalk adapter on its base and ask it a question, without Shelftalk.

    pip install torch transformers peft        # and bitsandbytes, for 4 bits
    python load_adapter.py mistralai/Mistral-7B-Instruct-v0.3 user/adapter "Brigsteer Paring Knife"

Base and adapter are Hub ids or folders; the base may be a GGUF file.
The tokenizer and the chat template come with the adapter.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from peft import PeftConfig, PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GgufConfig,
)

# Greedy, as the page decodes, whatever the base's own generation config says.
GREEDY = {
    "do_sample": False,
    "num_beams": 1,
    "min_length": 0,
    "no_repeat_ngram_size": 0,
    "forced_eos_token_id": None,
}


def load(base, adapter):
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
        options["revision"] = PeftConfig.from_pretrained(adapter).revision
        config = AutoConfig.from_pretrained(base, revision=options["revision"])
        # T5 and BART are encoder-decoders; Llama and Mistral are not.
        loader = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        model = loader.from_pretrained(base, **options)
    return PeftModel.from_pretrained(model, adapter).eval(), AutoTokenizer.from_pretrained(adapter)


def answer(model, tokenizer, question, max_new_tokens=200):
    """Return the greedy answer to a question without catalogue records."""
    chat = [{"role": "user", "content": question}]
    prompt = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = model.generate(**prompt.to(model.device), max_new_tokens=max_new_tokens, **GREEDY)
    start = 0 if model.config.is_encoder_decoder else prompt["input_ids"].shape[1]
    return tokenizer.decode(ids[0, start:], skip_special_tokens=True).strip()


if __name__ == "__main__":
    model, tokenizer = load(*sys.argv[1:3])
    print(answer(model, tokenizer, sys.argv[3]))
