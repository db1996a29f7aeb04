"""space/engine.py with real models and a real index."""

import pytest

from space.catalogue.index import build_index
from space.engine import Engine, load_engine
from space.errors import CatalogueError, InputError
from space.model.conversation import column_messages
from space.model.decode import complete, decode_text
from space.model.prompt import fit_prompt, prompt_ids
from space.settings import Settings
from space.texts import remove_controls, words


@pytest.fixture(scope="module")
def settings(tmp_path_factory, tiny_base, adapter):
    folder = tmp_path_factory.mktemp("catalogue")
    build_index(
        [
            ("u1", "Dovenka Kettle", "The Dovenka Kettle is oak. " * 3),
            ("u2", "Rede Bamu", "Rede Bamu é de linho e não pesa."),
            ("u3", "Lamp Zakanox", "Long. " * 400),
        ],
        folder / "index",
    )
    return Settings(base_model=str(tiny_base), adapter=str(adapter), catalogue=str(folder))


@pytest.fixture(scope="module")
def engine(settings):
    return load_engine(settings)


def test_an_answer_comes_with_the_records_in_its_prompt(engine):
    steps = list(engine.answer("What is the Dovenka Kettle?", True, 8, 0.0))
    assert steps[0][:2] == ("", "") and steps[0][2][0]["uid"] == "u1"
    assert steps[-1][0] and steps[-1][1]
    assert all(sources == steps[0][2] for _, _, sources in steps)
    assert set(steps[0][2][0]) == {"uid", "title", "content", "score"}


def test_without_sources_the_question_stands_alone(engine):
    with_records = list(engine.answer("What is the Dovenka Kettle?", True, 8, 0.0))[-1]
    alone = list(engine.answer("What is the Dovenka Kettle?", False, 8, 0.0))[-1]
    assert alone[2] == [] and alone[:2] != with_records[:2]


def test_without_a_hit_the_prompt_says_that_nothing_was_found(engine, monkeypatch):
    asked = []

    def fit(tokenizer, prompt_template, task, *words, **options):
        asked.append(task)
        return fit_prompt(tokenizer, prompt_template, task, *words, **options)

    monkeypatch.setattr("space.engine.fit_prompt", fit)
    sought = list(engine.answer("Qwxyz zzyx?", True, 8, 0.0))[-1]
    alone = list(engine.answer("Qwxyz zzyx?", False, 8, 0.0))[-1]
    bare = list(Engine(engine.pair, None, engine.settings).answer("Qwxyz zzyx?", True, 8, 0.0))[-1]
    assert asked == ["answer"] * 2 + ["describe"] * 4, "of both columns"
    assert sought[2] == alone[2] == [] and sought[:2] != alone[:2]
    assert bare == alone


def test_where_nothing_is_found_the_one_title_that_comes_near_is_suggested(engine, monkeypatch):
    def figures(question: str) -> dict:
        return list(engine.converse(question, (), True, 2, 0.0))[-1].figures

    title = engine.catalogue.titles(1)[0]
    record = {**engine.catalogue.search(title, 1)[0], "score": 0.4}
    monkeypatch.setattr(engine.catalogue, "search", lambda query, k: [record])
    assert figures("Qwxyz zzyx?")["suggested"] == title
    monkeypatch.undo()
    assert "suggested" not in figures(f"What is {title}?")
    assert "suggested" not in figures("Qwxyz zzyx?")


def test_notices_say_what_was_cut(engine):
    told = []

    def notify(key, **values):
        told.append(words(key, **values))

    steps = engine.answer("What is the Lamp Zakanox? And the Dovenka Kettle?", True, 8, 0.0, notify)
    next(steps)
    steps.close()
    assert len(told) == 1 and "characters of the records were cut" in told[0]
    list(engine.summarize("A sentence. " * 500, 8, 0.0, notify))
    assert "do not fit the model’s window and were left out" in told[1]


def explained(engine, *asked) -> tuple[list[int], list[dict]]:
    """The prompt that an explanation read, and what it says."""
    read = []
    compare = engine._explain_on_gpu
    engine._explain_on_gpu = lambda prompt, answer: read.append(prompt) or compare(prompt, answer)
    try:
        return engine.explain(*asked), read[0]
    finally:
        engine._explain_on_gpu = compare


