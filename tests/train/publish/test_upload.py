"""Publishing: one commit a repository, byte for byte, seen by whom it should be."""

import json
import re
import shutil

import pytest
from huggingface_hub import snapshot_download

from space.model import find_adapter
from tests.toy import TOY
from tests.train.publish.conftest import (
    ADAPTER,
    call,
    catalogue_head,
    contents,
    elsewhere,
    refused,
)
from train.__main__ import main
from train.config import ConfigError, PublishConfig
from train.publish.card import for_repository


def test_one_commit_each_with_exactly_what_belongs_there(hub, run, tmp_path, capsys):
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "optimizer.pt").write_bytes(b"state")
    assert main(call(run)) == 0
    model, data = hub.repo("ana/lamps"), hub.repo("ana/lamps-catalogue", "datasets")
    assert [each.title for each in model.commits] == ["initial commit", "Adapter of lamps"]
    assert [each.title for each in data.commits] == ["initial commit", "Catalogue of lamps"]
    assert set(model.files) == ADAPTER | {".gitattributes"}
    assert {path for path in data.files if "index" not in path} == {
        ".gitattributes",
        "README.md",
        "records/part-00000.parquet",
        "report.json",
        "report.md",
    }
    assert {path for path in data.files if "index" in path} == {
        f"index/{path.name}" for path in (run / "catalogue/index").iterdir()
    }
    published = json.loads((run / "published.json").read_text())
    assert {name: (each["repo"], each["commit"]) for name, each in published.items()} == {
        "adapter": ("ana/lamps", model.head),
        "catalogue": ("ana/lamps-catalogue", data.head),
    }
    out = capsys.readouterr().out
    assert "publish: the base shelftalk-sample is not on the Hub" in out
    assert (
        f"/ana/lamps/commit/{model.head}" in out
        and f"/datasets/ana/lamps-catalogue/commit/{data.head}" in out
    )
    back = tmp_path / "back"
    snapshot_download(
        "ana/lamps", revision=model.head, local_dir=back, endpoint=hub.endpoint, token=hub.token
    )
    here = contents(run / "adapter") | {
        name: (run / name).read_bytes() for name in ADAPTER if (run / name).is_file()
    }
    told = here.pop("README.md").decode()
    there = contents(back)
    assert {name: there[name] for name in here} == here
    # The card speaks of where it is: its snippets load from there.
    card = there["README.md"].decode()
    assert card == for_repository(told, "ana/lamps") and 'adapter = "ana/lamps"' in card


def test_snapshots_go_with_their_adapter_and_with_no_other(hub, run, tmp_path):
    weights = (run / "adapter/adapter_model.safetensors").read_bytes()
    (run / "adapter/snapshots").mkdir()
    (run / "adapter/snapshots/step-39.safetensors").write_bytes(weights)
    assert main(call(run)) == 0
    name = "snapshots/step-39.safetensors"
    assert set(hub.repo("ana/lamps").files) == ADAPTER | {".gitattributes", name}
    found = find_adapter("ana/lamps")
    assert (found.folder / name).read_bytes() == weights
    shutil.rmtree(run / "adapter/snapshots")
    assert main(call(run)) == 0
    assert set(hub.repo("ana/lamps").files) == ADAPTER | {".gitattributes"}


def test_a_damaged_snapshot_is_not_published(run, capsys):
    (run / "adapter/snapshots").mkdir()
    (run / "adapter/snapshots/step-39.safetensors").write_bytes(b"half")
    assert "adapter/snapshots/step-39.safetensors is damaged" in refused(capsys, call(run), 2)


def test_a_second_push_makes_no_second_commit(hub, run, capsys):
    assert main(call(run)) == 0
    before = (run / "published.json").read_text()
    capsys.readouterr()
    assert main(call(run)) == 0
    assert (
        len(hub.repo("ana/lamps").commits)
        == len(hub.repo("ana/lamps-catalogue", "datasets").commits)
        == 2
    )
    assert capsys.readouterr().out.count("has all of it already") == 2
    assert (
        json.loads((run / "published.json").read_text())["adapter"]["commit"]
        == json.loads(before)["adapter"]["commit"]
    )
    (run / "metrics.json").write_text("{}")
    assert main(call(run)) == 0
    assert (
        len(hub.repo("ana/lamps").commits) == 3
        and hub.repo("ana/lamps").files["metrics.json"] == b"{}"
    )


def test_a_smaller_catalogue_leaves_no_shard_of_the_last(hub, run):
    assert main(call(run)) == 0
    repo = hub.repo("ana/lamps-catalogue", "datasets")
    repo.commit(
        {"records/part-00009.parquet": b"older", "index/old.idx": b"older", "notes.md": b"mine"}
    )
    assert main(call(run)) == 0
    assert "notes.md" in repo.files
    assert not {"records/part-00009.parquet", "index/old.idx"} & set(repo.files)


