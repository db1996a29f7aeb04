"""A tiny base as a GGUF file, written as llama.cpp's converter writes one."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from transformers import AutoModelForCausalLM, AutoTokenizer

CONTROL, NORMAL = 3, 1  # of tokenizer.ggml.token_type
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def write_gguf(folder: Path, path: Path, kind=gguf.GGMLQuantizationType.F16, **changes) -> Path:
    """Write the Llama in `folder`, with a byte-level BPE tokenizer, to a GGUF file.

    `changes` replace metadata: architecture=, tokens= (how many are written).
    """
    model = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(path, changes.get("architecture", "llama"))
    writer.add_name("Tiny")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(config.vocab_size)
    add_tokenizer(writer, folder, changes.get("tokens"))
    for name, weight in model.state_dict().items():
        add_weight(writer, name, weight.float().numpy(), config, kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def add_tokenizer(writer, folder: Path, count: int | None) -> None:
    """Add tokens, merges and special ids."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    data = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens = [tokenizer.convert_ids_to_tokens(id) for id in range(len(tokenizer))]
    tokens += [f"<extra_{number}>" for number in range((count or 0) - len(tokens))]
    special = set(tokenizer.all_special_tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([CONTROL if token in special else NORMAL for token in tokens])
    writer.add_token_merges([" ".join(merge) for merge in data["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
    writer.add_unk_token_id(tokenizer.pad_token_id)


def add_weight(writer, name: str, weight: np.ndarray, config, kind) -> None:
    """Add one weight under llama.cpp's name; its rotary layers have other rows first."""
    stem = name.removesuffix(".weight")
    if stem in TOP:
        target = TOP[stem]
    else:
        _, _, layer, part = stem.split(".", 3)
        target = f"blk.{layer}.{NAMES[part]}"
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    count = heads.get(target.rpartition(".")[2])
    if count:
        half = weight.shape[0] // count // 2
        shape = (count, 2, half, weight.shape[1])
        weight = weight.reshape(shape).swapaxes(1, 2).reshape(weight.shape)
    if weight.ndim == 1:
        writer.add_tensor(target + ".weight", weight.astype(np.float32))
    else:
        packed = gguf.quants.quantize(weight, kind)
        writer.add_tensor(target + ".weight", packed, raw_dtype=kind)
