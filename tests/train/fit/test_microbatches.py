"""Micro-batches: a bounded number of tokens at a time, and the step of one large batch."""

import pytest
import torch
from datasets import Dataset

from space.model.base import load_base, load_tokenizer
from tests.conftest import tiny_model
from tests.encoder_decoder import tiny_base as tiny_encoder_decoder
from train.config import FitConfig
from train.fit import trainer as trainers
from train.fit.adapter import add_lora
from train.fit.microbatches import CPU_TOKENS, GPU_TOKENS, micro_batch_tokens, split_batch
from train.fit.trainer import build_trainer
from train.run import Run

LENGTHS = [(90, 10), (15, 30), (60, 2), (20, 20), (33, 33)]  # prompt, answer


def rows():
    generator = torch.Generator().manual_seed(2)
    made = []
    for prompt, answer in LENGTHS:
        ids = torch.randint(5, 250, (prompt + answer,), generator=generator).tolist()
        labels = [-100] * prompt + ids[prompt:]
        made.append({"input_ids": ids, "labels": labels, "length": len(ids)})
    return made


@pytest.fixture(params=["llama", "t5", "bart"])
def made(request, tmp_path, tokenizer):
    """(trainer, batch) of a base with trained B matrices, in bf16."""
    kind = request.param
    folder = tmp_path / "base"
    base = tiny_model(folder, tokenizer) if kind == "llama" else tiny_encoder_decoder(folder, kind)
    config = FitConfig(base=str(base), rank=4, batch_size=5, precision="bf16", learning_rate=1e-3)
    model, identity = load_base(config.base, precision="bf16", training=True)
    model = add_lora(model.float(), identity, config)
    torch.manual_seed(3)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    trainer = build_trainer(
        Run(tmp_path), model, Dataset.from_list(rows()), load_tokenizer(config.base), config
    )
    # T5 and BART have dropout of their own, which draws otherwise for another split.
    model.eval()
    model.train = lambda mode=True: model
    trainer.create_optimizer()
    return trainer, trainer.data_collator([without_length(row) for row in rows()])


def without_length(row):
    return {name: value for name, value in row.items() if name != "length"}


def step(trainer, batch, tokens, monkeypatch, items):
    """Run one step: (loss, gradients, shapes of its forward passes)."""
    shapes = []
    compute = type(trainer).compute_loss

    def watching(self, model, inputs, **kwargs):
        shapes.append(tuple(inputs["input_ids"].shape))
        return compute(self, model, inputs, **kwargs)

    monkeypatch.setattr(type(trainer), "compute_loss", watching)
    monkeypatch.setattr(trainers, "micro_batch_tokens", lambda device: tokens)
    trainer.model.zero_grad()
    loss = trainer.training_step(trainer.model, dict(batch), items)
    monkeypatch.undo()
    return (
        loss,
        {n: p.grad.clone() for n, p in trainer.model.named_parameters() if "lora_" in n},
        (shapes),
    )


@pytest.mark.parametrize("counted", [True, False])
def test_micro_batches_make_the_step_of_one_batch(made, monkeypatch, counted):
    trainer, batch = made
    trainer.current_gradient_accumulation_steps = 1
    items = (batch["labels"] >= 0).sum() if counted else None
    loss, gradients, shapes = step(trainer, batch, 10**6, monkeypatch, items)
    seen = trainer.tokens_seen
    split_loss, split_gradients, split_shapes = step(trainer, batch, 100, monkeypatch, items)
    assert len(shapes) == 1 and len(split_shapes) >= 2
    assert all(rows * length <= 100 for rows, length in split_shapes)
    assert trainer.tokens_seen == 2 * seen
    torch.testing.assert_close(split_loss, loss, rtol=1e-5, atol=1e-6)
    for name, gradient in gradients.items():
        assert (split_gradients[name] - gradient).norm() <= 1e-4 * gradient.norm(), name
    assert any(gradient.norm() > 0 for gradient in gradients.values())


def test_a_batch_is_split_into_all_its_rows_without_padding():
    ids = torch.tensor([[1, 2, 3, 4], [5, 0, 0, 0], [6, 7, 0, 0], [8, 0, 0, 0]])
    batch = {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": ids}
    parts = [part["input_ids"].tolist() for part in split_batch(batch, 4)]
    assert parts == [[[1, 2, 3, 4]], [[5, 0], [6, 7]], [[8]]]
    assert [part["input_ids"].tolist() for part in split_batch(batch, 3)] == [
        [[1, 2, 3, 4]],  # a row is never cut
        [[6, 7]],
        [[5], [8]],
    ]
    (untouched,) = split_batch(batch, 16)
    assert untouched["input_ids"] is ids


def test_padding_on_the_left_is_removed_too():
    ids = torch.tensor([[1, 2, 3], [0, 0, 4], [0, 5, 6]])
    batch = {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": ids}
    parts = [part["input_ids"].tolist() for part in split_batch(batch, 4)]
    assert parts == [[[1, 2, 3]], [[0, 4], [5, 6]]]


def test_the_bound_is_the_devices_and_not_the_free_memorys():
    assert micro_batch_tokens(torch.device("cpu")) == CPU_TOKENS
    assert micro_batch_tokens(torch.device("cuda", 0)) == GPU_TOKENS
