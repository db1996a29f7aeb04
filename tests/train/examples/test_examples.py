"""Records to examples: what is learned, what is scored, and that the two never mix."""

import itertools
import random
from dataclasses import replace

import pytest

from space.catalogue.search import Catalogue
from space.catalogue.text import detect_language, normalise
from space.model.base import load_base
from space.model.prompt import example_ids
from space.model.prompt_template import PromptTemplate
from train.config import FitConfig, PrepareConfig
from train.examples.examples import Examples
from train.examples.few_shot import worked
from train.examples.summaries import lead, main_sentence, principal
from train.fit import training
from train.fit.adapter import add_lora
from train.prepare import load_records, prepare_catalogue
from train.run import Run
from train.sample import write_catalogue


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


def is_absent(example):
    """Whether the answer is one of the wording's sentences about this title and nothing else."""
    return example.answer in [
        sentence.format(title=example.title) for sentence in PromptTemplate().absent.values()
    ]


def test_only_the_answer_and_its_end_are_learned(made, tokenizer):
    for example in (made.describe(made.learned[0], 0), made.training()[0][-1]):
        row = made._ids(example)
        prompt, answer = example_ids(
            tokenizer, PromptTemplate(), example.task, example.text, example.answer, example.context
        )
        assert row["input_ids"] == prompt + answer
        assert row["labels"] == [-100] * len(prompt) + answer
        assert row["labels"][-1] == tokenizer.eos_token_id
        assert tokenizer.decode(answer[:-1]).strip() == example.answer


def test_the_plan_asks_every_learned_record_once_an_epoch_in_changing_words(made):
    examples, order = made.training()
    asked = [examples[place] for place in order]
    described = [example for example in asked if example.task == "describe"]
    assert len(described) == 30 * 6
    assert {example.uid for example in described} == {record["uid"] for record in made.learned}
    first = [example.text for example in described if example.uid == made.learned[0]["uid"]]
    assert len(set(first)) == 4
    assert sum(example.task == "answer" and not example.history for example in asked) == 90
    assert sum(is_absent(example) for example in asked if not example.history) == round(0.2 * 90)
    assert sum(bool(example.history) for example in asked) == round(0.1 * 30 * 6)
    assert sum(example.task == "summarize" for example in asked) == 45
    assert made.training() == (examples, order)


def test_runs_of_other_seeds_are_scored_on_the_same_items(made, tokenizer):
    config = replace(made.config, seed=7)
    other = Examples(
        [*made.train, *made.unseen], made.catalogue, tokenizer, PromptTemplate(), config, 512
    )
    assert other.sets(20) == made.sets(20) and other.training() != made.training()
    assert other.made_up("train", 5) != made.made_up("train", 5)


def test_nothing_unseen_is_trained_on(made):
    unseen = {record["uid"] for record in made.unseen}
    shown = {uid for example in made.training()[0] for uid in (example.uid, *example.sources)}
    assert unseen and not unseen & shown
    scored = made.sets(50)
    assert list(scored) == ["seen", "unseen", "grounded", "absent", "summary"]
    assert {example.uid for example in scored["seen"]} <= {record["uid"] for record in made.learned}
    for name in ("unseen", "grounded", "summary"):
        assert {example.uid for example in scored[name]} <= unseen


def test_an_answer_cites_the_place_of_its_own_record(made):
    answers = [
        example
        for example in made.training()[0]
        if example.task == "answer" and not is_absent(example) and not example.history
    ]
    places = set()
    for example in answers:
        place = int(example.answer.rsplit("[", 1)[1].rstrip("]"))
        assert example.sources[place - 1] == example.uid
        assert example.answer.startswith(example.context[place - 1]["content"][:20])
        places.add(place)
    assert places == {1, 2, 3}


def test_what_is_absent_is_not_in_the_prompt_and_said_in_the_questions_language(made):
    absent = [
        example for example in made.training()[0] if is_absent(example) and not example.history
    ]
    made_up = [example for example in absent if not example.uid]
    withheld = [example for example in absent if example.uid]
    assert made_up and withheld
    titles = {normalise(record["title"]) for record in (*made.train, *made.unseen)}
    assert not titles & {normalise(example.title) for example in made_up}
    assert {example.uid for example in withheld} <= {record["uid"] for record in made.read}
    known = {word for title in titles for word in title.split()}
    for asked in (made_up, made.sets(20)["absent"]):
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
        assert example.text in [
            asked.format(title=example.title) for asked in PromptTemplate().questions[tongue]
        ]


def test_a_question_that_does_not_fit_is_left_out(made, tokenizer):
    tight = Examples(
        [*made.train, *made.unseen],
        made.catalogue,
        tokenizer,
        PromptTemplate(),
        FitConfig(base="x", learn=20, max_length=150, answer_tokens=60),
        512,
    )
    title = " ".join(["Zumbrix"] * 40)
    assert (
        tight.absent(title, "en", "", 0) is None
        and tight.absent(title, "pt", "", 0, random.Random(0)) is None
    )
    assert tight.answer(tight.read[0] | {"title": title}, 0, random.Random(0)) is None
    assert tight.training()[0] and "absent" in tight.sets(20)


