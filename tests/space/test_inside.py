"""space/inside.py: each picture of the tab How it works, and what is refused."""

from shutil import copytree

import pytest

from space.catalogue.index import build_index
from space.catalogue.search import Catalogue
from space.engine import Engine, run_here
from space.errors import InputError
from space.evidence import check_facts
from space.inside import (
    ANSWER_TOKENS,
    COPY_BYTES,
    NEAREST,
    NEW_RECORDS,
    Inside,
    gpu_seconds_to_look,
)
from space.model.conversation import column_messages
from space.model.pair import load_pair
from space.settings import Settings
from tests.encoder_decoder import adapter_of, tiny_base
from tests.space.model.inside.test_snapshots import keep_snapshots

TEXT = "The Dovenka Kettle is oak."


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue")
    records = [(f"u{i}", f"Lamp Number{i}", f"Lamp {i} is of oak.") for i in range(80)]
    build_index([("k", "Dovenka Kettle", "The Dovenka Kettle is oak."), *records], folder / "index")
    return Catalogue.open(folder)


@pytest.fixture
def inside(pair, catalogue, tiny_base_folder):
    settings = Settings(base_model=str(tiny_base_folder))
    return Inside(pair, catalogue, settings, run_here)


@pytest.fixture(scope="module")
def tiny_base_folder(tiny_base):
    return tiny_base


def test_every_picture_of_a_text(inside):
    assert inside.tokens(TEXT).count and inside.guesses(TEXT).loss
    assert inside.attention(TEXT).weights and inside.adapter().layers
    assert inside.precision_cost(TEXT).difference > 0
    assert inside.shape == (2, 4) and inside.record(0) and inside.record(10**6)
    assert gpu_seconds_to_look("near", ()) > 0


def test_records_by_meaning_and_by_words_and_each_look_reads_more(inside):
    near = inside.neighbours(TEXT)
    assert near.by_words[0].title == "Dovenka Kettle" and near.total == 81
    assert len(near.by_meaning) == NEAREST and near.read == NEW_RECORDS
    assert [word.word for word in near.words] == ["The", "Dovenka", "Kettle", "is", "oak"]
    while near.read < 81:
        before, near = near.read, inside.neighbours(TEXT)
        assert near.read > before
    again = inside.neighbours("Dovenka Kettle")
    assert again.by_meaning[0].title == "Dovenka Kettle", "a title is nearest to itself"
    assert again.by_meaning[0].score == pytest.approx(1, abs=0.02)


def test_the_slider_says_at_its_ends_what_the_page_says(pair):
    settings = Settings(catalogue=None)
    engine = Engine(pair, None, settings)
    base, tuned, _ = list(engine.answer("What is the Dovenka?", False, 32, 0.0))[-1]
    answers = {one.strength: one.text for one in engine.inside.strengths("What is the Dovenka?")}
    assert (answers[0.0], answers[1.0]) == (base, tuned)
    assert column_messages((), "base") == []


def test_one_question_along_the_training(tiny_base_folder, adapter, catalogue, tmp_path):
    folder = keep_snapshots(copytree(adapter, tmp_path / "adapter"))
    pair = load_pair(str(tiny_base_folder), str(folder))
    engine = Engine(pair, catalogue, Settings(base_model=str(tiny_base_folder)))
    question = "What is the Dovenka Kettle?"
    base, tuned, _ = list(engine.answer(question, False, ANSWER_TOKENS, 0.0))[-1]
    transfer = engine.inside.transfer(question)
    assert [answer.step for answer in transfer.answers] == [0, 4, 9, 10] and transfer.total == 10
    texts = [answer.text for answer in transfer.answers]
    assert (texts[0], texts[2:]) == (base, [tuned, tuned]) and base != tuned
    assert transfer.title == "Dovenka Kettle"
    for answer in transfer.answers:
        checked = check_facts(answer.text, catalogue.search(question, 1))
        assert (answer.facts, answer.supported) == (len(checked.facts), checked.supported)
    alone = Inside(pair, None, Settings(catalogue=None), run_here).transfer(question)
    assert alone.title == "" and not any(answer.facts for answer in alone.answers)
    assert gpu_seconds_to_look("transfer", ()) > gpu_seconds_to_look("near", ())
    with pytest.raises(InputError, match="too long"):
        engine.inside.transfer("lamp " * 400)


def test_an_adapter_without_snapshots_says_how_to_keep_them(inside):
    for look in (inside.snapshots, lambda: inside.transfer("What is it?")):
        with pytest.raises(InputError, match="--snapshots"):
            look()


@pytest.mark.parametrize("text", ["", "  \n", "x" * 20_001])
def test_an_empty_and_a_too_long_text_are_refused(inside, text):
    for picture in (inside.tokens, inside.guesses, inside.neighbours, inside.attention):
        with pytest.raises(InputError):
            picture(text)
    with pytest.raises(InputError):
        inside.strengths(text)


@pytest.mark.parametrize("text", ["a", "👩‍👧", "עברית ثم العربية", "lamp " * 4000])
def test_one_token_emoji_right_to_left_and_20000_characters(inside, text):
    assert len(text) <= 20_000
    assert inside.tokens(text).count and inside.guesses(text).places
    assert inside.neighbours(text).by_meaning and inside.attention(text).weights


def test_a_question_that_would_take_long_is_refused(inside):
    with pytest.raises(InputError, match="too long"):
        inside.strengths("lamp " * 400)


@pytest.mark.parametrize("token", [-1, 10**9])
def test_a_token_that_there_is_not_is_refused(inside, token):
    with pytest.raises(InputError):
        inside.guesses_after([1, token])


def test_a_base_of_which_two_cannot_be_held_says_so(inside, monkeypatch):
    monkeypatch.setattr("space.inside.available_memory", lambda: 1000)
    with pytest.raises(InputError, match="second copy") as refused:
        inside.precision_cost(TEXT)
    assert refused.value.key == "how_bits_large" and COPY_BYTES > 1e9


def test_an_encoder_decoder_shows_what_it_can_and_says_what_it_cannot(tmp_path):
    base = tiny_base(tmp_path / "base", "t5")
    pair = load_pair(str(base), str(adapter_of(tmp_path / "adapter", base)))
    inside = Inside(pair, None, Settings(catalogue=None), run_here)
    assert inside.tokens(TEXT).count and inside.neighbours(TEXT).words
    assert len(inside.strengths("What is it?")) == 5 and inside.adapter().layers
    assert inside.record(3) == "" and inside.shape
    with pytest.raises(InputError, match="encoder-decoder"):
        inside.guesses(TEXT)
    with pytest.raises(InputError, match="attention"):
        inside.attention(TEXT)