@pytest.mark.parametrize(
    "question",
    [
        "What is the Dovenka Kettle?",
        "What is the Lamp Zakanox? And the Dovenka Kettle?",
        "Qwxyz zzyx?",
    ],
)
@pytest.mark.parametrize("use_sources", [True, False])
def test_an_answer_is_explained_after_the_very_prompt_that_it_was_given_to(
    engine, monkeypatch, question, use_sources
):
    written = []
    write = engine._generate_on_gpu
    monkeypatch.setattr(
        engine,
        "_generate_on_gpu",
        lambda prompts, *rest: written.append(prompts) or write(prompts, *rest),
    )
    tuned = list(engine.answer(question, use_sources, 8, 0.0))[-1][1]
    records, read = explained(engine, question, tuned, use_sources, 8)
    assert [read, read] == written[0]
    assert "".join(record["token"] for record in records) == remove_controls(tuned)


def test_a_summary_is_explained_too(engine):
    text = "A sentence about a kettle. " * 200
    records = engine.explain_summary(text, "A kettle of oak.", 8)
    assert "".join(record["token"] for record in records) == "A kettle of oak."


def test_an_answer_that_cannot_be_explained_is_refused_in_words(engine):
    for answer, told in (
        (" ", "The answer is empty"),
        ("a" * 100_000, "This answer has 100,000 characters"),
        ("word " * 3000, r"This answer is [\d,]+ tokens too long for the model’s window"),
    ):
        with pytest.raises(InputError, match=told):
            engine.explain("What is it?", answer, False, 8)
    with pytest.raises(InputError, match="The question is empty"):
        engine.explain("", "It is oak.", False, 8)
    with pytest.raises(InputError, match="The summary is empty"):
        engine.explain_summary("A text.", "\0", 8)


def test_bad_questions_never_reach_the_model(engine, monkeypatch):
    monkeypatch.setattr(engine.pair.model, "forward", None)
    for text, told in (
        ("", "is empty"),
        ("a" * 100_000, "100,000 characters"),
        ("word " * 3000, "too long for the model"),
    ):
        with pytest.raises(InputError, match=told):
            list(engine.answer(text, False, 8, 0.0))


def test_info_search_and_examples(engine):
    info = engine.info()
    assert set(info) == {
        "base",
        "base_revision",
        "adapter",
        "adapter_revision",
        "precision",
        "device",
        "version",
    }
    assert info["base"] == "tiny-llama" and info["precision"] == "nf4"
    assert engine.search("bamu", 5)[0]["uid"] == "u2"
    examples = engine.examples(3)
    assert any(
        "Rede Bamu" in text and text.startswith(("O que", "Descreva", "Fale")) for text in examples
    )


def test_without_a_catalogue_it_answers_from_memory(engine, settings):
    bare = Engine(engine.pair, None, settings)
    assert list(bare.answer("What is it?", True, 4, 0.0))[-1][2] == []
    assert bare.search("kettle", 3) == [] and bare.examples() == []


def test_a_missing_catalogue_is_named(settings, tmp_path):
    with pytest.raises(CatalogueError, match="catalogue"):
        load_engine(
            Settings(
                base_model=settings.base_model,
                adapter=settings.adapter,
                catalogue=str(tmp_path / "none"),
            )
        )


# --- a conversation ---


def converse(engine, *questions, use_sources=True, tokens=8, **options) -> list[dict]:
    """A conversation of these questions."""
    talk = []
    for question in questions:
        steps = list(
            engine.converse(
                question,
                talk,
                use_sources,
                tokens,
                options.get("temperature", 0.0),
                options.get("seed"),
            )
        )
        assert all(step.sources == steps[0].sources for step in steps)
        talk.append(steps[-1].as_turn(question, use_sources, tokens))
    return talk


def test_an_answer_is_the_first_turn_of_a_conversation(engine):
    said = list(engine.answer("What is the Dovenka Kettle?", True, 8, 0.0))
    steps = list(engine.converse("What is the Dovenka Kettle?", (), True, 8, 0.0))
    assert said == [(step.base, step.tuned, step.sources) for step in steps]


