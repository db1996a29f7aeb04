"""One question's journey through the real models and a real index."""

import pytest

from space.engine import Engine, load_engine
from space.prompt import InputError, plain
from space.settings import Settings
from space.sources import SourceError, build_index
from space.texts import words


@pytest.fixture(scope="module")
def settings(tmp_path_factory, tiny_base, adapter):
    folder = tmp_path_factory.mktemp("catalogue")
    build_index([("u1", "Dovenka Kettle", "The Dovenka Kettle is oak. " * 3),
                 ("u2", "Rede Bamu", "Rede Bamu é de linho e não pesa."),
                 ("u3", "Lamp Zakanox", "Long. " * 400)], folder / "index")
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


def test_with_a_catalogue_that_has_nothing_the_model_is_told_so(engine, monkeypatch):
    asked = []
    fit = engine._fit
    monkeypatch.setattr(engine, "_fit", lambda *words: asked.append(words[0]) or fit(*words))
    sought = list(engine.answer("Qwxyz zzyx?", True, 8, 0.0))[-1]
    alone = list(engine.answer("Qwxyz zzyx?", False, 8, 0.0))[-1]
    bare = list(Engine(engine.pair, None, engine.settings).answer("Qwxyz zzyx?", True, 8, 0.0))[-1]
    assert asked == ["answer", "describe"]
    assert sought[2] == alone[2] == [] and sought[:2] != alone[:2]
    assert bare == alone


def test_what_was_cut_is_told(engine):
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
    compare = engine._compare
    engine._compare = lambda prompt, answer: read.append(prompt) or compare(prompt, answer)
    try:
        return engine.explain(*asked), read[0]
    finally:
        engine._compare = compare


@pytest.mark.parametrize("question", ["What is the Dovenka Kettle?", "What is the Lamp Zakanox? And the Dovenka Kettle?",
                                      "Qwxyz zzyx?"])
@pytest.mark.parametrize("use_sources", [True, False])
def test_an_answer_is_explained_after_the_very_prompt_that_it_was_given_to(engine, monkeypatch, question, use_sources):
    written = []
    write = engine._write
    monkeypatch.setattr(engine, "_write", lambda prompt, *rest: written.append(prompt) or write(prompt, *rest))
    tuned = list(engine.answer(question, use_sources, 8, 0.0))[-1][1]
    records, read = explained(engine, question, tuned, use_sources, 8)
    assert read == written[0]
    assert "".join(record["token"] for record in records) == plain(tuned)


def test_a_summary_is_explained_too(engine):
    text = "A sentence about a kettle. " * 200
    records = engine.explain_summary(text, "A kettle of oak.", 8)
    assert "".join(record["token"] for record in records) == "A kettle of oak."


def test_an_answer_that_cannot_be_explained_is_refused_in_words(engine):
    for answer, told in ((" ", "The answer is empty"), ("a" * 100_000, "This answer has 100,000 characters"),
                          ("word " * 3000, r"This answer is [\d,]+ tokens too long for the model’s window")):
        with pytest.raises(InputError, match=told):
            engine.explain("What is it?", answer, False, 8)
    with pytest.raises(InputError, match="The question is empty"):
        engine.explain("", "It is oak.", False, 8)
    with pytest.raises(InputError, match="The summary is empty"):
        engine.explain_summary("A text.", "\0", 8)


def test_bad_questions_never_reach_the_model(engine, monkeypatch):
    monkeypatch.setattr(engine.pair.model, "forward", None)
    for text, told in (("", "is empty"), ("a" * 100_000, "100,000 characters"), ("word " * 3000, "too long for the model")):
        with pytest.raises(InputError, match=told):
            list(engine.answer(text, False, 8, 0.0))


def test_info_search_and_examples(engine):
    info = engine.info()
    assert set(info) == {"base", "base_revision", "adapter", "adapter_revision", "precision", "device", "version"}
    assert info["base"] == "tiny-llama" and info["precision"] == "nf4"
    assert engine.search("bamu", 5)[0]["uid"] == "u2"
    examples = engine.examples(3)
    assert any("Rede Bamu" in text and text.startswith(("O que", "Descreva", "Fale")) for text in examples)


def test_without_a_catalogue_it_answers_from_memory(engine, settings):
    bare = Engine(engine.pair, None, settings)
    assert list(bare.answer("What is it?", True, 4, 0.0))[-1][2] == []
    assert bare.search("kettle", 3) == [] and bare.examples() == []


def test_a_missing_catalogue_is_named(settings, tmp_path):
    with pytest.raises(SourceError, match="catalogue"):
        load_engine(Settings(base_model=settings.base_model, adapter=settings.adapter, catalogue=str(tmp_path / "none")))
