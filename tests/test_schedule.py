"""docs/schedule_refresh.py on a Hub of its own: the code it sends and the job it makes."""

import shlex
import subprocess
import sys
from pathlib import Path

from tests.hub.hub import Hub
from train.__main__ import build_parser

ROOT = Path(__file__).resolve().parents[1]


def test_the_job_runs_refresh_with_this_code_and_the_token_only_as_its_secret(tmp_path):
    with Hub() as hub:
        done = subprocess.run(
            [
                *(sys.executable, "docs/schedule_refresh.py"),
                *("https://shop.example/c.csv", "--from", "ana/shop"),
                *("--schedule", "0 3 * * 1", "--flavor", "a10g-small"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
            env=hub.environ(tmp_path) | {"PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        code = hub.repo("ana/shop-code")
        assert code.private and {"train/refresh.py", "space/settings.py"} <= set(code.files)
        assert not [name for name in code.files if "__pycache__" in name or "sample/" in name]
        (asked,) = hub.scheduled
        job = asked["jobSpec"]
        assert (asked["schedule"], job["flavor"]) == ("0 3 * * 1", "a10g-small")
        assert job["secrets"] == {"HF_TOKEN": hub.token} and hub.token not in str(job["command"])
        assert hub.token not in done.stdout + done.stderr
        mount = {"type": "model", "source": "ana/shop-code", "mountPath": "/code"}
        assert job["volumes"] == [mount | {"revision": code.head}]
        assert job["environment"]["PYTHONPATH"] == "/code"
        command = job["command"]
        words = shlex.split(command[-1]) if "-c" in command[:3] else command
        start = words.index("train")
        assert words[:2] == ["uv", "run"] and words[start - 2 : start] == ["python", "-m"]
        assert {"datasets==5.2.0", "torch==2.13.0"} <= set(words)
        call = build_parser().parse_args(words[start + 1 :])
        assert (call.verb, call.from_, call.push_every) == ("refresh", "ana/shop", 200)
