"""Publishing: one commit a repository, byte for byte; what may not go, and what goes wrong on the way; nothing is ever lost."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import close_session, snapshot_download
from huggingface_hub.utils import _http as library_http

from tests.scored import metrics_of, scored
from train.__main__ import main
from train.config import ConfigError, EvaluateConfig, PublishConfig
from train.evaluate import plots
from train.evaluate.evaluation import evaluation_record
from train.publish import hub as sending
from train.publish.card import for_repository
from train.publish.hub import HubError, send
from train.run import Run

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "space" / "sample"
ADAPTER = {
    "adapter_model.safetensors",
    "adapter_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "prompt.json",
    "run.json",
    "README.md",
    "metrics.json",
    "samples.jsonl",
    "history.jsonl",
    "plots/loss.png",
    "plots/before_after.png",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run as evaluate leaves it: the committed adapter and catalogue, scored on two answers."""
    run = tmp_path_factory.mktemp("runs") / "lamps"
    for name in ("adapter", "catalogue"):
        shutil.copytree(SAMPLE / name, run / name)
    line = {
        "task": "describe",
        "set": "seen",
        "question": "What is it?",
        "reference": "the lamp is blue",
        "base": "a vase",
        "tuned": "the lamp is blue",
        "sources": [],
        "base_loss": 2.0,
        "tuned_loss": 1.0,
    }
    metrics = metrics_of([line, line], ["base", "tuned"])
    (run / "metrics.json").write_text(json.dumps(metrics))
    items = scored([line | {"uid": "1"}] * 2)
    about = evaluation_record(Run(run), EvaluateConfig(), items, {"items": 1, "records": 1})
    (run / "evaluation.json").write_text(json.dumps(about))
    (run / "samples.jsonl").write_text(f"{json.dumps(line)}\n" * 2)
    (run / "history.jsonl").write_text('{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 1.0}\n')
    plots.plot_loss(run / "history.jsonl", run / "plots" / "loss.png")
    plots.plot_before_after(metrics, 0, run / "plots" / "before_after.png")
    return run


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "lamps"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Tries follow each other at once, ours and the Hub library's, and silence is short."""
    monkeypatch.setattr(sending, "PAUSE", 0.01)
    monkeypatch.setattr(library_http, "time", SimpleNamespace(sleep=lambda seconds: None))
    silence(monkeypatch, 0.5)
    yield
    close_session()


def silence(monkeypatch, seconds):
    """Set how long a connection may be silent; the library's client is made anew for it."""
    monkeypatch.setattr(sending, "SILENCE", seconds)
    close_session()


def contents(folder):
    """Every file below a folder: {path: bytes}."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def call(run, *options, to="ana/lamps"):
    return ["publish", "--run", str(run), "--to", to, *options]


def refused(capsys, arguments, code):
    """Runs a call that must fail and returns its one line."""
    assert main(arguments) == code
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert (
        len(lines) == 1
        and "Traceback" not in err
        and "hf_" not in (out + err).replace("hf_...", "")
    ), err
    return lines[0]


# --- what goes -------------------------------------------------------------------------------------------------------


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
    assert "publish: the base shelftalk-sample is a folder and not on the Hub" in out
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
        f"error: {name} on the Hub is public, and this was to stay private: make it private in its settings, "
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
        f"records = load_dataset('ana/lamps-catalogue', split='train', revision={_head(hub)!r})\n"
        "print(len(records), records.column_names)"
    )
    done = elsewhere(hub, tmp_path, "-c", program)
    kept = json.loads((run / "catalogue/report.json").read_text())["kept"]
    assert done.stdout.strip() == f"{kept} ['uid', 'title', 'content', 'split']", done.stderr


@pytest.mark.slow
def test_the_published_adapter_answers_as_the_local_one(hub, run, tmp_path):
    """In an empty folder, with peft and transformers alone, at a pinned revision; what came later is not what answers."""
    assert main(call(run, "--private", "--no-catalogue")) == 0
    revision = hub.repo("ana/lamps").head
    hub.repo("ana/lamps").commit(
        {"adapter_model.safetensors": b"another's", "chat_template.jinja": b"gone"}
    )
    program = f"""
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

