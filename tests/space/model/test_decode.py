"""space/model/decode.py: each answer equals that of its model alone."""

import itertools
import threading

import pytest
import torch
from peft import PeftModel
from transformers import DynamicCache, MistralConfig

from space.model.base import load_base
from space.model.decode import (
    SPARE,
    PreallocatedLayer,
    complete,
    decode_text,
    preallocated_cache,
    stream_answers,
    stream_tokens,
)
from space.model.prompt import prompt_ids
from space.model.prompt_template import PromptTemplate

NEW = 24


@pytest.fixture(scope="module")
def prompts(pair):
    return [
        prompt_ids(pair.tokenizer, PromptTemplate(), "describe", text)
        for text in (
            "What is the Dovenka Kettle?",
            "Who made this?",
            "O que é Rede Bamu? Fale mais, por favor.",
        )
    ]


def alone(model, prompt, **options):
    """What transformers' own generate says, greedily, without the prompt and its end."""
    out = model.generate(
        input_ids=torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=NEW,
        do_sample=False,
        **options,
    )
    return out[0, len(prompt) :].tolist()


def rows_of(pair, prompts, base_rows, **options):
    rows = [[] for _ in prompts]
    for tokens in stream_tokens(pair, prompts, base_rows, NEW, **options):
        for row, token in zip(rows, tokens, strict=True):
            if token is not None:
                row.append(token)
    return rows


def assert_equal_but_for_a_near_tie(pair, prompt, single, answer, base_rows):
    at = next(
        (
            place
            for place, (one, other) in enumerate(zip(single, answer, strict=False))
            if one != other
        ),
        None,
    )
    if at is not None:
        pair.rows.base = base_rows
        ids = torch.tensor([[*prompt, *single[:at]]])
        with torch.no_grad():
            logits = pair.model(input_ids=ids).logits[0, -1].float()
        gap = (logits[single[at]] - logits[answer[at]]).abs()
        assert gap <= 2**-6 * logits.max().abs() and at > 5


@pytest.fixture(scope="module")
def untouched(tiny_base):
    return load_base(str(tiny_base))[0]


def test_each_row_equals_its_model_alone_token_for_token(
    pair, prompts, untouched, tiny_base, adapter
):
    tuned = PeftModel.from_pretrained(load_base(str(tiny_base))[0], str(adapter)).eval()
    for prompt in prompts:
        base_row, tuned_row = rows_of(pair, [prompt, prompt], 1)
        base_alone, tuned_alone = alone(untouched, prompt), alone(tuned, prompt)
        assert base_row == base_alone[: len(base_row)] and len(base_row) >= len(base_alone) - 1
        assert tuned_row == tuned_alone[: len(tuned_row)] and len(tuned_row) >= len(tuned_alone) - 1
        assert base_row != tuned_row


def test_different_prompts_in_one_batch_are_answered_as_if_alone(pair, prompts):
    """Equal, except for near-ties in bf16: a padded row's attention takes another path."""
    together = rows_of(pair, [prompts[0], prompts[2]], 1)
    for answer, prompt, base_rows in zip(together, (prompts[0], prompts[2]), (1, 0), strict=True):
        single = rows_of(pair, [prompt], base_rows)[0]
        assert_equal_but_for_a_near_tie(pair, prompt, single, answer, base_rows)


def test_each_answer_stops_at_its_own_end(pair, prompts, monkeypatch):
    free_base, free_tuned = rows_of(pair, [prompts[0]] * 2, 1)
    end = free_tuned[3]
    monkeypatch.setattr(type(pair), "stop_ids", frozenset({end}))
    base, tuned = rows_of(pair, [prompts[0]] * 2, 1)
    assert tuned == free_tuned[: free_tuned.index(end)]
    assert base == (free_base[: free_base.index(end)] if end in free_base else free_base)


def test_both_texts_grow_in_step(pair, prompts):
    seen = []
    for base, tuned in stream_answers(pair, prompts[0], prompts[0], NEW):
        seen.append((decode_text(pair, base), decode_text(pair, tuned)))
    assert len(seen) > 3
    for (base, tuned), (later_base, later_tuned) in itertools.pairwise(seen):
        assert len(later_base) >= len(base) and len(later_tuned) >= len(tuned)
    assert seen[-1][0] != seen[-1][1]


