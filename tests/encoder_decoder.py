"""Tiny real encoder-decoders with their own tokenizers: T5, T5 1.1 and BART."""

import itertools
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BartTokenizer,
    GenerationConfig,
    T5Config,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from space.model.base import load_tokenizer
from space.model.family import EncoderDecoder
from tests.conftest import tiny_adapter

KINDS = ("t5", "t5-1.1", "bart")
LOUDER = {
    "t5": {".o.weight": 12, ".wo.weight": 12, ".k.weight": 3, ".v.weight": 3},
    "bart": {"embed_positions.weight": 20},
}


def texts(count: int = 300):
    """Documents of the invented catalogue."""
    from train import shop

    return itertools.islice(shop.generate_reading(seed=3), count)


def t5_tokenizer(vocabulary: int = 600) -> T5Tokenizer:
    """Make a Unigram tokenizer in T5's order, with two <extra_id_> and no line break."""
    trained = Tokenizer(models.Unigram())
    trained.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always"),
        ]
    )
    trained.train_from_iterator(
        texts(),
        trainers.UnigramTrainer(
            vocab_size=vocabulary,
            special_tokens=["<pad>", "</s>", "<unk>"],
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    pieces = sorted(trained.get_vocab().items(), key=lambda piece: piece[1])
    return T5Tokenizer(
        vocab=[(piece, 0.0 if place < 3 else -float(place)) for piece, place in pieces], extra_ids=2
    )


def bart_tokenizer(vocabulary: int = 600) -> BartTokenizer:
    """Byte-level BPE in BART's order, <s>, <pad>, </s>, <unk>, with <mask>."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(
        texts(),
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    merges = [tuple(pair) for pair in json.loads(trained.to_str())["model"]["merges"]]
    return BartTokenizer(vocab=trained.get_vocab(), merges=merges)


def tiny_base(folder: Path, kind: str, seed: int = 0, quiet: bool = False) -> Path:
    """Write a random model of one of KINDS, in the smallest shape of the 4-bit CPU kernel.

    A quiet one can learn; another one generates more than a single token.
    """
    torch.manual_seed(seed)
    louder = {} if quiet else LOUDER.get(kind, {})
    tokenizer = bart_tokenizer() if kind == "bart" else t5_tokenizer()
    common = dict(
        vocab_size=len(tokenizer),
        d_model=128,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        model_name=f"tiny-{kind}",
    )
    if kind == "bart":
        model = BartForConditionalGeneration(
            BartConfig(
                encoder_layers=2,
                decoder_layers=2,
                encoder_attention_heads=4,
                decoder_attention_heads=4,
                encoder_ffn_dim=256,
                decoder_ffn_dim=256,
                max_position_embeddings=512,
                init_std=0.1,
                bos_token_id=tokenizer.bos_token_id,
                decoder_start_token_id=tokenizer.eos_token_id,
                **common,
            )
        )
        model.final_logits_bias.normal_(std=0.1)
        # As facebook/bart-base has it: its own way to answer is a search.
        model.generation_config = GenerationConfig(
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=tokenizer.eos_token_id,
            forced_bos_token_id=tokenizer.bos_token_id,
            forced_eos_token_id=tokenizer.eos_token_id,
            num_beams=4,
            no_repeat_ngram_size=3,
            early_stopping=True,
        )
    else:
        # Version 1.1 and FLAN-T5: another feed-forward layer, and nothing scaled before the head.
        newer = (
            dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
            if kind == "t5-1.1"
            else {}
        )
        layers = 3 if kind == "t5-1.1" else 2
        model = T5ForConditionalGeneration(
            T5Config(
                d_kv=32,
                num_layers=2,
                num_decoder_layers=layers,
                num_heads=4,
                d_ff=256,
                n_positions=512,
                decoder_start_token_id=tokenizer.pad_token_id,
                **common,
                **newer,
            )
        )
    # The head shares the embeddings: without this, random weights repeat one token.
    for name, weights in model.named_parameters():
        weights.data.mul_(next((factor for end, factor in louder.items() if name.endswith(end)), 1))
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def adapter_of(folder: Path, base: Path, **lora) -> Path:
    """Writes an adapter that changes what a base of tiny_base() says."""
    return tiny_adapter(
        folder, base, load_tokenizer(str(base), template=EncoderDecoder.template), **lora
    )