said = []
for adapter, pinned in (({str(run / "adapter")!r}, {{}}), ("ana/lamps", {{"revision": {revision!r}}})):
    tokenizer = AutoTokenizer.from_pretrained(adapter, **pinned)
    base = AutoModelForCausalLM.from_pretrained({str(SAMPLE / "base")!r})
    model = PeftModel.from_pretrained(base, adapter, **pinned)
    chat = [dict(role="user", content="What is Muvoson Tray?")]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said.append(model.generate(**ids, max_new_tokens=32, do_sample=False)[0].tolist())
    untuned = base.generate(**ids, max_new_tokens=32, do_sample=False)[0].tolist() if pinned else None
print(said[0] == said[1], len(said[0]) - len(ids["input_ids"][0]))
"""
    done = elsewhere(hub, tmp_path, "-c", program)
    same, length = done.stdout.split() or ["", ""]
    assert same == "True" and int(length) > 8, done.stderr


def _head(hub):
    return hub.repo("ana/lamps-catalogue", "datasets").head


def elsewhere(hub, home, *arguments, cwd=None, wait=True):
    """Runs a program in another process, which takes `hub` for the Hub and starts without a cache."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd or home,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **hub.environ(home / "home")},
    )
    if not wait:
        return process
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


# --- what may not go -------------------------------------------------------------------------------------------------


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


def _spoil(run, name, change):
    path = run / name
    path.write_text(change(path.read_text()))


