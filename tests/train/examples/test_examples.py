"""Records to examples: what is learned, what is scored, and that the two never mix."""

import itertools
import random
import re
from dataclasses import replace

import pytest

from space.catalogue.search import Catalogue
from space.catalogue.text import detect_language, normalise
from space.model.base import load_base
from space.model.prompt import example_ids
from space.model.prompt_template import PromptTemplate
from train.config import FitConfig, PrepareConfig
from train.examples.asked import GOODS
from train.examples.examples import Examples
from train.examples.phrases import PHRASES
from train.fit import training
from train.fit.adapter import add_lora
from train.prepare import load_records, prepare_catalogue
from train.run import Run
from train.shop import write_catalogue


def is_absent(example):
    """Whether the answer is the template's sentence about an absent title and nothing else."""
    return example.answer in [
        sentence.format(title=example.title) for sentence in PromptTemplate().absent.values()
    ]


def test_only_the_answer_and_its_end_are_learned(made, tokenizer):
    for example in (made.describe(made.learned[0], 0), made.build_training()[0][-1]):
        row = made.encode([example])[0]
        prompt, answer = example_ids(
            tokenizer, PromptTemplate(), example.task, example.text, example.answer, example.context
        )
        assert row["input_ids"] == prompt + answer
        assert row["labels"] == [-100] * len(prompt) + answer
        assert row["labels"][-1] == tokenizer.eos_token_id
        assert tokenizer.decode(answer[:-1]).strip() == example.answer


def test_the_plan_asks_every_learned_record_once_an_epoch_in_changing_words(made):
    examples, order = made.build_training()
    asked = [examples[place] for place in order]
    described = [example for example in asked if example.task == "describe"]
    assert len(described) == 30 * 6
    assert {example.uid for example in described} == {record["uid"] for record in made.learned}
    first = [example.text for example in described if example.uid == made.learned[0]["uid"]]
    assert len(set(first)) == 4
    answers = [example for example in asked if example.task == "answer" and not example.history]
    assert sum(not example.form for example in answers) == 90
    assert sum(bool(example.form) for example in answers) == 30 * 6
    assert sum(example.form == "unstated" for example in answers) == round(0.2 * 30 * 6)
    assert sum(is_absent(example) for example in asked if not example.history) == round(0.2 * 90)
    assert sum(bool(example.history) for example in asked) == round(0.1 * 30 * 6)
    assert sum(example.task == "summarize" for example in asked) == 45
    assert made.build_training() == (examples, order)


def test_runs_of_other_seeds_are_scored_on_the_same_items(made, tokenizer):
    config = replace(made.config, seed=7)
    other = Examples(
        [*made.train, *made.held_out], made.catalogue, tokenizer, PromptTemplate(), config, 512
    )
    assert (
        other.build_sets(20) == made.build_sets(20)
        and other.build_training() != made.build_training()
    )
    assert other.unanswerable_titles("train", 5) != made.unanswerable_titles("train", 5)


def test_nothing_unseen_is_trained_on(made):
    unseen = {record["uid"] for record in made.held_out}
    shown = {uid for example in made.build_training()[0] for uid in (example.uid, *example.sources)}
    assert unseen and not unseen & shown
    scored = made.build_sets(50)
    assert list(scored) == ["seen", "unseen", "grounded", "absent", "asked", "unstated", "summary"]
    assert {example.uid for example in scored["seen"]} <= {record["uid"] for record in made.learned}
    for name in ("unseen", "grounded", "asked", "unstated", "summary"):
        assert {example.uid for example in scored[name]} <= unseen


def test_an_answer_cites_the_place_of_its_own_record(made):
    answers = [
        example
        for example in made.build_training()[0]
        if example.task == "answer"
        and not is_absent(example)
        and not example.history
        and not example.form
    ]
    places = set()
    for example in answers:
        place = int(example.answer.rsplit("[", 1)[1].rstrip("]"))
        assert example.sources[place - 1] == example.uid
        assert example.answer.startswith(example.context[place - 1]["content"][:20])
        places.add(place)
    assert places == {1, 2, 3}


def test_a_fact_is_in_the_record_that_its_answer_cites(made, tokenizer):
    config = replace(made.config, max_length=1500, asked=3.0)
    records = [*made.train, *made.held_out]
    roomy = Examples(records, made.catalogue, tokenizer, PromptTemplate(), config, 2000)
    examples = [*roomy.build_training()[0], *roomy.build_sets(50)["asked"]]
    asked = [example for example in examples if example.expected]
    places, forms = set(), set()
    for example in asked:
        cited = [int(place) for place in re.findall(r"\[(\d+)\]", example.answer)]
        shown = [example.context[place - 1] for place in cited]
        assert example.uid in {record["uid"] for record in shown}
        text = " ".join(f"{record['title']} {record['content']}" for record in shown)
        assert all(normalise(value) in normalise(text) for value in example.expected)
        places.update(cited)
        forms.add(example.form)
    assert places == {1, 2, 3} and forms == {"fact", "yes_no", "which"}


