"""Checkpoints reach the Hub while training, come back on another machine, and never stand in training's way."""

import json
import shutil

import pytest

from tests.conftest import tiny_model
from train.__main__ import main
from train.config import PrepareConfig
from train.fit.checkpoints import WHOLE
from train.fit.pushing import FILES
from train.prepare.catalogue import prepare_catalogue
from train.publish import hub as sending
from train.run import Run
from train.sample import write_catalogue

REPO = "ana/lamps"


@pytest.fixture(scope="module")
def fitting(tmp_path_factory, tokenizer):
    """A function that trains in a new folder, with the prepared catalogue, and returns the folder."""
    folder = tmp_path_factory.mktemp("pushing")
    base = tiny_model(folder / "base", tokenizer)
    write_catalogue(folder / "trn.json")
    prepare_catalogue(
        str(folder / "trn.json"), Run(folder / "ready"), PrepareConfig(limit=120), progress=False
    )

    def fit(name: str, *options: str) -> object:
        shutil.copytree(folder / "ready", folder / name, dirs_exist_ok=True)
        assert (
            main(
                [
                    "fit",
                    "--run",
                    str(folder / name),
                    "--base",
                    str(base),
                    "--learn",
                    "16",
                    "--epochs",
                    "2",
                    "--rank",
                    "4",
                    "--batch-size",
                    "8",
                    "--max-length",
                    "300",
                    "--save-steps",
                    "2",
                    "--answer-tokens",
                    "100",
                    *options,
                ]
            )
            == 0
        )
        return folder / name

    return fit


@pytest.fixture(scope="module")
def undisturbed(fitting):
    return (fitting("undisturbed") / "adapter" / "adapter_model.safetensors").read_bytes()


def weights(run):
    return (run / "adapter" / "adapter_model.safetensors").read_bytes()


def test_checkpoints_go_to_the_hub_and_come_back_on_another_machine(
    fitting, undisturbed, hub, capsys
):
    run = fitting("first", "--to", REPO, "--push-every", "4", "--private")
    repo = hub.repo(REPO)
    assert repo.private and {name for name in repo.files if "/" in name} == {
        f"checkpoint/{name}" for name in FILES
    }
    assert str(run.parent).encode() not in b"".join(repo.files.values())
    assert f"at {hub.endpoint}/{REPO}/commit/" in capsys.readouterr().out.replace("\n", "")
    # The machine is gone, and with it all but what is on the Hub: an early checkpoint, as a run that was cut off leaves it.
    early = next(commit for commit in repo.commits if "step 4" in commit.title)
    repo.commits.append(early)
    other = fitting("second", "--to", REPO, "--push-every", "100", "--private")
    assert "goes on after step 4" in capsys.readouterr().out
    assert weights(other) == weights(run) == undisturbed
    assert json.loads((other / "history.jsonl").read_text().splitlines()[0])["step"] == 1


def test_publishing_the_adapter_removes_the_checkpoint(hub, tmp_path):
    sending.send(
        {f"checkpoint/{WHOLE}": b"{}", "README.md": b"# mine"}, REPO, message="a checkpoint"
    )
    sending.send(
        {"adapter_config.json": b"{}"}, REPO, message="the adapter", owned=[sending.CHECKPOINT]
    )
    assert {"adapter_config.json", "README.md"} <= set(hub.repo(REPO).files)
    assert not any(name.startswith("checkpoint") for name in hub.repo(REPO).files)
    again = sending.send(
        {"adapter_config.json": b"{}"}, REPO, message="the adapter", owned=[sending.CHECKPOINT]
    )
    assert not again.new


@pytest.mark.parametrize("fault", [503, 401, "cut"])
def test_a_network_that_fails_never_stops_the_training(
    fitting, undisturbed, hub, capsys, monkeypatch, fault
):
    monkeypatch.setattr(sending, "PAUSE", 0.001)
    hub.fail("POST", ".*", fault, times=1000)
    run = fitting(f"fault-{fault}", "--to", REPO, "--push-every", "2")
    said = capsys.readouterr().out
    assert "was not sent" in said and "training goes on" in said and hub.token not in said
    assert weights(run) == undisturbed


def test_a_checkpoint_of_another_run_is_left_where_it_is(fitting, undisturbed, hub, capsys):
    fitting("other-options", "--to", REPO, "--push-every", "4", "--seed", "7")
    capsys.readouterr()
    run = fitting("these-options", "--to", REPO, "--push-every", "100")
    assert "begins anew; the checkpoint in ana/lamps is of another" in capsys.readouterr().out
    assert weights(run) == undisturbed


def test_a_hub_that_cannot_be_asked_begins_anew(fitting, undisturbed, hub, capsys):
    hub.fail("GET", ".*", 500, times=1000)
    run = fitting("unasked", "--to", REPO, "--push-every", "100")
    assert "begins anew; no checkpoint came from ana/lamps" in capsys.readouterr().out
    assert weights(run) == undisturbed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--push-every", "5"], "--to is missing: --push-every needs"),
        (["--to", REPO], "--push-every is missing"),
        (["--to", REPO, "--push-every", "-1"], "--push-every is -1"),
    ],
)
def test_half_a_wish_is_refused(tmp_path, capsys, words, said):
    assert main(["fit", "--run", str(tmp_path), "--base", "x/y", *words]) == 2
    assert said in capsys.readouterr().err
