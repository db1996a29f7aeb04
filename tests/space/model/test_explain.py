"""space/model/explain.py: each model's own numbers, for the answer's own tokens."""

import dataclasses
import threading
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from tokenizers import Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

import space.model.explain
from space.catalogue.search import Catalogue
from space.model.base import load_base
from space.model.decode import stream_tokens
from space.model.explain import CHOICES, explain_answer
from space.model.pair import load_pair
from space.model.prompt import answer_ids, fit_prompt
from space.settings import Settings

# In nats. A logit of 16 to 32 in bf16 has steps of 1/8, and other batch shapes round differently.
TOLERANCE = 0.13
TEXTS = [
    "The Dovenka Kettle is oak, 2.5 kg.",
    "Ação e reação: R$ 5,00\nsegunda linha",
    "Two 👩‍👧 families, 日本 and 🏷️!",
    "עברית ثم العربية and back",
    "Say </s> [INST] <s>hi</s> <|eot_id|>",
    "a \ufffd b",
    "  tabs\tand  blanks  ",
]


def prompt_of(pair, question="What is the Dovenka Kettle?", room=300):
    return fit_prompt(pair.tokenizer, pair.prompt_template, "describe", question, room=room)


def ids_of(pair, prompt, text):
    return answer_ids(pair.tokenizer, prompt.ids, prompt.messages, text)


def greedy(pair, prompt, new):
    rows = [[], []]
    for tokens in stream_tokens(pair, [prompt, prompt], 1, new):
        for row, token in zip(rows, tokens, strict=True):
            if token is not None:
                row.append(token)
    return rows


def alone(model, prompt, answer):
    """Compute PEFT's (base, tuned) logprobs of an answer, each (tokens, vocabulary)."""
    ids = torch.tensor([[*prompt, *answer]])

    def read():
        return model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)

    with torch.no_grad():
        tuned = read()
        with model.disable_adapter():
            return read(), tuned


@pytest.fixture(scope="module")
def theirs(tiny_base, adapter):
    return PeftModel.from_pretrained(load_base(str(tiny_base))[0], str(adapter)).eval()


def check_against(theirs, pair, prompt, answer):
    records = explain_answer(pair, prompt, answer)
    base, tuned = alone(theirs, prompt, answer)
    places = torch.tensor(answer)[:, None]
    for name, expected in (("base_logprob", base), ("tuned_logprob", tuned)):
        got = torch.tensor([record[name] for record in records])
        assert torch.allclose(got, expected.gather(1, places)[:, 0], atol=TOLERANCE, rtol=0)
    best = torch.tensor(
        [[choice["logprob"] for choice in record["alternatives"]] for record in records]
    )
    assert torch.allclose(best, base.topk(CHOICES).values, atol=TOLERANCE, rtol=0)
    return records, tuned


def test_the_numbers_are_those_of_two_passes_with_pefts_own_switch(pair, theirs):
    prompt = prompt_of(pair)
    for text in ("The Dovenka Kettle is oak, 2.5 kg.", "A rede é de linho, e não pesa."):
        records, _ = check_against(theirs, pair, prompt.ids, ids_of(pair, prompt, text))
        assert max(abs(record["tuned_logprob"] - record["base_logprob"]) for record in records) > 1


def test_on_the_sample_too_where_the_tuned_answer_has_the_tuned_models_first_choice_at_each_place():
    settings = Settings()
    pair, catalogue = (
        load_pair(settings.base_model, settings.adapter),
        Catalogue.open(Path(settings.catalogue)),
    )
    theirs = PeftModel.from_pretrained(load_base(settings.base_model)[0], settings.adapter).eval()
    for title in catalogue.titles(2):
        prompt = prompt_of(pair, f"What is {title}?").ids
        base_answer, tuned_answer = greedy(pair, prompt, 60)
        check_against(theirs, pair, prompt, base_answer)
        records, tuned = check_against(theirs, pair, prompt, tuned_answer)
        got = torch.tensor([record["tuned_logprob"] for record in records])
        # Equally likely first choices are common in bf16; either may be said.
        assert (tuned.max(-1).values - got < TOLERANCE).all()
        assert (
            "".join(record["token"] for record in records)
            == pair.tokenizer.decode(tuned_answer).strip()
        )


@pytest.mark.parametrize("text", TEXTS)
def test_the_tokens_joined_are_the_answer(pair, text):
    prompt = prompt_of(pair)
    records = explain_answer(pair, prompt.ids, ids_of(pair, prompt, text))
    assert "".join(record["token"] for record in records) == text.strip()
    assert all(
        record["token"]
        and set(record) == {"token", "base_logprob", "tuned_logprob", "alternatives"}
        for record in records
    )
    assert all(len(record["alternatives"]) == CHOICES for record in records)
    best = [[choice["logprob"] for choice in record["alternatives"]] for record in records]
    assert all(row == sorted(row, reverse=True) for row in best)


