"""Contamination is found, however it is spelled, before anything is scored."""

from types import SimpleNamespace

import pytest

from space.catalogue.search import Catalogue
from space.model.prompt_template import PromptTemplate
from train import pipeline
from train.config import ConfigError, EvaluateConfig, FitConfig, PrepareConfig
from train.examples.contamination import check_contamination, exclude_shared_texts
from train.examples.examples import Examples
from train.prepare import load_records, prepare_catalogue
from train.run import Run
from train.shop import write_catalogue

UNSEEN = [
    {"uid": "u1", "title": "Dovenka Kettle", "content": "A kettle of oak. It is blue."},
    {"uid": "u2", "title": "Rede Bamu", "content": "Rede de linho."},
]
TRAINED = [
    {"uid": "t1", "title": "Lamp Zakanox", "content": "A lamp."},
    {"uid": "", "title": "Lamp Bamu", "content": ""},
]
SCORED = [("u1", "Dovenka Kettle"), ("absent-0", "Zaro Lamp")]


@pytest.fixture(scope="module")
def made(tmp_path_factory, tokenizer):
    run = tmp_path_factory.mktemp("leaks")
    write_catalogue(run / "trn.json")
    prepare_catalogue(str(run / "trn.json"), Run(run), PrepareConfig(limit=150), progress=False)
    config = FitConfig(base="x", learn=20, max_length=400, answer_tokens=60)
    return Examples(
        load_records(Run(run)),
        Catalogue.open(run / "catalogue"),
        tokenizer,
        PromptTemplate(),
        config,
        512,
    )


def test_what_has_nothing_in_common_is_counted():
    assert check_contamination(SCORED, UNSEEN, TRAINED) == {"items": 2, "records": 2}


@pytest.mark.parametrize(
    ("planted", "words"),
    [
        (
            {"uid": "x", "title": "DOVENKA kettle!", "content": "Another."},
            "the title 'DOVENKA kettle!'",
        ),
        (
            {"uid": "x", "title": "Another", "content": "a kettle of OAK, it is blue"},
            "the content 'a kettle of OAK, it is blue'",
        ),
        ({"uid": "", "title": "Zaro  Lamp", "content": ""}, "the title 'Zaro  Lamp'"),
    ],
)
def test_a_planted_leak_is_found_and_named(planted, words):
    with pytest.raises(
        ConfigError,
        match="nothing was scored: 1 of the titles and contents to score were trained on",
    ) as error:
        check_contamination(SCORED, UNSEEN, [*TRAINED, planted])
    assert words in str(error.value)


def test_a_text_under_two_titles_is_not_scored():
    twin = {"uid": "t2", "title": "Another", "content": "A KETTLE of oak; it is blue!"}
    assert exclude_shared_texts(UNSEEN, [*TRAINED, twin]) == UNSEEN[1:]
    assert exclude_shared_texts(UNSEEN, TRAINED) == UNSEEN


def test_a_run_proves_it_of_its_own_records(made):
    config = EvaluateConfig(items=5)
    checked = made.check_contamination(config.items)
    assert checked["items"] == sum(
        len(items) for name, items in made.build_sets(5).items() if name != "seen"
    )
    assert checked["records"] > len(made.train)


def test_contamination_in_a_run_stops_both_scorings(made, monkeypatch, tmp_path):
    leaked = made.scorable[0]
    monkeypatch.setattr(made, "training_texts", lambda: iter([*made.train, leaked]))
    monkeypatch.setattr(pipeline, "load_examples", lambda *_, **__: made)
    for name in ("score_base_columns", "write_evaluation"):
        monkeypatch.setattr(pipeline, name, lambda *_: pytest.fail("it was scored"))
    monkeypatch.setattr(Run, "has_adapter", lambda *_: True)
    monkeypatch.setattr(Run, "fit_config", lambda *_: made.config)
    for name in ("load_base", "load_tokenizer", "require_catalogue", "load_pair", "Pair"):
        monkeypatch.setattr(pipeline, name, lambda *_, **__: FakePair())
    run, config = Run(tmp_path), EvaluateConfig(items=5)
    with pytest.raises(ConfigError, match="were trained on"):
        pipeline.score_base(run, made.config, config)
    with pytest.raises(ConfigError, match="were trained on"):
        pipeline.evaluate_run(run, config)


class FakePair:
    """A fake of a base, a tokenizer and a pair."""

    window, tokenizer, prompt_template = 512, None, None
    config = SimpleNamespace(is_encoder_decoder=False)

    def named_modules(self):
        return iter(())

    modules = parameters = named_modules

    def __iter__(self):
        return iter((self, self))
