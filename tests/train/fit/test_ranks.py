"""Several processes train and score one run together: the numbers of one, and faults that end."""

import json
import re
import signal
from pathlib import Path
from shutil import copytree

import pytest
import torch
from transformers import TrainingArguments

from tests.conftest import tiny_model
from tests.train.fit.two_ranks import run_two
from train import ranks
from train.__main__ import main
from train.config import ConfigError, FitConfig
from train.fit.checkpoints import MARKER, latest_checkpoint, resume_files, resume_point
from train.fit.trainer import build_trainer
from train.run import Run

ROOT = Path(__file__).resolve().parents[3]
STEPS = 20
OPTIONS = (
    f"--learn 16 --epochs 30 --rank 4 --max-length 300 --answer-tokens 100 --asked 0 "
    f"--save-steps 5 --learning-rate 1e-3 --max-steps {STEPS} --snapshots"
).split()


@pytest.fixture(scope="module")
def base(tmp_path_factory, tokenizer):
    return tiny_model(tmp_path_factory.mktemp("ranks") / "base", tokenizer)


@pytest.fixture
def begin(base, prepared, tmp_path):
    """Make a run of the prepared catalogue and return its folder and fit's arguments."""

    def make(name: str, batch_size: int = 2, *more: str) -> tuple[Path, list[str]]:
        run = copytree(prepared, tmp_path / name)
        call = ["fit", "--run", str(run), "--base", str(base), *OPTIONS, *more]
        return run, [*call, "--batch-size", str(batch_size)]

    return make


def losses(run):
    return [json.loads(line)["loss"] for line in (run / "history.jsonl").read_text().splitlines()]