@pytest.mark.parametrize(
    ("options", "seen"),
    [
        ([], (False, True)),
        (["--private"], (True, True)),
        (["--public-catalogue"], (False, False)),
        (["--no-catalogue"], (False, None)),
        (["--catalogue", "ana/shop"], (False, True)),
    ],
)
def test_who_may_see_it(hub, run, options, seen):
    """A catalogue is shown to others only by those who say so."""
    assert main(call(run, *options)) == 0
    assert hub.repo("ana/lamps").private == seen[0]
    data = hub.repos.get(
        ("datasets", "ana/shop" if "--catalogue" in options else "ana/lamps-catalogue")
    )
    assert (data.private if data else None) == seen[1]


@pytest.mark.parametrize(
    ("name", "kind"), [("ana/lamps", "models"), ("ana/lamps-catalogue", "datasets")]
)
def test_nothing_private_goes_to_a_public_repository(hub, run, capsys, name, kind):
    repo = hub.create(name, kind)
    line = refused(capsys, call(run, "--private"), 1)
    assert line.endswith(
        f"error: {name} on the Hub is public, and this was to stay private: "
        "make it private in its settings, "
        f"or {'leave --private out' if kind == 'models' else 'say --public-catalogue'}"
    )
    assert len(repo.commits) == 1
    repo.private = True
    assert main(call(run, "--private")) == 0


def test_a_dry_run_says_all_and_asks_nobody(hub, run, capsys):
    assert main(call(run, "--dry-run", "--private")) == 0
    out = capsys.readouterr().out
    assert hub.requests == [] and not (run / "published.json").exists()
    assert (
        "model ana/lamps (private if it is new): 13 files" in out
        and "dataset ana/lamps-catalogue (private" in out
    )
    size = (run / "adapter/adapter_model.safetensors").stat().st_size
    assert re.search(rf"adapter_model.safetensors +{size:,}\n", out) and all(
        f"  {name} " in out for name in ADAPTER
    )


@pytest.mark.slow
def test_the_published_catalogue_loads_as_a_data_set(hub, run, tmp_path):
    assert main(call(run)) == 0
    program = (
        "from datasets import load_dataset\n"
        f"revision = {catalogue_head(hub)!r}\n"
        "records = load_dataset('ana/lamps-catalogue', split='train', revision=revision)\n"
        "print(len(records), records.column_names)"
    )
    done = elsewhere(hub, tmp_path, "-c", program)
    kept = json.loads((run / "catalogue/report.json").read_text())["kept"]
    assert done.stdout.strip() == f"{kept} ['uid', 'title', 'content', 'split']", done.stderr


@pytest.mark.slow
def test_the_published_adapter_answers_as_the_local_one(hub, run, tmp_path):
    """In an empty folder, with peft and transformers alone, at a pinned revision."""
    assert main(call(run, "--private", "--no-catalogue")) == 0
    revision = hub.repo("ana/lamps").head
    hub.repo("ana/lamps").commit(
        {"adapter_model.safetensors": b"another's", "chat_template.jinja": b"gone"}
    )
    program = f"""
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

said = []
local, published = {str(run / "adapter")!r}, {{"revision": {revision!r}}}
for adapter, pinned in ((local, {{}}), ("ana/lamps", published)):
    tokenizer = AutoTokenizer.from_pretrained(adapter, **pinned)
    base = AutoModelForCausalLM.from_pretrained({str(TOY / "base")!r})
    model = PeftModel.from_pretrained(base, adapter, **pinned)
    chat = [dict(role="user", content="What is Muvoson Tray?")]
    ids = tokenizer.apply_chat_template(
        chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    said.append(model.generate(**ids, max_new_tokens=32, do_sample=False)[0].tolist())
print(said[0] == said[1], len(said[0]) - len(ids["input_ids"][0]))
"""
    done = elsewhere(hub, tmp_path, "-c", program)
    same, length = done.stdout.split() or ["", ""]
    assert same == "True" and int(length) > 8, done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to", "lamps"], "--to is 'lamps'"),
        (["--to", "ana/la mps"], "--to is 'ana/la mps'"),
        (["--to", "ana/x/y"], "give user/name"),
        (["--to", "ana/" + "x" * 90], "--catalogue is 'ana/xxx"),
        (["--to", "ana/x", "--catalogue", "shop"], "--catalogue is 'shop'"),
        (["--to", "ana/x", "--catalogue", "ana/x"], "are the same"),
        (
            ["--to", "ana/x", "--private", "--public-catalogue"],
            "--private and --public-catalogue contradict",
        ),
        (
            ["--to", "ana/x", "--no-catalogue", "--catalogue", "ana/y"],
            "--catalogue and --no-catalogue contradict",
        ),
        (["--private"], "--to is missing"),
        ([], "--to is missing"),
    ],
)
def test_a_wrong_call(hub, run, capsys, options, words):
    assert words in refused(capsys, ["publish", "--run", str(run), *options], 2)
    assert hub.requests == []


def test_options_of_publish_need_a_repository():
    with pytest.raises(ConfigError, match="--to is missing: --private needs"):
        PublishConfig(private=True)
