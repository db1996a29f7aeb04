"""Examples that several test files look at."""

import pytest

from space.catalogue.search import Catalogue
from space.model.prompt_template import PromptTemplate
from train.config import FitConfig, PrepareConfig
from train.examples.examples import Examples
from train.prepare import load_records, prepare_catalogue
from train.run import Run
from train.shop import write_catalogue


@pytest.fixture(scope="module")
def made(tmp_path_factory, tokenizer):
    """A prepared run of the invented catalogue, and its examples."""
    run = tmp_path_factory.mktemp("examples")
    write_catalogue(run / "trn.json")
    prepare_catalogue(str(run / "trn.json"), Run(run), PrepareConfig(limit=400), progress=False)
    config = FitConfig(
        base="x", learn=30, epochs=6, answers=0.5, summarize=0.25, max_length=400, answer_tokens=120
    )
    return Examples(
        load_records(Run(run)),
        Catalogue.open(run / "catalogue"),
        tokenizer,
        PromptTemplate(),
        config,
        512,
    )
