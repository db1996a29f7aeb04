"""QLoRA of a base that no single GPU holds, such as a 70B: FSDP shards its 4-bit layers.

It takes a prepared run: torchrun --standalone --nproc_per_node gpu docs/fsdp_qlora.py RUN BASE
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from accelerate import PartialState
from peft import LoraConfig, get_peft_model
from peft.utils.other import fsdp_auto_wrap_policy
from torch import distributed
from torch.distributed.fsdp import (
    FullStateDictConfig,
    FullyShardedDataParallel,
    ShardingStrategy,
    StateDictType,
)
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig

from space.model import family_of, load_tokenizer
from train.config import FitConfig
from train.fit.memory import enable_checkpointing
from train.fit.training import tokenize
from train.pipeline import load_examples
from train.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("base")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=2, help="examples of each rank in a step")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--learn", type=int)
    parser.add_argument("--max-length", type=int, default=1024)
    call = parser.parse_args()
    gpu = torch.cuda.is_available()
    state = PartialState(cpu=not gpu)
    torch.manual_seed(1)
    model = load(call.base, state.device)
    family = family_of(model.config)
    tokenizer = load_tokenizer(call.base)
    config = FitConfig(base=call.base, learn=call.learn, max_length=call.max_length)
    examples = load_examples(Run(call.run), config, tokenizer, family.window(model.config))
    rows, _ = tokenize(examples)
    # Only layers whose values all have one dtype can be sharded together: the base's 4-bit weights
    # are stored as bf16, and LoRA is bf16 too, where `fit` keeps it in fp32.
    lora = LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    adapted = get_peft_model(model, lora, autocast_adapter_dtype=False).to(torch.bfloat16)
    enable_checkpointing(adapted.get_base_model())
    sharded = FullyShardedDataParallel(
        adapted,
        auto_wrap_policy=fsdp_auto_wrap_policy(adapted),
        sharding_strategy=ShardingStrategy.FULL_SHARD,
        use_orig_params=False,
        device_id=state.device if gpu else torch.device("cpu"),
        limit_all_gathers=True,
        sync_module_states=True,
    )
    trained = [parameter for parameter in sharded.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=call.learning_rate, weight_decay=0.0)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(1)).tolist()
    for step in range(call.steps):
        first = step * call.rows * state.num_processes + call.rows * state.process_index
        chosen = [rows[order[(first + index) % len(order)]] for index in range(call.rows)]
        batch = family.batch(model, chosen, state.device)
        logits, labels = family.answer_logits(model, wrapper=sharded, **batch)
        counted = torch.tensor(float(len(labels)), device=state.device)
        distributed.all_reduce(counted)
        # FSDP divides by the number of ranks, as DDP does.
        loss = cross_entropy(logits.float(), labels, reduction="sum") / counted
        (loss * state.num_processes).backward()
        sharded.clip_grad_norm_(1.0)
        optimizer.step()
        optimizer.zero_grad()
        distributed.all_reduce(loss.detach_())
        if state.is_main_process:
            print(f"step {step + 1}: loss {loss.item():.4f}", flush=True)
    save(call.run / "adapter-fsdp", sharded, adapted, tokenizer, examples)
    distributed.destroy_process_group()


def load(base: str, device: torch.device):
    """Load a base in NF4 whose packed weights look like bf16, which FSDP can shard."""
    config = AutoConfig.from_pretrained(base)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_quant_storage=torch.bfloat16,
    )
    model = AutoModelForCausalLM.from_pretrained(
        base,
        config=config,
        dtype=torch.bfloat16,
        quantization_config=quantization,
        device_map={"": device},
    )
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for layer in model.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False  # that kernel has no backward pass
    return model


def save(folder: Path, sharded, adapted, tokenizer, examples) -> None:
    """Gather LoRA's weights on rank 0 (FULL_STATE_DICT) and write them as an adapter."""
    options = FullStateDictConfig(offload_to_cpu=True, rank0_only=True)
    with FullyShardedDataParallel.state_dict_type(sharded, StateDictType.FULL_STATE_DICT, options):
        weights = sharded.state_dict()
    if int(os.environ["RANK"]):
        return
    kept = {name: value for name, value in weights.items() if "lora_" in name}
    adapted.save_pretrained(folder, state_dict=kept, save_embedding_layers=False)
    tokenizer.save_pretrained(folder)
    examples.prompt_template.save(folder / "prompt.json")
    record = {"config": asdict(examples.config), "tensors": len(kept)}
    (folder / "fsdp.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
