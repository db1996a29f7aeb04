"""space/model/adapter.py: every kind of adapter is served rightly or refused in one line."""

import json
import os
import shutil

import pytest
import torch
from peft import (
    AdaLoraConfig,
    IA3Config,
    LoHaConfig,
    LoraConfig,
    OFTConfig,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from space.errors import ModelError
from space.model import adapter as adapters
from space.model import pair
from space.model.adapter import find_adapter
from space.model.base import Base, load_base, load_tokenizer
from space.model.family import DecoderOnly
from space.model.pair import load_pair
from space.model.prompt import build_messages, prompt_ids
from space.model.prompt_template import PromptTemplate

COMMON = {"task_type": "CAUSAL_LM"}
LORA = COMMON | {"r": 4, "target_modules": ["q_proj", "v_proj"]}
FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def save_with_peft(folder, base, config, dtype=torch.bfloat16):
    """Write an adapter as plain PEFT does, every trained weight changed."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    adapted = get_peft_model(model, config)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data += torch.randn_like(parameter) * 0.2
    adapted.save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.fixture(scope="module")
def plain(tmp_path_factory, tiny_base):
    """An adapter of plain PEFT on two kinds of layers."""
    folder = tmp_path_factory.mktemp("plain") / "adapter"
    return save_with_peft(folder, tiny_base, LoraConfig(**LORA))


@pytest.fixture
def folder(tmp_path, plain):
    return shutil.copytree(plain, tmp_path / "adapter")


def change(folder, name="adapter_config.json", **values):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def change_weights(folder, edit):
    path = folder / "adapter_model.safetensors"
    save_file(edit(load_file(path)), path)


def refusal(base, folder, precision="bf16"):
    with pytest.raises(ModelError) as caught:
        load_pair(str(base), str(folder), precision=precision)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def column_logits(pair):
    pair.rows.base = 1
    with torch.inference_mode():
        return pair.model(input_ids=torch.arange(5, 25)[None].repeat(2, 1)).logits.float()


# --- served ---


def test_plain_lora_leaves_the_base_row_as_it_was(tiny_base, folder):
    untouched, _ = load_base(str(tiny_base), precision="bf16")
    rows = column_logits(load_pair(str(tiny_base), str(folder), precision="bf16"))
    with torch.inference_mode():
        expected = untouched(input_ids=torch.arange(5, 25)[None]).logits[0].float()
    assert torch.allclose(rows[0], expected, atol=0.05, rtol=0.02)
    assert (rows[1] - rows[0]).abs().max() > 0.1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("base_model.model.", ""),
        ("base_model.model.model.", ""),
        ("base_model.model.model.", "base_model.model.model.language_model."),
        ("base_model.model.", "base_model.model.language_model."),
        ("base_model.model.", "base_model.model._orig_mod."),
        ("base_model.", "module.base_model."),
        (".self_attn.", "._checkpoint_wrapped_module.self_attn."),
        (".weight", ".default.weight"),
        (".weight", ".a_name.weight"),
    ],
)
def test_harmless_renamings_are_the_same_adapter(tiny_base, plain, folder, old, new):
    def rename(weights):
        return {name.replace(old, new, 1): value for name, value in weights.items()}

    change_weights(folder, rename)
    renamed = load_pair(str(tiny_base), str(folder), precision="bf16")
    expected = load_pair(str(tiny_base), str(plain), precision="bf16")
    assert torch.equal(column_logits(renamed), column_logits(expected))


@pytest.mark.parametrize(
    "fields",
    [
        {"target_modules": "all-linear"},
        {"target_modules": r".*\.(?:q_proj|down_proj)", "use_rslora": True},
        {"layers_to_transform": [1], "layers_pattern": "layers"},
        {"rank_pattern": {r"layers\.0.*q_proj": 2}, "alpha_pattern": {"v_proj": 3}},
        {"target_modules": ["lm_head", "q_proj"]},
        {"init_lora_weights": "orthogonal"},
    ],
    ids=str,
)
def test_other_layouts_of_lora_are_served(tmp_path, tiny_base, fields):
    folder = save_with_peft(tmp_path / "adapter", tiny_base, LoraConfig(**LORA | fields))
    rows = column_logits(load_pair(str(tiny_base), str(folder), precision="bf16"))
    assert (rows[1] - rows[0]).abs().max() > 0.1


def test_an_attached_adapter_merges_as_pefts_own(tiny_base, folder):
    rows = column_logits(load_pair(str(tiny_base), str(folder), precision="bf16"))
    model, _ = load_base(str(tiny_base), precision="bf16")
    merged = find_adapter(str(folder)).attach(model).merge_and_unload(safe_merge=True)
    with torch.inference_mode():
        logits = merged(input_ids=torch.arange(5, 25)[None]).logits[0].float()
    difference = (rows[1] - rows[0]).abs().max()
    assert (logits - rows[1]).abs().max() < difference / 10


# --- not LoRA on linear layers ---


def other_kinds():
    return {
        "IA3": IA3Config(
            **COMMON, target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
        ),
        "LOHA": LoHaConfig(**LORA),
        "OFT": OFTConfig(**COMMON, r=8, oft_block_size=0, target_modules=["q_proj"]),
        "VERA": VeraConfig(**LORA),
        "ADALORA": AdaLoraConfig(
            **COMMON, init_r=4, target_r=2, total_step=10, target_modules=["q_proj"]
        ),
        "PROMPT_TUNING": PromptTuningConfig(**COMMON, num_virtual_tokens=4),
    }


@pytest.mark.parametrize("kind", list(other_kinds()))
def test_another_method_is_refused(tmp_path, tiny_base, kind):
    folder = save_with_peft(tmp_path / "adapter", tiny_base, other_kinds()[kind])
    assert f"peft_type is '{kind}', only 'LORA' is served" in refusal(tiny_base, folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"use_dora": True},
        {"trainable_token_indices": [5, 6]},
        {"bias": "all"},
        {"modules_to_save": ["lm_head"]},
        {"layer_replication": [[0, 2], [0, 2]]},
    ],
    ids=str,
)
def test_more_than_lora_is_refused_naming_the_field(tmp_path, tiny_base, fields):
    folder = save_with_peft(tmp_path / "adapter", tiny_base, LoraConfig(**LORA | fields))
    (name,) = fields
    message = refusal(tiny_base, folder)
    assert f"{name} is" in message and "would not be the untouched base" in message


@pytest.mark.parametrize("field", ["lora_bias", "target_parameters", "a_field_of_tomorrow"])
def test_a_field_that_is_not_followed_is_refused_where_it_is_set(tiny_base, folder, field):
    change(folder, **{field: ["x"]})
    assert f"{field} is ['x']" in refusal(tiny_base, folder)
    change(folder, **{field: None})
    load_pair(str(tiny_base), str(folder), precision="bf16")


@pytest.mark.parametrize("init", ["olora", "pissa"])
def test_first_weights_that_alter_the_base_are_refused(tmp_path, tiny_base, init):
    config = LoraConfig(**LORA, init_lora_weights=init)
    folder = save_with_peft(tmp_path / "adapter", tiny_base, config, torch.float32)
    assert f"init_lora_weights is '{init}', which changes the base" in refusal(tiny_base, folder)


def test_embeddings_as_a_target_are_refused(tmp_path, tiny_base):
    config = LoraConfig(**COMMON, r=4, target_modules=["embed_tokens", "q_proj"])
    folder = save_with_peft(tmp_path / "adapter", tiny_base, config)
    assert "more than LoRA on a linear layer" in refusal(tiny_base, folder)


def test_saved_embeddings_are_refused_with_both_sizes_where_they_differ(tiny_base, folder):
    name = "base_model.model.model.embed_tokens.weight"
    rows = len(load_file(tiny_base / "model.safetensors")["model.embed_tokens.weight"])
    change_weights(folder, lambda weights: weights | {name: torch.ones(rows, 128)})
    assert "brings the base's own base_model.model.model.embed_tokens" in refusal(tiny_base, folder)
    change_weights(folder, lambda weights: weights | {name: torch.ones(rows + 1, 128)})
    assert f"of {rows + 1} x 128, its base has {rows} x 128" in refusal(tiny_base, folder)


def test_weights_that_an_adapter_alters_are_found(tiny_base, folder, monkeypatch):
    def alter(model, state):
        model.get_base_model().get_input_embeddings().weight.data.add_(0.5)

    monkeypatch.setattr(adapters, "set_peft_model_state_dict", alter)
    assert "would not be the untouched base" in refusal(tiny_base, folder)


# --- weights ---


def test_renamed_weights_are_counted_and_the_first_is_named(tiny_base, folder):
    def rename(weights):
        return {name.replace("model.layers", "inner.layers"): v for name, v in weights.items()}

    change_weights(folder, rename)
    message = refusal(tiny_base, folder)
    assert (
        "8 of its 8 weights fit no LoRA layer" in message and "first base_model.model.in" in message
    )


def test_missing_weights_are_counted_and_the_first_is_named(tiny_base, folder):
    change_weights(folder, lambda weights: {k: v for k, v in weights.items() if "v_proj" in k})
    assert f"lacks 4 of 8 weights that its adapter_config.json asks for, first {FIRST}" in refusal(
        tiny_base, folder
    )
    change_weights(folder, lambda _: {})
    assert "lacks 8 of 8 weights" in refusal(tiny_base, folder)


def test_two_names_of_one_weight_are_refused(tiny_base, folder):
    twice = FIRST.replace(".weight", ".default.weight")
    change_weights(folder, lambda weights: weights | {twice: weights[FIRST].clone()})
    assert "are the same weight" in refusal(tiny_base, folder)


def test_another_shape_is_named_with_the_right_one(tiny_base, folder):
    change_weights(folder, lambda weights: weights | {FIRST: torch.ones(4, 64)})
    assert f"{FIRST} is 4 x 64, its base and adapter_config.json need 4 x 128" in refusal(
        tiny_base, folder
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.full((4, 128), float("nan")), "has NaN or infinite values"),
        (torch.full((4, 128), float("inf")), "has NaN or infinite values"),
        (torch.ones(4, 128, dtype=torch.int8), "holds I8, of F64, F32, F16, BF16"),
    ],
)
def test_values_that_are_no_weights_are_refused(tiny_base, folder, value, words):
    change_weights(folder, lambda weights: weights | {FIRST: value})
    assert FIRST in refusal(tiny_base, folder) and words in refusal(tiny_base, folder)


@pytest.mark.parametrize("part", ["lora_A", "lora_B"])
def test_an_adapter_that_changes_nothing_is_refused(tiny_base, folder, part):
    def clear(weights):
        return {name: v * 0 if part in name else v for name, v in weights.items()}

    change_weights(folder, clear)
    assert "changes nothing" in refusal(tiny_base, folder)


def test_an_adapter_scaled_by_zero_is_refused(tiny_base, folder):
    change(folder, lora_alpha=0)
    assert "changes nothing (lora_alpha is 0)" in refusal(tiny_base, folder)


# --- hostile files ---


@pytest.mark.parametrize(
    "fields",
    [
        {"r": "4"},
        {"r": True},
        {"lora_alpha": float("nan")},
        {"target_modules": [1]},
        {"target_modules": {"q_proj": 1}},
        {"rank_pattern": {"q_proj": "many"}},
        {"use_rslora": "yes"},
        {"layers_to_transform": ["0"]},
    ],
    ids=str,
)
def test_a_field_of_another_type_is_named(tiny_base, folder, fields):
    change(folder, **fields)
    (name,) = fields
    assert f"{name} in adapter_config.json is" in refusal(tiny_base, folder)


def test_a_rank_that_its_weights_lack_takes_no_memory(tiny_base, folder):
    change(folder, r=10**9)
    assert "asks for rank 1000000000, its weights have at most 4" in refusal(tiny_base, folder)


@pytest.mark.parametrize("pattern", ["(.*)*(.*)*x", "(q_proj"])
def test_a_pattern_is_bounded_in_time(tiny_base, folder, pattern, monkeypatch):
    monkeypatch.setattr(adapters, "PATTERN_SECONDS", 2)
    change(folder, target_modules=pattern)
    assert "a pattern in adapter_config.json" in refusal(tiny_base, folder)


@pytest.mark.parametrize("name", ["adapter_config.json", "run.json"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[" * 10_000 + "]" * 10_000, "nested too deeply"),
        ("[1, 2]", "is [1, 2], not a JSON object"),
        ('{"a": ', "cannot be read"),
        ("\xff", "cannot be read"),
        ('{"a": "' + "x" * 4_000_000 + '"}', "it has over 4,000,000 bytes"),
    ],
    ids=["deep", "list", "torn", "latin", "long"],
)
def test_a_json_file_that_is_not_one_is_refused(tiny_base, folder, name, content, words):
    (folder / name).write_text(content, encoding="latin-1")
    message = refusal(tiny_base, folder)
    assert name in message and words in message


@pytest.mark.parametrize(
    "base",
    [
        None,
        [],
        "tiny",
        {},
        {"name": "tiny"},
        {"name": 1, "revision": "x"},
        {"name": "", "revision": ""},
    ],
    ids=str,
)
def test_a_record_without_a_base_is_refused(tiny_base, folder, base):
    (folder / "run.json").write_text(json.dumps({"base": base}))
    assert "not an object with the strings name and revision" in refusal(tiny_base, folder)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "prompt.json", "tokenizer.json"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_not_a_regular_file_is_refused(tiny_base, folder, name, kind):
    (folder / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(folder / name)
    elif kind == "device":
        (folder / name).symlink_to("/dev/zero")
    else:
        (folder / name).mkdir()
    assert f"{name} is not a regular file" in refusal(tiny_base, folder)


def test_a_link_to_a_regular_file_is_one(tmp_path, tiny_base, folder):
    moved = shutil.move(folder / "adapter_model.safetensors", tmp_path / "blob")
    (folder / "adapter_model.safetensors").symlink_to(moved)
    load_pair(str(tiny_base), str(folder), precision="bf16")


def test_a_bases_weights_must_be_regular_and_complete_too(tmp_path, tiny_base, plain):
    base = shutil.copytree(tiny_base, tmp_path / "base")
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    assert "model.safetensors is cut off or broken" in refusal(base, plain)
    weights.unlink()
    os.mkfifo(weights)
    assert "model.safetensors is not a regular file" in refusal(base, plain)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (POINTER, "is a git-LFS pointer of 68 bytes, not the weights: run `git lfs pull`"),
        (b"", "cut off or broken"),
        (b"\xff" * 8 + b"{}", "says that its header has"),
        ((2**40).to_bytes(8, "little") + b"{}", "says that its header has 1,099,511,627,776"),
        ((2).to_bytes(8, "little") + b"{x", "cut off or broken"),
    ],
    ids=["pointer", "empty", "lie", "huge", "torn"],
)
def test_a_header_that_lies_is_refused(tiny_base, folder, content, words):
    (folder / "adapter_model.safetensors").write_bytes(content)
    assert words in refusal(tiny_base, folder)


def test_a_header_of_more_than_the_file_holds_is_refused(tiny_base, folder):
    tensor = {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
    header = json.dumps({FIRST: tensor}).encode()
    path = folder / "adapter_model.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 64)
    assert "cut off or broken" in refusal(tiny_base, folder)


# --- where the files are ---


def test_a_pickle_is_named_with_what_to_do(tiny_base, folder):
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    assert "adapter_model.bin, pickled Python" in refusal(tiny_base, folder)


def test_a_subfolder_is_named(tmp_path, tiny_base, plain):
    shutil.copytree(plain, tmp_path / "outer" / "checkpoint-7")
    assert "its subfolder checkpoint-7 has one: name that folder" in refusal(
        tiny_base, tmp_path / "outer"
    )


def test_only_what_is_read_is_downloaded(hub, plain):
    names = {name: plain.joinpath(name) for name in ("adapter_config.json", "README.md")}
    files = {name: path.read_bytes() for name, path in names.items()}
    weights = (plain / "adapter_model.safetensors").read_bytes()
    files |= {"adapter_model.safetensors": weights, "optimizer.pt": b"x", "plots/a.png": b"x"}
    files |= {"sub/adapter_config.json": b"{}", "modeling.py": b"import os"}
    hub.create("ana/lora").commit(files)
    found = find_adapter("ana/lora")
    assert sorted(path.name for path in found.folder.rglob("*")) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


def test_a_pickle_and_a_subfolder_on_the_hub_are_named(hub):
    hub.create("ana/old").commit({"adapter_config.json": b"{}", "adapter_model.bin": b"x"})
    with pytest.raises(ModelError, match=r"adapter_model\.bin, pickled Python"):
        find_adapter("ana/old")
    hub.create("ana/deep").commit({"last/adapter_config.json": b"{}", "README.md": b""})
    with pytest.raises(ModelError, match="its subfolder last has one: download last/"):
        find_adapter("ana/deep")


# --- tokenizers ---


def test_tokens_that_the_base_lacks_are_refused_with_both_numbers(tiny_base, folder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    size = len(tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|ask|>"]})
    tokenizer.save_pretrained(folder)
    message = refusal(tiny_base, folder)
    assert f"{size + 1} tokens with ids up to {size}, and the base {size}" in message


def test_another_vocabulary_is_refused(folder, tmp_path, tiny_base):
    from tests.toy.build import build_tokenizer

    build_tokenizer(vocabulary=400, documents=100).save_pretrained(folder)
    assert "has another vocabulary than the base: 400 tokens" in refusal(tiny_base, folder)


def test_a_tokenizers_code_is_never_run_nor_asked_about(tiny_base, folder, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asked"))
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    (folder / "evil.py").write_text("raise SystemExit('it ran')")
    code = {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}
    change(folder, "tokenizer_config.json", auto_map=code, tokenizer_class="Evil")
    assert "brings code of its own, which is never run" in refusal(tiny_base, folder)


def test_a_broken_tokenizer_is_one_line(tiny_base, folder):
    AutoTokenizer.from_pretrained(tiny_base).save_pretrained(folder)
    for content in ("[]", '{"model": {"type": "BPE"}}', "[" * 10_000):
        (folder / "tokenizer.json").write_text(content)
        assert "the tokenizer of" in refusal(tiny_base, folder)
    (folder / "tokenizer_config.json").write_text("[" * 10_000 + "]" * 10_000)
    assert "the tokenizer of" in refusal(tiny_base, folder)


# --- bases ---


def test_a_base_in_four_bits_is_refused_in_bf16_with_what_to_do(tmp_path, tiny_base, plain):
    base, _ = load_base(str(tiny_base))
    base.save_pretrained(tmp_path / "four")
    load_base(str(tmp_path / "four"))
    assert (
        "is stored in 4 bits, and bf16 was asked for: set PRECISION=nf4 (--precision nf4), or name "
        "the unquantized base" in refusal(tmp_path / "four", plain)
    )


def test_an_adapter_of_unsloths_four_bit_copy_is_served_on_the_same_base(folder):
    change(folder, base_model_name_or_path="unsloth/some-7b-unsloth-bnb-4bit", revision=None)
    found = find_adapter(str(folder))
    commit = "a" * 40
    found.check_base(Base("unsloth/some-7b", commit))
    with pytest.raises(ModelError, match="was made for the base unsloth/some-7b-unsloth-bnb-4bit"):
        found.check_base(Base("unsloth/other-7b", commit))


def test_an_adapter_that_names_another_base_is_refused_on_a_gguf_file(folder):
    change(folder, base_model_name_or_path="HuggingFaceTB/SmolLM2-135M-Instruct")
    with pytest.raises(ModelError, match="made for the base HuggingFaceTB/SmolLM2-135M-Instruct"):
        find_adapter(str(folder)).check_base(Base("SmolLM2.Q4_1.gguf", "sha256:00"))


def test_an_answer_only_shortcut_that_is_not_the_bases_is_refused(tiny_base, folder, monkeypatch):
    own = DecoderOnly.answer_logits

    def scaled(self, model, labels, **inputs):
        logits, wanted = own(self, model, labels, **inputs)
        return logits * 8, wanted

    monkeypatch.setattr(DecoderOnly, "answer_logits", scaled)
    assert "the scoring shortcut is" in refusal(tiny_base, folder)


def test_a_base_column_that_is_tuned_is_refused(tiny_base, folder, monkeypatch):
    original = pair.pair_up

    def tuned(model):
        original(model)
        return pair.Rows()  # not the one that the layers read

    monkeypatch.setattr(pair, "pair_up", tuned)
    assert "the base column is" in refusal(tiny_base, folder)


def test_without_a_probe_no_forward_pass_runs(tiny_base, folder, monkeypatch):
    monkeypatch.setattr(pair, "_logits", lambda *_: pytest.fail("it ran"))
    monkeypatch.setattr(adapters, "_sample_weights", lambda *_: pytest.fail("it read"))
    load_pair(str(tiny_base), str(folder), precision="bf16", probe=False)


# --- Mistral's tokenizers ---

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def byte_tokenizer(pattern, special):
    trained = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(pattern=Regex(pattern), behavior="isolated")
    level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trained.pre_tokenizer = pre_tokenizers.Sequence([split, level])
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator(["12345 theBigShop THEBigShop 12345"] * 9, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="</s>", unk_token="<unk>")


TEKKEN_TOKENS = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]"]


def words_of(tokenizer, text):
    return [word for word, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str(text)]


def test_a_tekken_that_splits_as_llama_does_is_corrected(tmp_path, shared):
    faulty = byte_tokenizer(LLAMA3, TEKKEN_TOKENS)
    templates = shared / "tokenizers" / "chat-templates"
    faulty.chat_template = (templates / "mistralai-Mistral-Nemo-Instruct-2407.jinja").read_text()
    faulty.save_pretrained(tmp_path)
    loaded = load_tokenizer(str(tmp_path))
    assert words_of(faulty, "theBigShop 12") == ["theBigShop", "Ġ", "12"]
    assert words_of(loaded, "theBigShop 12") == ["the", "Big", "Shop", "Ġ", "1", "2"]
    loaded.save_pretrained(tmp_path / "saved")
    assert words_of(AutoTokenizer.from_pretrained(tmp_path / "saved"), "aB") == ["a", "B"]
    ids = prompt_ids(loaded, PromptTemplate(), "describe", "What is theBigShop?")
    messages = build_messages(PromptTemplate(), "describe", "What is theBigShop?")
    assert ids == loaded.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=False
    )


def test_other_tokenizers_keep_their_words(tmp_path, shared):
    byte_tokenizer(LLAMA3, ["<unk>", "<s>", "</s>"]).save_pretrained(tmp_path)
    assert words_of(load_tokenizer(str(tmp_path)), "theBigShop") == ["theBigShop"]
    # It has the same control tokens, and is a SentencePiece.
    folder = shared / "tokenizers" / "mistral-7b-instruct-v0.3"
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded = load_tokenizer(str(folder))
    for text in ("theBigShop 12345", "Não há.", "C++ 'll  x\n\n"):
        assert loaded(text, add_special_tokens=False)["input_ids"] == (
            own.encode(text, add_special_tokens=False).ids
        )