SPOILT = {
    "no adapter": (
        lambda run: shutil.rmtree(run / "adapter"),
        "adapter/run.json are missing: run `python -m train fit`",
    ),
    "no card": (
        lambda run: (run / "adapter/README.md").unlink(),
        "README.md is missing: run `python -m train evaluate`",
    ),
    "another adapter": (
        lambda run: (run / "adapter/prompt.json").write_text('{"format": 1}'),
        "adapter/prompt.json was changed after the adapter was scored: run `python -m train evaluate`",
    ),
    "older scores": (
        lambda run: (run / "evaluation.json").write_text('{"version": 0}'),
        "evaluation.json is of version 0, this reads 1: run `python -m train evaluate`",
    ),
    "no evaluation": (
        lambda run: (run / "evaluation.json").unlink(),
        "evaluation.json is missing: run `python -m train",
    ),
    "no scores": (
        lambda run: (run / "metrics.json").unlink(),
        "metrics.json is missing: run `python -m train evaluate`",
    ),
    "no catalogue": (
        lambda run: shutil.rmtree(run / "catalogue"),
        "are missing: run `python -m train prepare`",
    ),
    "half the weights": (
        lambda run: os.truncate(run / "adapter/adapter_model.safetensors", 10**6),
        "adapter/adapter_model.safetensors is damaged",
    ),
    "half a line": (
        lambda run: os.truncate(run / "samples.jsonl", 300),
        "samples.jsonl is damaged",
    ),
    "half a picture": (
        lambda run: os.truncate(run / "plots/loss.png", 5000),
        "plots/loss.png is damaged",
    ),
    "half the records": (
        lambda run: os.truncate(run / "catalogue/records/part-00000.parquet", 9000),
        "catalogue/records/part-00000.parquet is damaged",
    ),
    "half an index": (
        lambda run: next((run / "catalogue/index").glob("*.term")).unlink(),
        "search index",
    ),
    "a report of others": (
        lambda run: _spoil(run, "catalogue/report.json", lambda text: text.replace("2400", "2401")),
        "has 2,400 records where its report says 2,401",
    ),
    "a placeholder": (
        lambda run: _spoil(run, "adapter/README.md", lambda text: text + "{{ hardware }}"),
        "README.md has nothing filled in for hardware",
    ),
    "no metadata": (
        lambda run: _spoil(run, "adapter/README.md", lambda text: text.split("---", 2)[2]),
        "README.md has no library_name, pipeline_tag, model-index",
    ),
    "broken metadata": (
        lambda run: _spoil(
            run, "adapter/README.md", lambda text: text.replace("language:", "language: [", 1)
        ),
        "README.md has metadata that cannot be read",
    ),
    "optimizer": (
        lambda run: (run / "adapter/optimizer.pt").write_bytes(b"\x80\x04."),
        "adapter/optimizer.pt does not belong",
    ),
    "a folder": (
        lambda run: (run / "adapter/checkpoint-5").mkdir(),
        "adapter/checkpoint-5 does not belong",
    ),
    "a path of a base": (
        lambda run: _spoil(
            run,
            "adapter/adapter_config.json",
            lambda text: text.replace('"shelftalk-sample"', '"/data/models/mine"'),
        ),
        "adapter_config.json holds a path, /data/models/mine",
    ),
    "a path in words": (
        lambda run: _spoil(run, "adapter/README.md", lambda text: f"{text}\nsee {run}/adapter"),
        "README.md holds a path of this machine",
    ),
    "a token": (
        lambda run: _spoil(
            run, "samples.jsonl", lambda text: text.replace("a vase", "hf_" + "abcDEF123" * 4)
        ),
        "samples.jsonl holds an access token",
    ),
    "the user's token": (
        lambda run: _spoil(run, "catalogue/report.md", lambda text: text + os.environ["HF_TOKEN"]),
        "report.md holds an access token",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_run_that_is_not_fit_to_be_seen(hub, run, capsys, name):
    spoil, words = SPOILT[name]
    spoil(run)
    line = refused(capsys, call(run), 2)
    assert words in line and "is not ready to be published" in line
    assert hub.requests == [] and not (run / "published.json").exists()
    if "catalogue" in words or "search index" in words or "report" in words or "prepare" in words:
        assert main(call(run, "--no-catalogue")) == 0


def test_every_problem_is_named_at_once(hub, run, capsys):
    for name in ("no scores", "a placeholder", "optimizer", "half a picture"):
        SPOILT[name][0](run)
    line = refused(capsys, call(run), 2)
    assert all(
        SPOILT[name][1] in line
        for name in ("no scores", "a placeholder", "optimizer", "half a picture")
    )


# --- what goes wrong on the way --------------------------------------------------------------------------------------

COMMIT, PUT, BATCH, INFO = (
    r"/api/models/.*/commit/",
    r"^/lfs/",
    r"info/lfs",
    r"/api/models/ana/lamps$",
)
LASTING = {
    "400 of the card": (
        ("POST", "validate-yaml", 400),
        "Invalid metadata in README.md",
        "ana/lamps on the Hub",
    ),
    "401": (("POST", COMMIT, 401), "HTTP 401", "hf auth login"),
    "401 at once": (("GET", INFO, 401), "HTTP 401", "hf auth login"),
    "403": (("POST", COMMIT, 403), "HTTP 403", "take a token with write access"),
    "403 gated": (
        ("POST", "/preupload/", 403, {"X-Error-Code": "GatedRepo"}),
        "it is gated",
        "ask for access at",
    ),
    "403 with a token in it": (
        ("POST", COMMIT, 403, {"X-Error-Message": "no right for hf_" + "abc" * 9}),
        "HTTP 403 (no right",
        "hf_...",
    ),
    "403 of the weights": (("PUT", PUT, 403), "HTTP 403", "write access"),
    "404": (("POST", "/repos/create", 404), "HTTP 404", "check the name"),
    "409": (("POST", COMMIT, 409), "HTTP 409 Conflict", "tried 6 times"),
    "412": (("POST", COMMIT, 412), "HTTP 412", "tried 6 times"),
    "413": (("POST", COMMIT, 413), "HTTP 413", "more than it takes"),
    "413 of the weights": (("PUT", PUT, 413), "HTTP 413", "more than it takes"),
    "429": (
        ("POST", COMMIT, 429, {"Retry-After": "0"}),
        "HTTP 429 Too Many Requests",
        "tried 6 times",
    ),
    "429 for an hour": (
        ("POST", "/preupload/", 429, {"Retry-After": "3600"}),
        "HTTP 429",
        "it asks to wait 3,600 s; tried 1 ",
    ),
    "500": (("PUT", PUT, 500), "HTTP 500", "tried 6 times"),
    "503": (("GET", INFO, 503), "HTTP 503", "tried 6 times"),
    "502 of the batch": (("POST", BATCH, 502), "HTTP 502", "tried 6 times"),
    "cut in the weights": (("PUT", PUT, "cut"), "the connection broke", "tried 6 times"),
    "cut in the commit": (("POST", COMMIT, "cut"), "the connection broke", "tried 6 times"),
    "a timeout": (("PUT", PUT, "hang"), "no answer for 0 s", "tried 6 times"),
    "a timeout at once": (("GET", INFO, "hang"), "no answer for 0 s", "tried 6 times"),
}


@pytest.mark.parametrize("name", LASTING)
def test_a_fault_that_lasts_loses_nothing_and_the_same_command_succeeds_later(
    hub, run, capsys, monkeypatch, name
):
    (method, pattern, action, *headers), *words = LASTING[name]
    silence(monkeypatch, 0.2)
    hub.fail(method, pattern, action, times=1000, headers=headers[0] if headers else None)
    before = contents(run)
    line = refused(capsys, call(run, "--private"), 1)
    assert all(each in line for each in words), line
    again = f"try again with: python -m train publish --run {run} --to ana/lamps --private"
    assert line.endswith(again)
    assert contents(run) == before
    repo = hub.repos.get(("models", "ana/lamps"))
    assert repo is None or len(repo.commits) == 1
    hub.faults.clear()
    assert main(again.split()[6:]) == 0
    assert {**hub.repo("ana/lamps").files, ".gitattributes": b""}.keys() == ADAPTER | {
        ".gitattributes"
    }
    assert len(hub.repo("ana/lamps").commits) == 2


@pytest.mark.parametrize(
    ("method", "pattern", "action"),
    [
        ("POST", COMMIT, 409),
        ("POST", COMMIT, 412),
        ("POST", COMMIT, 429),
        ("POST", COMMIT, 500),
        ("GET", INFO, 503),
        ("POST", "/repos/create", 409),
        ("POST", "validate-yaml", 504),
        ("POST", "/preupload/", 408),
        ("POST", BATCH, 429),
        ("PUT", PUT, 503),
        ("PUT", PUT, "cut"),
        ("PUT", PUT, "deaf"),
        ("PUT", PUT, "hang"),
        ("POST", COMMIT, "cut"),
        ("POST", COMMIT, "deaf"),
        ("POST", COMMIT, "hang"),
        ("POST", "/repos/create", "deaf"),
    ],
)
def test_a_fault_that_passes_is_got_over_with_one_commit(hub, run, capsys, method, pattern, action):
    hub.fail(method, pattern, action, times=2)
    assert main(call(run)) == 0
    assert [each.title for each in hub.repo("ana/lamps").commits] == [
        "initial commit",
        "Adapter of lamps",
    ]
    assert set(hub.repo("ana/lamps").files) == ADAPTER | {".gitattributes"}
    assert (
        json.loads((run / "published.json").read_text())["adapter"]["commit"]
        == hub.repo("ana/lamps").head
    )
    assert "publish: ana/lamps is at http" in capsys.readouterr().out


def test_it_waits_as_long_as_it_is_asked_to(hub, run):
    hub.fail("POST", COMMIT, 429, headers={"Retry-After": "1"})
    begun = time.monotonic()
    assert main(call(run, "--no-catalogue")) == 0
    assert 1 <= time.monotonic() - begun < 5


def test_weights_that_arrived_are_not_sent_again(hub, run):
    hub.fail("POST", COMMIT, 500, times=3)
    assert main(call(run, "--no-catalogue")) == 0
    sent = [path for method, path in hub.requests if method == "PUT"]
    assert len(sent) == len(set(sent)) == 3


def test_the_hub_library_is_left_alone_until_something_is_sent():
    program = """
from huggingface_hub import get_session
import train.publish
client = get_session()
print(type(client).__module__, client.timeout.read, client.event_hooks["response"])
train.publish.hub.hub_api()
print(get_session().timeout.read)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == ["httpx2 None []", "60.0"], done.stderr


def test_nobody_listens(hub, run, capsys, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "the connection broke, ConnectError; tried 6 times" in refused(capsys, call(run), 1)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set: unset it" in refused(capsys, call(run), 1)


@pytest.mark.parametrize(
    ("token", "to", "words"),
    [
        ("hf_" + "wrong" * 6, "ana/lamps", "HTTP 401"),
        ("", "ana/lamps", "HTTP 401"),
        (None, "bob/lamps", "HTTP 403"),
        ("bob", "ana/lamps", "HTTP 403"),
    ],
    ids=["wrong", "none", "another's place", "another's token"],
)
def test_who_may_not_write(hub, run, capsys, monkeypatch, token, to, words):
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", list(hub.tokens)[1] if token == "bob" else token)
    line = refused(capsys, call(run, to=to), 1)
    assert words in line and ("hf auth login" in line or "token with write access" in line)
    monkeypatch.setenv("HF_TOKEN", hub.token)
    assert main(call(run)) == 0


def test_the_catalogue_fails_and_the_adapter_is_there(hub, run, capsys):
    hub.fail("POST", "/api/datasets/.*/commit/", 413, times=9)
    assert "ana/lamps-catalogue on the Hub: HTTP 413" in refused(capsys, call(run), 1)
    assert set(json.loads((run / "published.json").read_text())) == {"adapter"}
    hub.faults.clear()
    assert main(call(run)) == 0
    assert set(json.loads((run / "published.json").read_text())) == {"adapter", "catalogue"}
    assert len(hub.repo("ana/lamps").commits) == 2


# --- others write too ------------------------------------------------------------------------------------------------


def test_a_repository_that_changed_meanwhile_keeps_the_others_files(hub, run):
    repo = hub.create("ana/lamps")
    hub.fail(
        "POST",
        COMMIT,
        lambda: repo.commit({"theirs.md": b"a note", "metrics.json": b"theirs"}, "theirs", "bob"),
    )
    assert main(call(run)) == 0
    assert [each.title for each in repo.commits] == ["initial commit", "theirs", "Adapter of lamps"]
    assert (
        repo.files["theirs.md"] == b"a note"
        and repo.files["metrics.json"] == (run / "metrics.json").read_bytes()
    )
    repo.commit({"theirs.md": b"another note"}, "theirs again", "bob")
    assert main(call(run)) == 0
    assert repo.files["theirs.md"] == b"another note" and len(repo.commits) == 4


def test_a_commit_that_came_between_never_mixes_two_adapters(hub, run):
    """Half of ours is there already; another's commit replaces it between our look and our commit."""
    assert main(call(run, "--no-catalogue")) == 0
    repo, ours = hub.repo("ana/lamps"), hub.repo("ana/lamps").files
    _spoil(run, "metrics.json", lambda text: "{}")
    others = {name: b"theirs " + name.encode() for name in ours if name != ".gitattributes"}
    hub.fail("POST", COMMIT, lambda: repo.commit(others, "theirs", "bob"))
    assert main(call(run, "--no-catalogue")) == 0
    assert {name for name, content in repo.files.items() if content == ours[name]} == set(ours) - {
        "metrics.json"
    }


@pytest.mark.parametrize("same", [True, False])
def test_two_pushes_at_once_both_end_well(hub, run, tmp_path, same):
    other = Path(shutil.copytree(run, tmp_path / "other"))
    if not same:
        _spoil(other, "metrics.json", lambda text: "{}")
        _spoil(other, "samples.jsonl", lambda text: text.replace("lamp", "vase"))
    both = threading.Barrier(2)
    for _ in range(2):
        hub.fail("POST", COMMIT, both.wait)  # neither commits before both have looked
    done = {}
    threads = [
        threading.Thread(
            target=lambda folder=folder: done.update(
                {
                    folder: send(
                        {
                            path.name: path
                            for path in [
                                *(folder / "adapter").iterdir(),
                                folder / "metrics.json",
                                folder / "samples.jsonl",
                            ]
                        },
                        "ana/lamps",
                        message=folder.name,
                        progress=False,
                    )
                }
            )
        )
        for folder in (run, other)
    ]
    hub.create("ana/lamps")
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    repo = hub.repo("ana/lamps")
    assert len(done) == 2 and len(repo.commits) == (2 if same else 3)
    for folder, sent in done.items():
        assert repo.at(sent.commit).files["metrics.json"] == (folder / "metrics.json").read_bytes()
        assert (
            repo.at(sent.commit).files["samples.jsonl"] == (folder / "samples.jsonl").read_bytes()
        )


# --- killed, and a full disk -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_ends_it(hub, run, tmp_path):
    """Twice: somewhere in the requests of a push the process is killed; what is on the Hub is whole or not there."""
    chance = random.Random(4)
    arguments = ["-m", "train", *call(run)]
    before = contents(run)
    for _ in range(2):
        wanted = len(hub.requests) + chance.randrange(1, 22)
        process = elsewhere(hub, tmp_path, *arguments, cwd=ROOT, wait=False)
        while len(hub.requests) < wanted and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert contents(run).items() >= before.items()
        for repo in hub.repos.values():
            assert len(repo.commits) <= 2
            assert (
                repo.kind != "models"
                or len(repo.commits) == 1
                or set(repo.files) == ADAPTER | {".gitattributes"}
            )
    done = elsewhere(hub, tmp_path, *arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert [len(repo.commits) for repo in hub.repos.values()] == [2, 2]
    assert json.loads((run / "published.json").read_text())["catalogue"]["commit"] == _head(hub)


def test_an_evaluation_is_there_with_its_card_or_not_at_all(
    hub, run, tmp_path, capsys, monkeypatch
):
    """Killed while it is put in place, an older card does not stand beside newer scores."""
    unfinished = run / "evaluation.unfinished"
    for name in ("samples.jsonl", "metrics.json", "plots/loss.png", "plots/before_after.png"):
        (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(run / name, unfinished / name)
    shutil.copy(run / "adapter/README.md", unfinished / "README.md")
    replace, moves = os.replace, []

    def killed(source, target):
        if len(moves) == 2:
            raise KeyboardInterrupt
        moves.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        Run(run).keep_evaluation(unfinished)
    monkeypatch.undo()
    assert "README.md is missing: run `python -m train evaluate`" in refused(capsys, call(run), 2)


def test_a_send_of_bytes_and_files_to_any_kind(hub, tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    sent = send(
        {"a": tmp_path / "a", "b/c": b"2"},
        "ana/shop",
        "space",
        message="m",
        private=True,
        progress=False,
    )
    repo = hub.repo("ana/shop", "spaces")
    assert (
        repo.private
        and repo.sdk == "gradio"
        and repo.files | {".gitattributes": b""} == {".gitattributes": b"", "a": b"1", "b/c": b"2"}
    )
    assert sent.new and sent.commit == repo.head
    assert not send({"b/c": b"2"}, "ana/shop", "space", message="m", progress=False).new
    with pytest.raises(HubError, match="ana/shop on the Hub: HTTP 418"):
        hub.fail("POST", "/commit/", 418)
        send({"b/c": b"3"}, "ana/shop", "space", message="m", progress=False)