def test_closing_frees_the_model_within_a_token(pair, prompts, monkeypatch):
    import space.model.decode

    steps = []
    forward = space.model.decode._forward
    monkeypatch.setattr(
        space.model.decode, "_forward", lambda *args: steps.append(1) or forward(*args)
    )
    answers = stream_answers(pair, prompts[0], prompts[0], NEW)
    next(answers), next(answers)
    assert pair.lock.locked()
    answers.close()
    assert not pair.lock.locked() and len(steps) == 2


def test_an_error_in_the_model_reaches_the_caller_and_the_next_question_is_answered(
    pair, prompts, monkeypatch
):
    import space.model.decode

    forward = space.model.decode._forward

    def failing(*args):
        failing.calls += 1
        if failing.calls == 2:
            raise RuntimeError("the device is gone")
        return forward(*args)

    failing.calls = 0
    monkeypatch.setattr(space.model.decode, "_forward", failing)
    with pytest.raises(RuntimeError, match="the device is gone"):
        list(stream_answers(pair, prompts[0], prompts[0], NEW))
    monkeypatch.undo()
    assert not pair.lock.locked()
    assert rows_of(pair, [prompts[0]] * 2, 1)[0]


def test_two_callers_take_turns_and_get_their_own_answers(pair, prompts):
    expected = [list(stream_answers(pair, p, p, NEW))[-1] for p in prompts[:2]]
    got = [None, None]

    def ask(place):
        got[place] = list(stream_answers(pair, prompts[place], prompts[place], NEW))[-1]

    threads = [threading.Thread(target=ask, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


def test_a_generation_may_be_driven_from_changing_threads(pair, prompts):
    """A web server runs each step in any free thread; none may turn gradients on."""
    answers, got = stream_answers(pair, prompts[0], prompts[0], 4), []
    for _ in range(4):
        thread = threading.Thread(target=lambda: got.append(next(answers, None)))
        thread.start()
        thread.join()
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    answers.close()
    assert got[-1] == list(stream_answers(pair, prompts[0], prompts[0], 4))[-1]


def test_sampling_is_repeatable_and_both_models_draw_the_same_numbers(pair, prompts):
    first = rows_of(pair, [prompts[0]] * 2, 1, temperature=1.0, seed=5)
    assert first == rows_of(pair, [prompts[0]] * 2, 1, temperature=1.0, seed=5)
    assert first != rows_of(pair, [prompts[0]] * 2, 1, temperature=1.0, seed=6)
    # Two rows of one and the same model, one on each side, draw the same words.
    pair_of_base = rows_of(pair, [prompts[0]], 1, temperature=1.0, seed=5)[0]
    assert first[0] == pair_of_base


def test_many_prompts_of_one_model_at_once(pair, prompts):
    """Answers are equal at any batch size, except for near-ties in bf16."""
    together = complete(pair, prompts, NEW, tuned=True)
    for prompt, answer in zip(prompts, together, strict=True):
        single = complete(pair, [prompt], NEW, tuned=True)[0]
        assert_equal_but_for_a_near_tie(pair, prompt, single, answer, 0)
    assert together != complete(pair, prompts, NEW, tuned=False)


def test_the_cache_holds_what_transformers_own_holds_and_copies_only_when_it_is_full(pair):
    ours_cache, plain = (
        preallocated_cache(pair.model.config),
        DynamicCache(config=pair.model.config),
    )
    places = set()
    for length in (7, *[1] * (2 * SPARE)):
        keys, values = torch.randn(2, 2, length, 32), torch.randn(2, 2, length, 32)
        ours, theirs = ours_cache.update(keys, values, 0), plain.update(keys, values, 0)
        assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))
        assert ours_cache.get_seq_length() == plain.get_seq_length()
        places.add(ours[0].data_ptr())
    assert len(places) <= 3


def test_a_sliding_window_keeps_its_own_cache(pair):
    config = MistralConfig(
        **{**pair.model.config.to_dict(), "sliding_window": 16, "model_type": "mistral"}
    )
    assert all(type(layer) is not PreallocatedLayer for layer in preallocated_cache(config).layers)


def test_the_vocabulary_is_never_copied_for_a_prompts_last_position(pair, prompts):
    shapes = []
    hook = pair.model.get_output_embeddings().register_forward_hook(
        lambda _, inputs, out: shapes.append(inputs[0].stride())
    )
    rows_of(pair, [prompts[2]] * 2, 1)
    hook.remove()
    size = pair.model.config.hidden_size
    assert set(shapes) == {(size, size, 1)}