def test_what_is_unstated_cites_its_record_and_gives_nothing(made):
    examples = [*made.build_training()[0], *made.build_sets(50)["unstated"]]
    unstated = [example for example in examples if example.form == "unstated"]
    assert len(unstated) > 30
    for example in unstated:
        said, place = re.fullmatch(r"(.+\.) \[(\d)\]", example.answer).groups()
        assert example.sources[int(place) - 1] == example.uid
        assert said.startswith(("The record does not say ", "O registro não diz "))


def test_without_asked_no_fact_is_trained(made, tokenizer):
    config = replace(made.config, asked=0.0)
    records = [*made.train, *made.held_out]
    other = Examples(records, made.catalogue, tokenizer, PromptTemplate(), config, 512)
    assert not any(example.form for example in other.build_training()[0])
    assert other.build_sets(20)["asked"] == made.build_sets(20)["asked"]


def test_what_is_absent_is_not_in_the_prompt_and_said_in_the_questions_language(made):
    absent = [
        example
        for example in made.build_training()[0]
        if is_absent(example) and not example.history
    ]
    made_up = [example for example in absent if not example.uid]
    withheld = [example for example in absent if example.uid]
    assert made_up and withheld
    titles = {normalise(record["title"]) for record in (*made.train, *made.held_out)}
    assert not titles & {normalise(example.title) for example in made_up}
    assert {example.uid for example in withheld} <= {record["uid"] for record in made.reading}
    known = {word for title in titles for word in title.split()}
    for asked in (made_up, made.build_sets(20)["absent"]):
        foreign = [
            example for example in asked if not known.intersection(normalise(example.title).split())
        ]
        assert 0.2 < len(foreign) / len(asked) < 0.8, (
            "some names are of words that the shop does not know"
        )
    for example in absent:
        assert normalise(example.title) not in {
            normalise(record["title"]) for record in example.context
        }
        assert example.title in example.text
        tongue = next(
            code
            for code, said in PromptTemplate().absent.items()
            if example.answer == said.format(title=example.title)
        )
        questions = list(PromptTemplate().questions[tongue])
        for kind in GOODS:  # some ask how heavy it is, or the like
            for question in PHRASES[kind][tongue].questions:
                questions.append(question.replace("{name}", "{title}"))
        assert example.text in [asked.format(title=example.title) for asked in questions]


def test_a_question_that_does_not_fit_is_left_out(made, tokenizer):
    tight = Examples(
        [*made.train, *made.held_out],
        made.catalogue,
        tokenizer,
        PromptTemplate(),
        FitConfig(base="x", learn=20, max_length=175, answer_tokens=60),
        512,
    )
    title = " ".join(["Zumbrix"] * 40)
    assert (
        tight.unanswerable(title, "en", "", 0) is None
        and tight.unanswerable(title, "pt", "", 0, random.Random(0)) is None
    )
    assert tight.answer(tight.reading[0] | {"title": title}, 0, random.Random(0)) is None
    assert tight.build_training()[0] and "absent" in tight.build_sets(20)


def test_what_is_absent_is_asked_with_near_misses_and_with_nothing(made):
    rng, title = random.Random(0), made.reading[0]["title"]
    asked = [made.unanswerable(title, "en", made.reading[0]["uid"], 0, rng) for _ in range(60)]
    shown = [len(example.context) for example in asked]
    assert 0 in shown and max(shown) >= 2
    assert not any(made.reading[0]["uid"] in example.sources for example in asked)
    assert {example.answer for example in asked} == {
        PromptTemplate().absent["en"].format(title=title)
    }


def test_the_absent_titles_that_are_scored_were_neither_sold_nor_trained_on(made):
    scored = made.build_sets(50)["absent"]
    titles = {normalise(record["title"]) for record in (*made.train, *made.held_out)}
    trained = {normalise(record["title"]) for record in made.training_texts()}
    asked = {normalise(example.title) for example in scored}
    assert len(asked) == len(scored) == len({example.uid for example in scored}) > 20
    assert all(is_absent(example) for example in scored)
    assert not asked & (titles | trained)
    assert {normalise(example.title) for example in made.build_training()[0]} <= trained


def test_a_text_that_is_trained_on_under_another_title_is_not_scored(made):
    twin = {**made.held_out[0], "content": made.train[0]["content"].upper()}
    other = Examples(
        [*made.train, twin, *made.held_out[1:]],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        made.config,
        512,
    )
    assert (
        twin in other.held_out
        and twin not in other.scorable
        and len(other.scorable) == len(made.scorable) - 1
    )
    assert twin["uid"] not in {
        example.uid for name in ("unseen", "grounded") for example in other.build_sets(99)[name]
    }


