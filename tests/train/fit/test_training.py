"""The training run on the 4-bit base: its record, resuming, and a complete adapter."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from space.catalogue.search import Catalogue
from space.model.base import load_base, load_tokenizer
from space.model.pair import load_pair
from space.model.prompt_template import PromptTemplate
from tests.conftest import tiny_model
from train.config import ConfigError, FitConfig, PushConfig, TrackConfig
from train.examples.examples import Examples
from train.fit.trainer import AnswerTrainer
from train.fit.training import fit, peak_memory
from train.prepare import load_records
from train.run import Run

ADAPTER_FILES = {
    "adapter_model.safetensors",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "prompt.json",
    "run.json",
}


def config_for(base, **changes):
    return replace(
        FitConfig(
            base=str(base),
            learn=16,
            epochs=2,
            rank=4,
            batch_size=8,
            max_length=300,
            save_steps=5,
            learning_rate=1e-2,
            answer_tokens=100,
        ),
        **changes,
    )


def train(run, prepared, config):
    """fit, as the verb does it, on the prepared catalogue."""
    (run / "catalogue").symlink_to(prepared / "catalogue")
    model, base = load_base(config.base, training=True)
    tokenizer = load_tokenizer(config.base)
    examples = Examples(
        load_records(Run(run)),
        Catalogue.open(run / "catalogue"),
        tokenizer,
        PromptTemplate(),
        config,
        512,
    )
    fit(Run(run), model, base, examples, PushConfig(), TrackConfig())
    return run / "adapter"


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_fit_writes_a_complete_adapter_that_learned(tmp_path, prepared, tokenizer, kind):
    base = tiny_model(tmp_path / "base", tokenizer, kind=kind)
    run = tmp_path / "run"
    run.mkdir()
    folder = train(run, prepared, config_for(base, epochs=6))
    assert {path.name for path in folder.iterdir()} == ADAPTER_FILES
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert {"loss", "learning_rate", "tokens_per_second", "step"} <= set(history[0])
    losses = [float(entry["loss"]) for entry in history]
    assert sum(losses[-5:]) / 5 < losses[0] - 1
    record = json.loads((folder / "run.json").read_text())
    assert record["base"]["revision"].startswith("sha256:") and record["tokens"] > 1000
    assert record["config"]["rank"] == 4 and record["libraries"]["peft"]
    everything = "".join(
        (folder / name).read_text() for name in ("run.json", "adapter_config.json")
    )
    assert str(tmp_path) not in everything
    weights = load_file(folder / "adapter_model.safetensors")
    assert len(weights) == 28 and all(tensor.dtype == torch.bfloat16 for tensor in weights.values())
    assert load_pair(str(base), str(folder)).tokenizer.chat_template


def test_a_base_with_a_chat_template_keeps_it(tmp_path, prepared, tokenizer):
    import copy

    spoken = copy.deepcopy(tokenizer)
    spoken.chat_template = (
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{% if m.role == "
        "'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}{{ strftime_now('%Y') if false }}"
    )
    base = tiny_model(tmp_path / "base", spoken)
    run = tmp_path / "run"
    run.mkdir()
    folder = train(run, prepared, config_for(base, max_steps=1))
    template = (folder / "chat_template.jinja").read_text()
    assert "[assistant]" in template and "strftime_now(" not in template


def test_a_stopped_run_resumes_from_its_checkpoint(tmp_path, prepared, tiny_base, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    config = config_for(tiny_base)
    save = AnswerTrainer._save_checkpoint

    def dying(self, *args, **kwargs):
        save(self, *args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(AnswerTrainer, "_save_checkpoint", dying)
    with pytest.raises(KeyboardInterrupt):
        train(run, prepared, config)
    assert not (run / "adapter").exists()
    monkeypatch.undo()
    (run / "catalogue").unlink()
    folder = train(run, prepared, config)
    steps = [json.loads(line)["step"] for line in (run / "history.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[0] == 1
    assert json.loads((folder / "run.json").read_text())["steps"] == steps[-1]


def test_a_checkpoint_asks_the_hub_nothing(tmp_path, prepared, tiny_base, monkeypatch):
    asked = []
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")  # PEFT looks at it at every call
    monkeypatch.setattr(
        "peft.utils.save_and_load.check_file_exists_on_hf_hub", lambda *place: asked.append(place)
    )
    run = tmp_path / "run"
    run.mkdir()
    train(run, prepared, config_for(tiny_base, max_steps=2, save_steps=1))
    assert (run / "checkpoints" / "checkpoint-1").is_dir() and not asked


def test_a_run_begun_with_other_options_is_not_overwritten(tmp_path, tiny_base):
    Run(tmp_path).keep_fit_config(config_for(tiny_base))
    Run(tmp_path).keep_fit_config(config_for(tiny_base))
    with pytest.raises(ConfigError, match=r"--rank was 4, now 8.*choose another --run"):
        Run(tmp_path).keep_fit_config(config_for(tiny_base, rank=8))


def test_every_problem_of_a_config_is_named_at_once():
    with pytest.raises(
        ConfigError,
        match="--precision is 'int8', it is one of nf4, bf16; --rank is 0, the least is 1",
    ):
        FitConfig(base="x", rank=0, precision="int8")


def test_peak_memory_is_measured_on_every_system(monkeypatch):
    """Linux counts in KiB, macOS in bytes; Windows has no getrusage()."""
    linux = peak_memory()
    assert linux > 100 * 2**20
    monkeypatch.setattr(sys, "platform", "darwin")
    assert peak_memory() == pytest.approx(linux / 1024, rel=0.1)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    windows = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=12345))
    monkeypatch.setattr("psutil.Process", lambda: windows)
    assert peak_memory() == 12345
