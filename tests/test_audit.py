"""The audit of the requirement files: what is found ends the build, silence is said in words."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# In pip-audit's place: answers with what the test says, whatever the file.
STAND_IN = """
import os, sys
print(os.environ["ANSWER"])
sys.exit(int("vulns\\": [{" in os.environ["ANSWER"]))
"""
KNOWN = {"name": "torch", "version": "2.13.0", "vulns": []}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}
BAD = KNOWN | {"vulns": [{"id": "PYSEC-1", "fix_versions": ["2.13.1"]}]}


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (json.dumps({"dependencies": [KNOWN]}), 0, "audit: constraints.txt: no known"),
        (json.dumps({"dependencies": [KNOWN, UNKNOWN]}), 0, "not known to the service: ours"),
        (
            json.dumps({"dependencies": [BAD, KNOWN]}),
            1,
            "audit: train/requirements.txt: torch 2.13.0: PYSEC-1, mended in 2.13.1",
        ),
        (json.dumps({"dependencies": [UNKNOWN]}), 0, "SKIPPED, the service cannot be asked"),
        ("", 0, "audit: tests/requirements.txt was SKIPPED"),
    ],
)
def test_what_the_service_says_decides_and_silence_is_said(tmp_path, answer, code, words):
    (tmp_path / "pip_audit.py").write_text(STAND_IN)
    done = subprocess.run(
        [sys.executable, ".ci/audit.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "ANSWER": answer},
    )
    assert (done.returncode, done.stderr) == (code, "") and words in done.stdout
