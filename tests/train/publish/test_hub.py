"""Sending: faults that pass and faults that last, others who write, and kills."""

import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.train.publish.conftest import (
    ADAPTER,
    ROOT,
    call,
    catalogue_head,
    contents,
    edit,
    elsewhere,
    refused,
    silence,
)
from train.__main__ import main
from train.publish.hub import HubError, send

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
    "301 to nowhere": (
        ("GET", INFO, 301),
        "HTTP 301 Moved Permanently that does not say where",
        "HF_ENDPOINT",
    ),
    "302 of the commit": (("POST", COMMIT, 302), "ana/lamps on the Hub: HTTP 302", "a proxy"),
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


# --- others write too ---


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
    """Half of ours is there; another's commit replaces it between our look and our commit."""
    assert main(call(run, "--no-catalogue")) == 0
    repo, ours = hub.repo("ana/lamps"), hub.repo("ana/lamps").files
    edit(run, "metrics.json", lambda text: "{}")
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
        edit(other, "metrics.json", lambda text: "{}")
        edit(other, "samples.jsonl", lambda text: text.replace("lamp", "vase"))
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


# --- killed ---


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_ends_it(hub, run, tmp_path):
    """Twice the process is killed amid the requests of a push; no commit is incomplete."""
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
    assert json.loads((run / "published.json").read_text())["catalogue"][
        "commit"
    ] == catalogue_head(hub)


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
