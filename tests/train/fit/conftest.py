"""A small prepared catalogue, made once for all tests of training."""

from pathlib import Path

import pytest

from train.config import PrepareConfig
from train.prepare.catalogue import prepare_catalogue
from train.run import Run
from train.shop import write_catalogue


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    """The invented catalogue as trn.json."""
    path = tmp_path_factory.mktemp("source") / "trn.json"
    write_catalogue(path)
    return path


@pytest.fixture(scope="session")
def prepared(source) -> Path:
    """A run with 120 prepared records, to be copied."""
    run = source.with_name("prepared")
    prepare_catalogue(str(source), Run(run), PrepareConfig(limit=120), progress=False)
    return run