def test_what_is_absent_is_asked_with_near_misses_and_with_nothing(made):
    rng, title = random.Random(0), made.read[0]["title"]
    asked = [made.absent(title, "en", made.read[0]["uid"], 0, rng) for _ in range(60)]
    shown = [len(example.context) for example in asked]
    assert 0 in shown and max(shown) >= 2
    assert not any(made.read[0]["uid"] in example.sources for example in asked)
    assert {example.answer for example in asked} == {
        PromptTemplate().absent["en"].format(title=title)
    }


def test_the_absent_titles_that_are_scored_were_neither_sold_nor_trained_on(made):
    scored = made.sets(50)["absent"]
    titles = {normalise(record["title"]) for record in (*made.train, *made.unseen)}
    trained = {normalise(record["title"]) for record in made.trained()}
    asked = {normalise(example.title) for example in scored}
    assert len(asked) == len(scored) == len({example.uid for example in scored}) > 20
    assert all(is_absent(example) for example in scored)
    assert not asked & (titles | trained)
    assert {normalise(example.title) for example in made.training()[0]} <= trained


def test_a_text_that_is_trained_on_under_another_title_is_not_scored(made):
    twin = {**made.unseen[0], "content": made.train[0]["content"].upper()}
    other = Examples(
        [*made.train, twin, *made.unseen[1:]],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        made.config,
        512,
    )
    assert (
        twin in other.unseen
        and twin not in other.scored
        and len(other.scored) == len(made.scored) - 1
    )
    assert twin["uid"] not in {
        example.uid for name in ("unseen", "grounded") for example in other.sets(99)[name]
    }


def test_question_and_answer_share_a_language(made):
    tongues = {
        (detect_language(example.text), detect_language(example.answer))
        for example in made.training()[0]
        if example.task == "describe"
    }
    assert tongues == {("en", "en"), ("pt", "pt")}


def test_worked_examples_come_from_training_and_fit(made):
    roomy = Examples(
        [*made.train, *made.unseen],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        replace(made.config, max_length=1500),
        2000,
    )
    item = roomy.sets(1)["grounded"][0]
    shown = worked(roomy, item, 3)
    assert len(shown.history) == 6 and shown.text == item.text and shown.answer == item.answer
    assert [message["role"] for message in shown.history[:2]] == ["user", "assistant"]
    assert item.answer.split(" [")[0] not in str(shown.history)
    assert len(roomy._ids(shown)["input_ids"]) <= roomy.length
    assert len(worked(made, item, 3).history) < 6


def test_too_long_an_example_is_left_out(made):
    assert made.encoded([made.describe(made.learned[0], 0)])[0]
    short = Examples(
        [*made.train, *made.unseen],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        FitConfig(base="x", max_length=32, answer_tokens=120),
        512,
    )
    assert None in short.encoded([short.describe(record, 0) for record in short.learned])


def test_the_base_is_also_shown_what_is_said_of_what_is_absent(made):
    roomy = Examples(
        [*made.train, *made.unseen],
        made.catalogue,
        made.tokenizer,
        PromptTemplate(),
        replace(made.config, max_length=1500),
        2000,
    )
    for name in ("grounded", "absent"):
        said = [
            message["content"] for message in worked(roomy, roomy.sets(1)[name][0], 3).history[1::2]
        ]
        absent = [
            any(text.startswith(words.split("{")[0]) for words in PromptTemplate().absent.values())
            for text in said
        ]
        assert absent == [True, False, False]


def test_the_principal_sentence_says_most_of_the_others_and_leaves_the_text():
    text = (
        "The kettle is oak. It weighs 300 g. The oak kettle from Lisbon weighs 300 g and is blue. It is blue. "
        "Made in Lisbon. Keep the receipt."
    )
    rest, summary = principal(text)
    assert summary == "The oak kettle from Lisbon weighs 300 g and is blue."
    assert (
        summary not in rest
        and rest.startswith("The kettle is oak.")
        and rest.endswith("Keep the receipt.")
    )
    assert principal("One. Two. Three.") is None
    assert main_sentence(text) == summary
    assert main_sentence("A lamp. It is blue and red. It is red.") == "A lamp."
    assert main_sentence("no end") == "no end"


def test_a_long_answer_ends_with_a_sentence(tokenizer):
    text = "The kettle is oak. It weighs 300 g. It is blue. Made in Lisbon."
    assert lead(text, tokenizer, 1000) == text
    cut = lead(text, tokenizer, len(tokenizer(text)["input_ids"]) - 3)
    assert text.startswith(cut) and cut.endswith(".") and len(cut) < len(text)
    assert lead("word " * 200, tokenizer, 20).endswith("word")


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
    config = replace(made.config, base=str(tiny_base), batch_size=4, **changes)
    examples = Examples(
        [*made.train, *made.unseen], made.catalogue, made.tokenizer, PromptTemplate(), config, 512
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
    seen = examples.sets(30)["seen"]
    assert len({example.uid for example in seen}) == len(seen) > 0
    rows = examples.encoded(seen)
    assert all(row and tuple(row["input_ids"]) in shown for row in rows)
    if config.max_steps and trainer.args.max_steps == config.max_steps:
        assert len(data) == config.max_steps * config.batch_size * config.accumulate


def test_max_steps_leaves_the_same_titles_whatever_the_seed(made):
    def asked(seed):
        config = replace(made.config, max_steps=2, seed=seed)
        return Examples(
            [*made.train, *made.unseen],
            made.catalogue,
            made.tokenizer,
            PromptTemplate(),
            config,
            512,
        ).sets(20)["seen"]

    assert asked(1) == asked(2)
