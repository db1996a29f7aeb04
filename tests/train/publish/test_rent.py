"""Training on a rented machine: what is sent and refused, and that the job's command works."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from train.__main__ import main
from train.publish.rent import code_files

ROOT = Path(__file__).resolve().parents[3]
# What the rented machine has and this one may not: uv, here with everything installed.
UVX = """#!/bin/sh
test "$1" = --from && test "$3" = hf && shift 3
exec "{bin}/hf" "$@"
"""
UV = """#!/bin/sh
start="run --no-project --python 3.12 --with-requirements train/requirements.txt python "
test "$*" != "${{*#$start}}" || exit 9
test -f train/requirements.txt && test -f requirements.txt || exit 8
shift 7
exec "{python}" "$@"
"""


@pytest.fixture
def shop(hub, tiny_base):
    """A Hub with a gated base that ana may read, and the lines of a catalogue."""
    hub.create("meta/tiny", gated=True, readers={"ana"}).commit(
        {path.name: path.read_bytes() for path in tiny_base.iterdir()}
    )
    lines = [
        {
            "uid": f"u{number}",
            "title": f"Lamp {number:02} of oak and brass",
            "content": f"Number {number} in the shop is a lamp of oak with a brass foot. "
            f"It costs {number} crowns.",
        }
        for number in range(40)
    ]
    hub.create("ana/lines", "datasets").commit(
        {"trn.jsonl": "\n".join(map(json.dumps, lines)).encode()}
    )
    return hub


def rent(hub, *options: str, base: str = "meta/tiny") -> int:
    return main(
        [
            "rent",
            f"{hub.endpoint}/datasets/ana/lines/resolve/main/trn.jsonl",
            "--base",
            base,
            "--to",
            "ana/lamps",
            "--max-steps",
            "2",
            "--learn",
            "10",
            "--items",
            "2",
            "--shots",
            "0",
            "--answer-tokens",
            "8",
            *options,
        ]
    )


def test_the_job_is_what_was_asked_for_and_the_token_only_its_secret(shop, capsys):
    assert rent(shop, "--flavor", "l4x1", "--timeout", "90m", "--push-every", "1") == 0
    (job,) = shop.jobs
    assert (job["flavor"], job["timeoutSeconds"], job["secrets"]) == (
        "l4x1",
        5400,
        {"HF_TOKEN": shop.token},
    )
    code = shop.repo("ana/lamps-code")
    assert (
        code.private and f"hf download ana/lamps-code --revision {code.head} " in job["command"][2]
    )
    assert (
        "--to ana/lamps --push-every 1" in job["command"][2] and "--flavor" not in job["command"][2]
    )
    said = capsys.readouterr()
    assert "hf jobs logs job1" in said.out
    assert shop.token not in said.out + said.err + json.dumps(job["command"]) + json.dumps(
        job["environment"]
    )
    assert set(code.files) == {".gitattributes", *code_files()}
    assert not any(
        path.startswith(("tests", "bench", "space/sample/", "runs")) for path in code.files
    )
    assert rent(shop) == 0 and len(code.commits) == 2, "the same code was sent twice"


def test_a_board_is_installed_on_the_machine_and_need_not_be_here(shop):
    assert importlib.util.find_spec("mlflow") is None
    assert rent(shop, "--report-to", "mlflow") == 0
    script = shop.jobs[0]["command"][2]
    install, train = script.split(" python -m train all ")
    assert install.endswith(" --with mlflow") and "--report-to mlflow" in train
    assert rent(shop) == 0 and "--with " not in shop.jobs[1]["command"][2]


@pytest.mark.slow
def test_the_jobs_own_command_trains_from_the_snapshot_and_pushes(shop, tmp_path):
    assert rent(shop) == 0
    program = tmp_path / "bin"
    program.mkdir()
    for name, text in (("uvx", UVX), ("uv", UV)):
        (program / name).write_text(
            text.format(bin=Path(sys.executable).parent, python=sys.executable)
        )
        (program / name).chmod(0o755)
    (job,) = shop.jobs
    machine = tmp_path / "machine"
    machine.mkdir()
    environ = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environ |= (
        shop.environ(tmp_path / "home", token="")
        | job["secrets"]
        | {"PATH": f"{program}:{os.environ['PATH']}"}
    )
    done = subprocess.run(
        job["command"], cwd=machine, env=environ, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr
    adapter = shop.repo("ana/lamps")
    assert {"adapter_model.safetensors", "README.md", "run.json", "metrics.json"} <= set(
        adapter.files
    )
    base = json.loads(adapter.files["run.json"])["base"]
    assert base == {"name": "meta/tiny", "revision": shop.repo("meta/tiny").head}
    assert "index/complete.json" in shop.repo("ana/lamps-catalogue", "datasets").files
    assert shop.token not in done.stdout + done.stderr


def test_a_dry_run_reaches_nothing(shop, capsys):
    assert rent(shop, "--dry-run") == 0
    said = capsys.readouterr().out
    assert (
        "train/fit/training.py" in said
        and "a100-large for up to 12h: python -m train all http" in said
    )
    assert not shop.jobs and not shop.requests


@pytest.mark.parametrize(
    ("options", "base", "code", "words"),
    [
        (
            ("--timeout", "soon"),
            "meta/tiny",
            2,
            "--timeout is 'soon': give a number and s, m, h or d",
        ),
        (("--code", "lamps"), "meta/tiny", 2, "--code is 'lamps', which is no repository"),
        (
            (),
            str(ROOT),
            2,
            "is here, where the rented machine cannot reach it: give its id on the Hub",
        ),
        (
            ("--summaries", str(ROOT)),
            "meta/tiny",
            2,
            "reach it: give a URL or a Hub dataset's user/name",
        ),
        (
            ("--teacher", str(ROOT)),
            "meta/tiny",
            2,
            "--teacher " + str(ROOT) + " is here, where the rented machine cannot",
        ),
        ((), "meta/none", 1, "meta/none on the Hub: HTTP 404"),
        (("--learning-rate", "x"), "meta/tiny", 2, "invalid float value"),
    ],
)
def test_what_would_fail_there_is_refused_here(shop, capsys, options, base, code, words):
    try:
        ended = rent(shop, *options, base=base)
    except SystemExit as ending:  # argparse's own
        ended = ending.code
    assert ended == code and words in capsys.readouterr().err and not shop.jobs


def test_a_gated_base_that_the_token_may_not_read_costs_nothing(shop, capsys):
    shop.repo("meta/tiny").readers.clear()
    assert rent(shop) == 1
    assert (
        "meta/tiny on the Hub: HTTP 403, it is gated: ask for access at https://huggingface.co/meta/tiny"
        in (capsys.readouterr().err)
    )
    assert not shop.jobs and ("models", "ana/lamps-code") not in shop.repos


def test_without_a_token_nothing_is_sent(shop, capsys, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    assert (
        rent(shop) == 2
        and "log in with `hf auth login`" in capsys.readouterr().err
        and not shop.jobs
    )


def test_a_local_source_is_refused(shop, capsys):
    assert main(["rent", str(ROOT / "README.md"), "--base", "meta/tiny", "--to", "ana/lamps"]) == 2
    assert "the source" in capsys.readouterr().err and not shop.jobs
