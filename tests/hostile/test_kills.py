"""A verb that is killed half-way goes on with the same call, to the same result."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import pytest

from space.catalogue import open_index
from train.__main__ import main
from train.shop import write_catalogue

ROOT = Path(__file__).resolve().parents[2]


def digest(run: Path) -> dict[str, str]:
    """A digest of each shard of a run's records."""
    shards = sorted((run / "catalogue" / "records").glob("*.parquet"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A catalogue, and the digest of its run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("kills")
    write_catalogue(folder / "trn.json")
    assert main(["prepare", str(folder / "trn.json"), "--run", str(folder / "whole")]) == 0
    return folder / "trn.json", digest(folder / "whole")


@pytest.mark.parametrize("stage", ["", "catalogue*", "catalogue*/records/*", "catalogue*/index*"])
def test_a_killed_prepare_goes_on(source, tmp_path, stage):
    path, expected = source
    run = tmp_path / "run"
    call = ["prepare", str(path), "--run", str(run)]
    process = subprocess.Popen(
        [sys.executable, "-m", "train", *call], cwd=ROOT, stdout=-3, stderr=-3
    )
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if run.is_dir() and (not stage or any(run.glob(stage))):
            break
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert main(call) == 0
    assert digest(run) == expected
    assert open_index(run / "catalogue") is not None
