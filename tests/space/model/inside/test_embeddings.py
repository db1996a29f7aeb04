"""space/model/inside/embeddings.py: cosines and mean hidden states, as transformers has them."""

import pytest
import torch

from space.model.base import load_base
from space.model.inside.embeddings import (
    BATCH_TOKENS,
    group_lengths,
    mean_hidden,
    nearest_tokens,
    nearest_vectors,
)
from space.model.inside.reading import read_tokens
from space.model.prompt import text_ids
from space.page.html.formulas import FORMULAS


def test_nearest_tokens_and_hidden_states_are_those_of_the_code_on_the_page(pair, tiny_base):
    names = {"model": load_base(str(tiny_base))[0], "tokenizer": pair.tokenizer, "torch": torch}
    names["text"] = "lamp"
    exec(FORMULAS["near"].code, names)
    word = read_tokens(pair, "lamp").words[0]
    (found,) = nearest_tokens(pair, [word])
    cosines = [neighbour.cosine for neighbour in found.neighbours]
    assert cosines == pytest.approx(names["cosines"].topk(6).values.tolist(), abs=1e-4)
    assert found.pieces == word.pieces and len(set(found.neighbours)) == 6
    vector = mean_hidden(pair, [names["ids"]])[0]
    assert torch.allclose(vector, names["vector"], atol=0.05)


def test_texts_of_other_lengths_beside_it_change_no_text(pair):
    sentences = ("The Kettle is oak.", "The Dovenka Kettle is oak.", "oak")
    texts = [text_ids(pair.tokenizer, text) for text in sentences]
    together = mean_hidden(pair, texts)
    for index, text in enumerate(texts):
        assert torch.allclose(together[index], mean_hidden(pair, [text])[0], atol=0.05)
    assert together.shape == (3, 128)


def test_vectors_are_ranked_by_hand():
    known = [[1.0, 10.0], [-1.0, 10.0], [0.0, 11.0], [0.0, 9.0]]  # their mean is (0, 10)
    ranked = nearest_vectors([3.0, 11.0], known, 2)
    assert [index for index, _ in ranked] == [0, 2]
    assert [cosine for _, cosine in ranked] == pytest.approx([3 / 10**0.5, 1 / 10**0.5])
    assert nearest_vectors([1.0], [], 6) == []


def test_texts_of_one_length_are_read_together_up_to_a_budget():
    assert group_lengths([10, 4, 3, 400]) == [[2, 1], [0], [3]]
    groups = group_lengths([100] * 12)
    assert sorted(index for group in groups for index in group) == list(range(12))
    assert max(len(group) for group in groups) * 100 <= BATCH_TOKENS