def weights(run):
    return (run / "adapter" / "adapter_model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def trained(base, prepared, tmp_path_factory):
    """A run that two ranks trained, with each rank's own weights beside it."""
    folder = tmp_path_factory.mktemp("trained")
    run = copytree(prepared, folder / "run")
    call = ["fit", "--run", str(run), "--base", str(base), *OPTIONS, "--batch-size", "2"]
    ended = run_two(folder / "logs", call, "keep_each_ranks_weights")
    assert ended.code == 0, ended.errors
    assert "2 processes with 2 examples each in a step" in ended.out[0] and not ended.out[1]
    return run


@pytest.mark.slow
def test_two_ranks_train_what_one_process_does_with_twice_the_batch(trained, begin):
    first, second = (torch.load(trained.parent / "logs" / f"weights{rank}") for rank in (0, 1))
    assert first.keys() == second.keys() and len(first) == 28
    assert all(torch.equal(first[name], second[name]) for name in first)
    record = json.loads((trained / "adapter" / "run.json").read_text())
    assert (record["world_size"], record["steps"]) == (2, STEPS)
    snapshots = {path.name for path in (trained / "adapter" / "snapshots").iterdir()}
    assert snapshots == {"step-2.safetensors", "step-10.safetensors"}
    one, call = begin("one", 4)
    assert main(call) == 0
    alone = json.loads((one / "adapter" / "run.json").read_text())
    assert (alone["world_size"], alone["steps"]) == (1, STEPS)
    assert alone["tokens"] == record["tokens"] and alone["examples"] == record["examples"]
    assert losses(trained)[-1] == pytest.approx(losses(one)[-1], abs=2e-3)
    assert record["train_loss"] == pytest.approx(alone["train_loss"], abs=2e-3)
    # bf16 rounds sums of other rows otherwise.
    assert losses(trained) == pytest.approx(losses(one), abs=5e-3)


@pytest.mark.slow
def test_a_run_whose_rank_was_killed_goes_on_and_ends_with_the_same_adapter(
    trained, begin, tmp_path
):
    killed, call = begin("killed")
    ended = run_two(tmp_path / "logs", call, "kill_rank_1")
    assert ended.code and not (killed / "adapter").exists()
    assert latest_checkpoint(killed / "checkpoints").step == 5
    assert run_two(tmp_path / "resumed-logs", call).code == 0
    assert weights(killed) == weights(trained) and losses(killed) == losses(trained)


FAULTS = {
    "nan_on_rank_1": (
        1,
        r"error: the loss is nan at step 7 of 20 on rank 1: .* the checkpoint of step 5 is kept\. "
        r"Try a lower --learning-rate .*",
    ),
    "out_of_memory_on_rank_1": (
        1,
        r"error: rank 1: memory ran out at step 7 of 20; the checkpoint of step 5 is kept\. .*",
    ),
    "no_memory_on_rank_1": (2, r"error: training needs about .* on rank 1: try a lower .*"),
    "other_weights_on_rank_1": (
        1,
        r"error: rank 1 ended with other weights than rank 0, so no adapter was written: .*",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_one_rank_ends_all_in_one_line(begin, tmp_path, fault):
    code, words = FAULTS[fault]
    run, call = begin("run")
    ended = run_two(tmp_path / "logs", call, fault)
    # Beside what is wrong, a rank may say that it lost the other.
    lines = [line for line in ended.error_lines() if "another rank ended at step 7" not in line]
    assert ended.code == code and len(lines) == 1, ended.errors
    assert re.fullmatch(words, lines[0])
    assert "Traceback" not in "".join(ended.errors)
    assert not (run / "adapter").exists()
    # A run that was refused may be begun with other options.
    assert (run / "config.json").exists() == (code == 1)


@pytest.mark.slow
def test_two_ranks_share_the_items_and_score_what_one_process_scores(tuned_run, tmp_path):
    one, two = (copytree(tuned_run, tmp_path / name / "run") for name in ("one", "two"))
    for run in (one, two):
        for path in (run / "scores").iterdir():
            path.unlink()
    assert main(["evaluate", "--run", str(one), "--items", "3", "--score-batch", "2"]) == 0
    call = ["evaluate", "--run", str(two), "--items", "3", "--score-batch", "2"]
    ended = run_two(tmp_path / "logs", call, "rank_1_writes_nothing")
    assert ended.code == 0, ended.errors

    def answers(run):
        files = sorted((run / "scores").glob("*.jsonl"))
        lines = [(path.stem, json.loads(line)) for path in files for line in path.open()]
        return {(column, line["set"], line["uid"]): line for column, line in lines}

    alone, shared = answers(one), answers(two)
    assert alone.keys() == shared.keys() and len({column for column, *_ in alone}) == 3
    # Untrained weights nearly tie everywhere, and where memory lies decides the last bits of sums.
    same = [line["said"] == shared[key]["said"] for key, line in alone.items()]
    assert sum(same) >= 0.9 * len(same)
    for key, line in alone.items():
        assert line["loss"] == pytest.approx(shared[key]["loss"], abs=1e-3)
    assert "seen" in ended.out[0] and not ended.out[1].strip()
    assert int((tmp_path / "logs" / "generated").read_text()) > 0


@pytest.fixture(autouse=True)
def same_signals():
    """Put back the handlers that torchrun's agent replaces in this process."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.slow
def test_all_starts_a_process_for_each_gpu_by_itself(begin, monkeypatch, capfd):
    """The real agent and the real command; here the GPUs are two processes on the CPU."""
    run, call = begin("run")
    source = run.parent / "trn.json"
    records = read_records(run)
    source.write_text("".join(json.dumps(record) + "\n" for record in records))
    shop = run.parent / "shop"
    call = ["all", str(source), "--run", str(shop), *call[3:], "--max-steps", "2"]
    monkeypatch.setattr(ranks, "idle_gpus", lambda: 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(ROOT)
    assert main([*call, "--items", "2", "--shots", "0"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("all: one process for each of 2 GPUs\n")
    assert out.count("prepare: ") == 1 and out.count("fit: needs") == 1
    assert json.loads((shop / "adapter" / "run.json").read_text())["world_size"] == 2
    assert (shop / "adapter" / "README.md").is_file() and (shop / "report.html").is_file()
    assert main([*call, "--to", "no repository"]) == 2


def read_records(run):
    from train.prepare import load_records

    return [
        {"uid": each["uid"], "title": each["title"], "content": each["content"]}
        for each in load_records(Run(run))
    ]


def a_checkpoint(folder: Path, marker: dict) -> Path:
    path = folder / "checkpoint-4"
    path.mkdir(parents=True)
    (path / MARKER).write_text(json.dumps({"of": "this", "tokens": 4, "seconds": 1.5} | marker))
    return folder


def pretend(monkeypatch, size: int, rank: int = 0) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(size))
    monkeypatch.setenv("RANK", str(rank))


def test_a_checkpoint_of_another_number_of_processes_is_refused_and_kept(tmp_path, monkeypatch):
    two = a_checkpoint(tmp_path / "x" / "checkpoints", {"world_size": 2})
    with pytest.raises(
        ConfigError, match=r"x was begun with 2 processes and there are 1 now.*_per_node 2 -m train"
    ):
        resume_point(two, "this")
    one = a_checkpoint(tmp_path / "y" / "checkpoints", {})
    pretend(monkeypatch, 2)
    with pytest.raises(
        ConfigError, match=r"y was begun with 1 processes .* CUDA_VISIBLE_DEVICES=0"
    ):
        resume_point(one, "this")
    assert resume_point(two, "this").world_size == 2
    assert (one / "checkpoint-4").is_dir()


def test_a_checkpoint_has_a_random_state_for_each_rank():
    assert "rng_state.pth" in resume_files(1)
    states = [name for name in resume_files(3) if name.startswith("rng_state")]
    assert states == ["rng_state_0.pth", "rng_state_1.pth", "rng_state_2.pth"]


def test_a_verb_for_one_process_is_refused_under_torchrun(tmp_path, monkeypatch, capsys):
    pretend(monkeypatch, 2)
    assert main(["prepare", "x.json", "--run", str(tmp_path / "x")]) == 2
    assert "prepare is for one process: start it without torchrun" in capsys.readouterr().err


def test_items_are_dealt_in_turn(monkeypatch):
    for rank, dealt in ((0, ["a", "c", "e"]), (1, ["b", "d", None])):
        pretend(monkeypatch, 2, rank)
        assert list(ranks.deal(["a", "b", "c", "d", "e"])) == dealt


def test_one_process_on_a_machine_with_two_gpus_reads_one_batch_a_step(
    begin, base, monkeypatch, capsys
):
    """Otherwise the Trainer reads a batch for each GPU, and trains two epochs for one."""
    from space.model.base import load_base, load_tokenizer
    from train.fit import training
    from train.fit.adapter import add_lora
    from train.pipeline import load_examples

    own = TrainingArguments.__post_init__

    def two_gpus(self):
        own(self)
        self._n_gpu = 2

    monkeypatch.setattr(TrainingArguments, "__post_init__", two_gpus)
    run, _ = begin("run")
    config = FitConfig(base=str(base), learn=16, batch_size=8, rank=4, learning_rate=1e-3)
    model, identity = load_base(config.base, training=True)
    examples = load_examples(Run(run), config, load_tokenizer(config.base), 512)
    dataset, _ = training.tokenize(examples)
    adapted = add_lora(model, identity, config)
    trainer = build_trainer(Run(run), adapted, dataset, examples.tokenizer, config)
    assert trainer.args.train_batch_size == 8 and trainer.args.n_gpu == 1
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    ranks.mention_idle_gpus("fit")
    assert capsys.readouterr().out == (
        "fit: uses 1 of 2 GPUs; to use all: "
        "torchrun --standalone --nproc_per_node gpu -m train fit ...\n"
    )


def test_more_processes_than_gpus_are_refused(monkeypatch):
    pretend(monkeypatch, 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="4 processes were started for 2 GPUs"):
        ranks.join()


def test_each_rank_loads_the_base_to_its_own_gpu(base, monkeypatch):
    from space.model.base import load_base

    asked = {}

    def from_pretrained(*args, device_map, **kwargs):
        asked.update(device_map)
        raise OSError("stop here")

    pretend(monkeypatch, 2, 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", from_pretrained)
    with pytest.raises(Exception, match="stop here"):
        load_base(str(base), training=True)
    assert asked == {"": torch.device("cuda", 1)}
