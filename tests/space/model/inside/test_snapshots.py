"""space/model/inside/snapshots.py: an answer with each snapshot, and the adapter back after it."""

import json
import os
import threading
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file, save_file

from space.model.base import load_base
from space.model.decode import complete, stream_tokens
from space.model.inside.adapter_change import measure_adapter
from space.model.inside.snapshots import (
    SNAPSHOTS_READ,
    answer_along_training,
    find_snapshots,
    read_snapshot,
)
from space.model.layers import adapted_layers
from space.model.pair import load_pair
from space.model.prompt import prompt_ids
from space.page.html.formulas import FORMULAS
from tests.encoder_decoder import adapter_of, tiny_base

NEW = 16
TOTAL = 10


def keep_snapshots(folder):
    """Add to an adapter of TOTAL steps two snapshots: half its change, and all of it."""
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"steps": TOTAL}))
    weights = load_file(folder / "adapter_model.safetensors")
    (folder / "snapshots").mkdir()
    save_file(weights, folder / "snapshots/step-9.safetensors", {"format": "pt"})
    for name in weights:
        if "lora_B" in name:
            weights[name] = weights[name] * 0.5
    save_file(weights, folder / "snapshots/step-4.safetensors", {"format": "pt"})
    return folder


@pytest.fixture
def folder(tmp_path, adapter):
    return keep_snapshots(copytree(adapter, tmp_path / "run" / "adapter"))


@pytest.fixture(scope="module")
def module_folder(tmp_path_factory, adapter):
    return keep_snapshots(copytree(adapter, tmp_path_factory.mktemp("run") / "adapter"))


@pytest.fixture(scope="module")
def kept(module_folder, tiny_base):
    """A pair whose adapter has snapshots."""
    return load_pair(str(tiny_base), str(module_folder))


@pytest.fixture(scope="module")
def prompt(kept):
    return prompt_ids(kept.tokenizer, kept.prompt_template, "describe", "What is the Dovenka?")


def lora_of(pair):
    return [layer.paired.lora[layer.index] for layer in adapted_layers(pair.model)]


def same(before, after):
    """Whether LoRA weights have the same bits."""
    equal = []
    for mine, theirs in zip(before, after, strict=True):
        equal += [torch.equal(mine[0], theirs[0]), torch.equal(mine[1], theirs[1])]
    return all(equal)


@pytest.mark.parametrize("alpha", [32, 24])
@pytest.mark.parametrize("precision", ["nf4", "bf16"])
def test_the_ends_are_both_models_and_a_snapshot_of_all_is_the_adapter(
    folder, tiny_base, precision, alpha
):
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": alpha}))
    pair = load_pair(str(tiny_base), str(folder), precision=precision)
    prompt = prompt_ids(pair.tokenizer, pair.prompt_template, "describe", "What is the Dovenka?")
    before = [tuple(part.clone() for part in lora[:2]) for lora in lora_of(pair)]
    snapshots = find_snapshots(pair)
    assert list(snapshots.files) == [4, 9] and (snapshots.total, snapshots.left_out) == (TOTAL, 0)
    answers = answer_along_training(pair, snapshots, prompt, NEW)
    assert list(answers) == [0, 4, 9, TOTAL]
    (base,), (tuned,) = (complete(pair, [prompt], NEW, tuned=one) for one in (False, True))
    assert (answers[0], answers[TOTAL]) == (base, tuned) and base != tuned
    assert answers[9] == tuned and answers[4] not in (base, tuned)
    assert same(before, lora_of(pair))


def test_the_answer_of_a_snapshot_is_that_of_the_code_on_the_page(kept, module_folder, tiny_base):
    text = "The Dovenka Kettle is"
    names = {
        "model": load_base(str(tiny_base))[0].eval(),
        "tokenizer": kept.tokenizer,
        "adapter": str(module_folder),
        "step": 4,
        "text": text,
    }
    exec(FORMULAS["transfer"].code, names)
    ids = kept.tokenizer(text)["input_ids"]
    found = answer_along_training(kept, find_snapshots(kept), ids, 32)[4]
    words = kept.tokenizer.decode(found, skip_special_tokens=True)
    assert words and names["words"] == words


