"""Read a text as the base does: its tokens, and what it expects at each place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from space.model.explain import UNFINISHED, group_characters, spell_token
from space.model.pair import Pair
from space.model.prompt import text_ids

READ_TOKENS = 96  # of a text that a model reads; more would take over a second on two cores
SHOWN_TOKENS = 256  # of a text that is only tokenized
CHOICES = 5  # guesses at a place


@dataclass(frozen=True)
class Word:
    """A word of a text with the ids and the texts of its tokens."""

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]

    @property
    def bare(self) -> Word | None:
        """The word without its marks, or None where it is nothing else."""
        letters = "".join(letter for letter in self.text if letter.isalnum())
        if not letters:
            return None
        ids, pieces = [], []
        for token, piece in zip(self.ids, self.pieces, strict=True):
            if UNFINISHED in piece or any(letter.isalnum() for letter in piece):
                ids.append(token)
                pieces.append(piece)
        text = self.text[self.text.index(letters[0]) : self.text.rindex(letters[-1]) + 1]
        return Word(text, tuple(ids), tuple(pieces)) if ids else None


@dataclass(frozen=True)
class TokenReading:
    """A text in tokens.

    `ids` and `words` are those of its first SHOWN_TOKENS tokens, `count` is of all of it. A token
    that is a part of a character has the text U+FFFD.
    """

    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    words: tuple[Word, ...]
    count: int
    characters: int
    window: int
    vocabulary: int


@dataclass(frozen=True)
class Guess:
    """A token that the base expects, with its probability."""

    id: int
    text: str
    probability: float


@dataclass(frozen=True)
class Place:
    """One place of a text.

    It has the token there, its loss in nats, and the base's guesses, best first. After the text's
    last token comes one more place, without a token. The first place has neither loss nor guesses
    where the base begins a text without a token of its own.
    """

    id: int | None
    text: str
    loss: float | None
    guesses: tuple[Guess, ...]


@dataclass(frozen=True)
class Guesses:
    """What the base expects at each place of a text.

    `cut` tokens of the text were left out.
    """

    places: tuple[Place, ...]
    cut: int

    @property
    def ids(self) -> list[int]:
        """The text's token ids."""
        return [place.id for place in self.places if place.id is not None]

    @property
    def loss(self) -> float | None:
        """The mean loss in nats, over the tokens that have one."""
        losses = [place.loss for place in self.places if place.loss is not None]
        return sum(losses) / len(losses) if losses else None


def read_tokens(pair: Pair, text: str) -> TokenReading:
    """Split a text into the base's tokens, and these into words."""
    ids = text_ids(pair.tokenizer, text)
    shown = ids[:SHOWN_TOKENS]
    return TokenReading(
        ids=tuple(shown),
        pieces=tuple(spell_token(pair.tokenizer, token) for token in shown),
        words=tuple(_words(pair.tokenizer, shown)),
        count=len(ids),
        characters=len(text),
        window=int(pair.window),
        vocabulary=len(pair.tokenizer),
    )


def _words(tokenizer, ids: Sequence[int]) -> list[Word]:
    """Group tokens into words, which blanks divide."""
    groups: list[tuple[str, list[int]]] = []
    start = 0
    for count, text in group_characters(tokenizer, ids):
        run, start = list(ids[start : start + count]), start + count
        begins = not groups or text[:1].isspace() or groups[-1][0][-1:].isspace()
        if begins:
            groups.append((text, run))
        else:
            groups[-1] = groups[-1][0] + text, groups[-1][1] + run
    words = []
    for text, run in groups:
        if text.strip():
            pieces = tuple(spell_token(tokenizer, token) for token in run)
            words.append(Word(text.strip(), tuple(run), pieces))
    return words


def start_ids(tokenizer) -> list[int]:
    """Get the token with which the tokenizer begins texts, if any."""
    ids = tokenizer("")["input_ids"]
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and ids[:1] == [bos] else []


@torch.inference_mode()
def guess_tokens(pair: Pair, ids: Sequence[int], choices: int = CHOICES) -> Guesses:
    """Compute the base's loss and guesses at each place.

    The loss of a token is -ln p(token | the tokens before it). Only the first READ_TOKENS tokens
    are read.
    """
    kept, start = list(ids[:READ_TOKENS]), start_ids(pair.tokenizer)
    inputs = torch.tensor([[*start, *kept]], device=pair.device)
    with pair.lock:
        pair.rows.base = 1
        logits = pair.model(input_ids=inputs, use_cache=False).logits[0]
        logprobs = logits.float().log_softmax(-1)
        top = logprobs.topk(min(choices, logprobs.shape[-1]))
        values, best = top.values.exp().tolist(), top.indices.tolist()
    places = []
    for index in range(len(kept) + 1):
        before = index + len(start) - 1  # the position that expects this place's token
        guesses, loss = [], None
        token = kept[index] if index < len(kept) else None
        if before >= 0:
            for probability, guess in zip(values[before], best[before], strict=True):
                guesses.append(Guess(guess, spell_token(pair.tokenizer, guess), probability))
            if token is not None:
                loss = -float(logprobs[before, token])
        text = "" if token is None else spell_token(pair.tokenizer, token)
        places.append(Place(token, text, loss, tuple(guesses)))
    return Guesses(tuple(places), max(0, len(ids) - len(kept)))