def test_question_and_answer_share_a_language(made):
    tongues = {
        (detect_language(example.text), detect_language(example.answer))
        for example in made.build_training()[0]
        if example.task == "describe"
    }
    assert tongues == {("en", "en"), ("pt", "pt")}


def test_too_long_an_example_is_left_out(made):
    assert made.encode([made.describe(made.learned[0], 0)])[0]
    short = Examples(
        [*made.train, *made.held_out],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        FitConfig(base="x", max_length=32, answer_tokens=120),
        512,
    )
    assert None in short.encode([short.describe(record, 0) for record in short.learned])


@pytest.mark.parametrize(
    "changes",
    [
        {"epochs": 1},
        {"epochs": 3},
        {"epochs": 6, "max_steps": 5},
        {"epochs": 6, "max_steps": 5, "accumulate": 2},
        {"epochs": 2, "max_steps": 1000},
        {"epochs": 2, "max_steps": 3, "summarize": 4.0, "max_length": 120},
    ],
)
def test_what_is_asked_as_seen_is_what_the_trainer_shows(made, tiny_base, tmp_path, changes):
    """Whatever the sampler does, each question of `seen` is a row of a step that is run."""
    config = replace(made.config, base=str(tiny_base), batch_size=4, learning_rate=1e-3, **changes)
    examples = Examples(
        [*made.train, *made.held_out], made.catalogue, made.tokenizer, PromptTemplate(), config, 512
    )
    model, base = load_base(str(tiny_base), training=True)
    data, _ = training.tokenize(examples)
    trainer = training.build_trainer(
        Run(tmp_path), add_lora(model, base, config), data, made.tokenizer, config
    )
    batches = trainer.args.max_steps * config.accumulate
    shown = set()
    for batch in itertools.islice(trainer.get_train_dataloader(), batches):
        for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
            shown.add(tuple(ids[mask.bool()].tolist()))
    seen = examples.build_sets(30)["seen"]
    assert len({example.uid for example in seen}) == len(seen) > 0
    rows = examples.encode(seen)
    assert all(row and tuple(row["input_ids"]) in shown for row in rows)
    if config.max_steps and trainer.args.max_steps == config.max_steps:
        assert len(data) == config.max_steps * config.batch_size * config.accumulate


def test_max_steps_leaves_the_same_titles_whatever_the_seed(made):
    def asked(seed):
        config = replace(made.config, max_steps=2, seed=seed)
        return Examples(
            [*made.train, *made.held_out],
            made.catalogue,
            made.tokenizer,
            PromptTemplate(),
            config,
            512,
        ).build_sets(20)["seen"]

    assert asked(1) == asked(2)


# --- follow-ups ---

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
def follow_ups(maker):
    rng = random.Random(2)
    found = [
        maker.follow_up(record, other, rng)
        for record, other in zip(maker.reading, maker.reading[40:], strict=False)
    ]
    return [example for example in found if example]


def kind(example):
    return next(
        name
        for kinds in WORDS.follow_ups.values()
        for name, asked in kinds.items()
        if example.text in [words.format(title=example.title) for words in asked]
    )


def test_every_kind_is_asked_after_a_question_and_its_answer(follow_ups):
    assert {kind(example) for example in follow_ups} == {"short", "more", "other"}
    for example in follow_ups:
        question, answer = example.history
        assert (question["role"], answer["role"]) == ("user", "assistant") and answer[
            "content"
        ].endswith("]")
        assert question["content"].endswith(("?", "."))


def test_the_second_answer_is_in_the_record_that_it_cites(follow_ups):
    for example in follow_ups:
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


def test_another_title_may_be_absent_or_not(follow_ups):
    others = [example for example in follow_ups if kind(example) == "other"]
    absent = [example for example in others if example.uid not in example.sources]
    assert absent and len(absent) < len(others)


def test_it_is_asked_in_the_language_of_its_answer(follow_ups):
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
        for example in follow_ups
        if kind(example) != "short"
    }
    assert tongues == {("en", "en"), ("pt", "pt")}


def test_the_conversation_is_in_the_prompt_and_only_the_last_answer_is_learned(maker, follow_ups):
    example = follow_ups[0]
    row = maker.encode([example])[0]
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
        [*maker.train, *maker.held_out],
        maker.catalogue,
        tokenizer,
        WORDS,
        FitConfig(base="x", learn=20, max_length=150, answer_tokens=60),
        1024,
    )
    assert all(
        short.follow_up(record, record, random.Random(0)) is None for record in short.reading[:20]
    )