def test_the_adapter_is_back_after_an_error_and_after_a_visitor_who_leaves(
    kept, prompt, monkeypatch
):
    lora = read_snapshot(kept, find_snapshots(kept).files[4])
    before = lora_of(kept)
    steps = stream_tokens(kept, [prompt], 0, 4, lora=lora)
    next(steps)
    assert not same(before, lora_of(kept)) and kept.lock.locked()
    steps.close()
    assert all(one is other for one, other in zip(before, lora_of(kept), strict=True))
    with pytest.raises(KeyError):  # of a layer in the middle
        complete(kept, [prompt], 4, tuned=True, lora=dict(list(lora.items())[:3]))

    def failing(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr("space.model.decode._forward", failing)
    with pytest.raises(RuntimeError):
        complete(kept, [prompt], 4, tuned=True, lora=lora)
    assert all(one is other for one, other in zip(before, lora_of(kept), strict=True))
    assert not kept.lock.locked()


def test_the_adapters_change_is_never_measured_on_a_snapshot(kept, prompt):
    expected, found = measure_adapter(kept), []
    lora = read_snapshot(kept, find_snapshots(kept).files[4])
    steps = stream_tokens(kept, [prompt], 0, 4, lora=lora)
    next(steps)
    thread = threading.Thread(target=lambda: found.append(measure_adapter(kept)))
    thread.start()
    thread.join(0.3)
    assert not found, "it waits for its turn"
    steps.close()
    thread.join()
    assert found == [expected]


def of_another_rank(path):
    weights = load_file(path)
    save_file({name: tensor[..., :4].contiguous() for name, tensor in weights.items()}, path)


def of_other_layers(path):
    weights = load_file(path)
    weights["base_model.model.model.embed_tokens.weight"] = torch.ones(2, 2)
    save_file(weights, path)


def incomplete(path):
    weights = load_file(path)
    weights.popitem()
    save_file(weights, path)


def diverged(path):
    weights = load_file(path)
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, path)


def of_numbers(path):
    save_file({name: tensor.to(torch.int8) for name, tensor in load_file(path).items()}, path)


def too_large(path):
    save_file({name: tensor.double() for name, tensor in load_file(path).items()}, path)


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


def a_folder(path):
    path.unlink()
    path.mkdir()


def of_a_longer_training(path):
    path.rename(path.with_name("step-10.safetensors"))


@pytest.mark.parametrize(
    "damage",
    [
        *(of_another_rank, of_other_layers, incomplete, diverged, of_numbers, too_large, cut_off),
        *(a_pipe, a_folder, of_a_longer_training),
    ],
)
def test_one_that_is_damaged_or_foreign_is_left_out_in_one_line(
    folder, pair, caplog, monkeypatch, damage
):
    damage(folder / "snapshots/step-4.safetensors")
    monkeypatch.setattr(pair, "folder", folder)
    snapshots = find_snapshots(pair)
    assert list(snapshots.files) == [9] and snapshots.left_out == 1
    (line,) = caplog.messages
    assert "step-" in line and "\n" not in line and len(line) < 300


def test_names_that_are_no_steps_are_passed_over_and_the_number_is_bounded(
    folder, pair, monkeypatch
):
    for name in ("step-0", "step-x", "step-1e3", "step-04", "step-99999999999", "step--1"):
        (folder / f"snapshots/{name}.safetensors").write_bytes(b"")
    for step in (1, 2, 3):
        content = (folder / "snapshots/step-4.safetensors").read_bytes()
        (folder / f"snapshots/step-{step}.safetensors").write_bytes(content)
    monkeypatch.setattr(pair, "folder", folder)
    found = find_snapshots(pair)
    assert list(found.files) == [1, 2, 3, 4] and len(found.files) == SNAPSHOTS_READ
    assert found.left_out == 1  # of step 9


@pytest.mark.parametrize("steps", [None, "10", True, 0, -1, 10**30, 2.5])
def test_without_the_number_of_steps_there_are_none(folder, pair, monkeypatch, steps):
    record = json.loads((folder / "run.json").read_text()) | {"steps": steps}
    (folder / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr(pair, "folder", folder)
    assert not find_snapshots(pair).files


def test_an_adapter_without_snapshots_or_record_has_none(pair, folder, monkeypatch):
    assert not find_snapshots(pair).files
    (folder / "run.json").unlink()
    for place in (folder, None):
        monkeypatch.setattr(pair, "folder", place)
        assert not find_snapshots(pair).files


def test_an_encoder_decoder_answers_along_its_training(tmp_path):
    base = tiny_base(tmp_path / "base", "t5")
    folder = keep_snapshots(adapter_of(tmp_path / "adapter", base))
    pair = load_pair(str(base), str(folder))
    prompt = prompt_ids(pair.tokenizer, pair.prompt_template, "describe", "What is it?")
    answers = answer_along_training(pair, find_snapshots(pair), prompt, 8)
    assert list(answers) == [0, 4, 9, TOTAL] and answers[9] == answers[TOTAL]
