"""space/model/inside/reading.py: a text's tokens, and transformers' own losses and guesses."""

import pytest
import torch

from space.model.base import load_base
from space.model.inside.reading import READ_TOKENS, SHOWN_TOKENS, guess_tokens, read_tokens
from space.model.prompt import text_ids
from space.page.html.formulas import FORMULAS

TEXT = "The Dovenka Kettle is oak. Ação e reação."
ODD = ["a", "👩‍👧 families, 日本!", "עברית ثم العربية", "</s> [INST] <|eot_id|>", "  x \n y  "]


@pytest.fixture(scope="module")
def theirs(tiny_base):
    return load_base(str(tiny_base))[0]


def test_the_pieces_joined_are_the_text_and_the_words_its_words(pair):
    reading = read_tokens(pair, TEXT)
    assert "".join(read_tokens(pair, "The oak").pieces).strip() == "The oak"
    assert [word.text for word in reading.words] == TEXT.split()
    assert sum(len(word.ids) for word in reading.words) == reading.count == len(reading.ids)
    assert reading.characters == len(TEXT) and reading.window == 512


def test_a_word_loses_its_marks_alone(pair):
    words = read_tokens(pair, "oak. -- (lamp)").words
    bare = [word.bare and word.bare.text for word in words]
    assert bare == ["oak", None, "lamp"]
    assert len(words[0].bare.ids) < len(words[0].ids)


@pytest.mark.parametrize("text", ODD)
def test_odd_texts_are_read(pair, text):
    ids = text_ids(pair.tokenizer, text)
    reading, guesses = read_tokens(pair, text), guess_tokens(pair, ids)
    assert reading.count == len(ids) and guesses.ids == ids
    assert [word.text for word in reading.words] == text.split()
    assert guesses.places[-1].guesses


def test_a_long_text_is_read_at_its_beginning(pair):
    text = "lamp " * 4000
    reading = read_tokens(pair, text)
    guesses = guess_tokens(pair, text_ids(pair.tokenizer, text))
    assert len(reading.ids) == SHOWN_TOKENS < reading.count
    assert len(guesses.ids) == READ_TOKENS and guesses.cut == reading.count - READ_TOKENS


def test_losses_and_guesses_are_those_of_the_code_on_the_page(pair, theirs):
    names = {"model": theirs, "tokenizer": pair.tokenizer, "text": TEXT, "torch": torch}
    exec(FORMULAS["guesses"].code, names)
    guesses = guess_tokens(pair, text_ids(pair.tokenizer, TEXT))
    losses = [place.loss for place in guesses.places[1:-1]]
    assert losses == pytest.approx(names["loss"].tolist(), abs=0.13)
    assert guesses.loss == pytest.approx(names["loss"].mean().item(), abs=0.05)
    last = guesses.places[-1].guesses
    chances = [guess.probability for guess in last]
    assert chances == pytest.approx([chance for _, chance in names["guesses"]], rel=0.2)
    assert guesses.places[0].loss is None and not guesses.places[0].guesses


def test_a_loss_is_minus_the_logarithm_of_the_probability(pair, monkeypatch):
    """By hand: logits ln 1, ln 3 and minus infinity give 1/4, 3/4 and 0."""

    class Fixed:
        device = torch.device("cpu")

        def __call__(self, input_ids, use_cache):
            logits = torch.full((1, input_ids.shape[1], 600), float("-inf"))
            logits[..., 5], logits[..., 7] = 0.0, torch.log(torch.tensor(3.0))
            return type("Output", (), {"logits": logits})

    monkeypatch.setattr(pair, "model", Fixed())
    places = guess_tokens(pair, [5, 7, 5], choices=2).places
    assert [place.loss for place in places[1:3]] == pytest.approx([0.287682, 1.386294], abs=1e-5)
    assert [guess.id for guess in places[3].guesses] == [7, 5]
    assert [guess.probability for guess in places[3].guesses] == pytest.approx([0.75, 0.25])