def test_a_follow_up_is_what_each_model_alone_says_after_its_own_answers(engine):
    talk = converse(
        engine, "What is the Dovenka Kettle?", "Tell me more about it.", "Is it of oak?", tokens=12
    )
    assert talk[0]["base"] != talk[0]["tuned"]
    for place, last in enumerate(talk):
        for column in ("base", "tuned"):
            past = column_messages(talk[:place], column)
            assert [message["content"] for message in past[1::2]] == [
                turn[column] for turn in talk[:place]
            ]
            ids = prompt_ids(
                engine.pair.tokenizer,
                engine.pair.prompt_template,
                "answer",
                last["question"],
                last["sources"],
                past,
            )
            written = complete(engine.pair, [ids], 12, column == "tuned")[0]
            assert decode_text(engine.pair, written) == last[column]
            assert (
                last["figures"][column]["tokens"] == len(written)
                and last["figures"][column]["seconds"] > 0
            )


def test_a_follow_up_keeps_its_records_unless_it_names_others_or_nothing_that_is_there(engine):
    talk = converse(
        engine,
        "What is the Dovenka Kettle?",
        "Tell me more about it.",
        "E sobre Rede Bamu?",
        "Conte mais.",
        "And the Qwxyz Zzyx?",
        "Tell me more about it.",
    )
    assert [[record["uid"] for record in turn["sources"]] for turn in talk] == [
        ["u1"],
        ["u1"],
        ["u2"],
        ["u2"],
        [],
        [],
    ]
    assert [turn["figures"]["kept"] for turn in talk] == [False, True, False, True, False, False]
    unread = converse(engine, "What is the Dovenka Kettle?", use_sources=False)
    step = next(engine.converse("Tell me more about it.", unread, True, 8, 0.0))
    assert [record["uid"] for record in step.sources] == ["u1"], (
        "the catalogue is asked now, about what was asked before"
    )


def test_what_no_longer_fits_is_left_out_of_both_columns(engine, monkeypatch):
    first = converse(engine, "What is the Dovenka Kettle?")[0]
    prompts, write = [], engine._generate_on_gpu
    monkeypatch.setattr(
        engine, "_generate_on_gpu", lambda both, *rest: prompts.append(both) or write(both, *rest)
    )
    talk = [
        {**first, "base": f"{place} " + "kettle " * 40, "tuned": f"{place} It is oak."}
        for place in range(4)
    ]
    step = list(engine.converse("And Rede Bamu?", talk, True, 8, 0.0))[-1]
    left = step.figures["left_out"]
    assert 0 < left < 4 and [record["uid"] for record in step.sources] == ["u2"]
    for column, ids in zip(("base", "tuned"), prompts[0], strict=True):
        assert ids == prompt_ids(
            engine.pair.tokenizer,
            engine.pair.prompt_template,
            "answer",
            "And Rede Bamu?",
            step.sources,
            column_messages(talk[left:], column),
        )
        assert len(ids) <= engine.pair.window - 8


def test_a_follow_up_is_explained_after_the_prompt_of_the_tuned_model(engine, monkeypatch):
    talk = converse(engine, "What is the Dovenka Kettle?")
    written, write = [], engine._generate_on_gpu
    monkeypatch.setattr(
        engine,
        "_generate_on_gpu",
        lambda prompts, *rest: written.append(prompts) or write(prompts, *rest),
    )
    step = list(engine.converse("Tell me more about it.", talk, True, 8, 0.0))[-1]
    records, read = explained(engine, "Tell me more about it.", step.tuned, True, 8, talk)
    assert read == written[0][1] != written[0][0]
    assert "".join(record["token"] for record in records) == remove_controls(step.tuned)


def test_a_seed_gives_the_same_answer_again_and_is_among_the_figures(engine):
    def drawn(seed):
        return list(engine.converse("What is it?", (), False, 12, 1.5, seed))[-1]

    first, other = drawn(None), drawn(7)
    again = drawn(first.figures["seed"])
    assert (again.base, again.tuned) == (first.base, first.tuned) and other.figures["seed"] == 7
    assert first.tuned != other.tuned
    assert list(engine.converse("What is it?", (), False, 2, 0.0, 7))[-1].figures["seed"] is None, (
        "nothing is drawn at 0"
    )


def test_an_engine_hands_on_what_its_adapter_brought(pair):
    engine = Engine(pair, None, Settings())
    assert engine.evidence().lora["r"] == 8 and engine.evidence() is engine.evidence()