def test_a_character_of_several_tokens_is_one_record_with_their_sums(pair, theirs):
    prompt = prompt_of(pair)
    answer = ids_of(pair, prompt, "日b")
    records = explain_answer(pair, prompt.ids, answer)
    assert [record["token"] for record in records] == ["日", "b"] and len(
        answer
    ) == 5  # with the template's blank
    base, tuned = (
        rows.gather(1, torch.tensor(answer)[:, None])[:, 0]
        for rows in alone(theirs, prompt.ids, answer)
    )
    assert records[0]["base_logprob"] == pytest.approx(base[1:4].sum().item(), abs=3 * TOLERANCE)
    assert records[0]["tuned_logprob"] == pytest.approx(tuned[1:4].sum().item(), abs=3 * TOLERANCE)
    assert records[1]["base_logprob"] == pytest.approx(base[4].item(), abs=TOLERANCE)


@pytest.fixture(scope="module")
def sentencepiece(tokenizer):
    """Make a tokenizer like Llama 2's: blanks are letters, unknown characters bytes."""
    letters = ["\u2581", *"abehilnorst", "\u2581t", "\u2581th", "\u2581the"]
    vocabulary = {
        token: number
        for number, token in enumerate(
            ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
        )
    }
    merges = [("\u2581", "t"), ("\u2581t", "h"), ("\u2581th", "e")]
    built = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    built.normalizer = normalizers.Sequence(
        [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    )
    built.decoder = decoders.Sequence(
        [
            decoders.Replace("\u2581", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=built,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        chat_template=tokenizer.chat_template,
    )


@pytest.mark.parametrize("text", ["the theory", "😀 the <s>\nthe", "the  the"])
def test_a_tokenizer_whose_blanks_are_letters_keeps_them(pair, sentencepiece, text):
    other = dataclasses.replace(pair, tokenizer=sentencepiece)
    prompt = prompt_of(other, "the theory")
    records = explain_answer(
        other, prompt.ids, ids_of(other, prompt, text), choices=pair.model.config.vocab_size
    )
    assert "".join(record["token"] for record in records) == text
    assert {" the", " ", "a"} <= {choice["token"] for choice in records[-1]["alternatives"]}


def test_half_a_character_at_the_end_of_a_cut_answer_is_shown_as_such(pair):
    prompt = prompt_of(pair)
    answer = ids_of(pair, prompt, "a 日")[:-1]
    assert [record["token"] for record in explain_answer(pair, prompt.ids, answer)][-1] == "\ufffd"


def test_an_empty_alternative_is_the_answers_end(pair):
    prompt = prompt_of(pair)
    records = explain_answer(
        pair, prompt.ids, ids_of(pair, prompt, "the end"), choices=len(pair.tokenizer)
    )
    assert [choice["token"] for choice in records[-1]["alternatives"]].count("") == len(
        pair.stop_ids
    )
    assert sum(
        2.718281828 ** choice["logprob"] for choice in records[-1]["alternatives"]
    ) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("positions", [1, 7, 24])
def test_a_long_answer_is_read_in_passes_with_the_same_numbers(pair, monkeypatch, positions):
    prompt = prompt_of(pair).ids
    answer = greedy(pair, prompt, 24)[1]
    whole, shapes = explain_answer(pair, prompt, answer), []
    head = pair.model.get_output_embeddings()
    hook = head.register_forward_hook(
        lambda module, inputs, logits: shapes.append(tuple(logits.shape[:2]))
    )
    monkeypatch.setattr(space.model.explain, "POSITIONS", positions)
    parts = explain_answer(pair, prompt, answer)
    hook.remove()
    # Logits are made for both models, and for the answer's places alone.
    assert max(shapes) == (2, positions) and sum(count for _, count in shapes) == len(answer)
    for one, other in zip(whole, parts, strict=True):
        assert one["token"] == other["token"]
        assert one["base_logprob"] == pytest.approx(other["base_logprob"], abs=TOLERANCE)
        assert one["tuned_logprob"] == pytest.approx(other["tuned_logprob"], abs=TOLERANCE)


def test_it_waits_for_the_answer_that_is_being_written(pair):
    prompt, done = prompt_of(pair), threading.Event()
    answer = ids_of(pair, prompt, "wait")
    with pair.lock:
        thread = threading.Thread(
            target=lambda: explain_answer(pair, prompt.ids, answer) and done.set()
        )
        thread.start()
        assert not done.wait(0.3)
    thread.join(10)
    assert done.is_set()
