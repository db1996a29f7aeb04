"""Second questions: after a first one, in its words, and answered from a record that is in the prompt."""

import random

import pytest

from space.catalogue.search import Catalogue
from space.catalogue.text import detect_language
from space.model.prompt import example_ids
from space.model.prompt_template import PromptTemplate
from train.config import FitConfig, PrepareConfig
from train.examples.examples import Examples
from train.examples.follow_ups import follow_up
from train.prepare import load_records, prepare_catalogue
from train.run import Run
from train.sample import write_catalogue

WORDS = PromptTemplate()


@pytest.fixture(scope="module")
def maker(tmp_path_factory, tokenizer):
    run = tmp_path_factory.mktemp("follow-ups")
    write_catalogue(run / "trn.json")
    prepare_catalogue(str(run / "trn.json"), Run(run), PrepareConfig(limit=200), progress=False)
    config = FitConfig(base="x", learn=20, absent=0.5, max_length=900, answer_tokens=60)
    return Examples(
        load_records(Run(run)), Catalogue.open(run / "catalogue"), tokenizer, WORDS, config, 1024
    )


@pytest.fixture(scope="module")
def made(maker):
    rng = random.Random(2)
    found = [
        follow_up(maker, record, other, rng)
        for record, other in zip(maker.read, maker.read[40:], strict=False)
    ]
    return [example for example in found if example]


def kind(example):
    return next(
        name
        for kinds in WORDS.follow_ups.values()
        for name, asked in kinds.items()
        if example.text in [words.format(title=example.title) for words in asked]
    )


def test_every_kind_is_asked_after_a_question_and_its_answer(made):
    assert {kind(example) for example in made} == {"short", "more", "other"}
    for example in made:
        question, answer = example.history
        assert (question["role"], answer["role"]) == ("user", "assistant") and answer[
            "content"
        ].endswith("]")
        assert question["content"].endswith(("?", "."))


def test_the_second_answer_is_in_the_record_that_it_cites(made):
    for example in made:
        if example.uid not in example.sources:
            assert example.answer in [
                words.format(title=example.title) for words in WORDS.absent.values()
            ]
            assert kind(example) == "other"
            continue
        said, position = example.answer.removesuffix("]").rsplit(" [", 1)
        record = example.context[int(position) - 1]
        assert record["uid"] == example.uid and said in record["content"]
        first = example.history[1]["content"].rsplit(" [", 1)[0]
        if kind(example) == "more":
            assert said not in first
        if kind(example) == "short":
            assert len(said) <= len(record["content"])


def test_another_title_may_be_absent_or_not(made):
    others = [example for example in made if kind(example) == "other"]
    absent = [example for example in others if example.uid not in example.sources]
    assert absent and len(absent) < len(others)


def test_it_is_asked_in_the_language_of_its_answer(made):
    tongues = {
        (
            next(
                code
                for code, kinds in WORDS.follow_ups.items()
                for asked in kinds.values()
                if example.text in [words.format(title=example.title) for words in asked]
            ),
            detect_language(example.answer),
        )
        for example in made
        if kind(example) != "short"
    }
    assert tongues == {("en", "en"), ("pt", "pt")}


def test_the_conversation_is_in_the_prompt_and_only_the_last_answer_is_learned(maker, made):
    example = made[0]
    row = maker._ids(example)
    prompt, answer = example_ids(
        maker.tokenizer,
        WORDS,
        example.task,
        example.text,
        example.answer,
        example.context,
        example.history,
    )
    assert row["input_ids"] == prompt + answer and row["labels"] == [-100] * len(prompt) + answer
    read = maker.tokenizer.decode(prompt)
    assert example.history[0]["content"] in read and example.history[1]["content"] in read
    assert read.rindex(example.text) > read.index(example.history[1]["content"])


def test_what_does_not_fit_is_none(maker, tokenizer):
    short = Examples(
        [*maker.train, *maker.unseen],
        maker.catalogue,
        tokenizer,
        WORDS,
        FitConfig(base="x", learn=20, max_length=150, answer_tokens=60),
        1024,
    )
    assert all(
        follow_up(short, record, record, random.Random(0)) is None for record in short.read[:20]
    )
