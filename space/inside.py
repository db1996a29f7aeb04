"""Look inside the loaded models, one method a picture, each bounded in time and length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from space.catalogue import Catalogue, keep_relevant
from space.errors import InputError
from space.evidence import check_facts
from space.model import (
    STRENGTHS,
    AdapterChange,
    Attention,
    DecoderOnly,
    Guesses,
    Pair,
    PrecisionCost,
    Prompt,
    Snapshots,
    TokenReading,
    WordNeighbours,
    answer_along_training,
    answer_at_strengths,
    available_memory,
    can_attend,
    check_text,
    compare_precision,
    decode_text,
    find_snapshots,
    fit_prompt,
    guess_tokens,
    load_base,
    mean_hidden,
    measure_adapter,
    nearest_tokens,
    nearest_vectors,
    read_attention,
    read_tokens,
    text_ids,
)
from space.settings import Settings

LOOK_SECONDS = 15  # of a GPU that is borrowed, with its start
TRANSFER_SECONDS = 8  # more, for the answers with an adapter's snapshots
QUESTION_TOKENS = 200  # of a prompt that is answered several times
ANSWER_TOKENS = 32
RECORDS = 480  # titles of the catalogue among which the nearest are looked for
NEW_RECORDS = 32  # of them that one look reads; the vectors of the others are kept
NEAREST = 6  # records
WORDS = 24  # of a text whose nearest tokens are looked for
# A second copy of a base in the other precision takes so many bytes at most, and memory for
# MEMORY_TIMES of it must be free.
COPY_BYTES, MEMORY_TIMES = 1_500_000_000, 3


@dataclass(frozen=True)
class NearRecord:
    """A record near to a text.

    `score` is a cosine, or the search's score from 0 to 1.
    """

    title: str
    score: float


@dataclass(frozen=True)
class Neighbours:
    """What is near to a text.

    `words` have the tokens near to each of its words. `by_meaning` are nearest by mean hidden state
    among `read` of `total` records, `by_words` those that the search finds.
    """

    words: tuple[WordNeighbours, ...]
    by_meaning: tuple[NearRecord, ...]
    by_words: tuple[NearRecord, ...]
    read: int
    total: int


@dataclass(frozen=True)
class StepAnswer:
    """An answer after so many steps of training: 0 is the base.

    `supported` of its `facts` are what the question's record says.
    """

    step: int
    text: str
    facts: int
    supported: int


@dataclass(frozen=True)
class Transfer:
    """Answers from the base's to the adapter's after `total` steps.

    `title` is that of the record which judges their facts, empty where the search finds none.
    """

    answers: tuple[StepAnswer, ...]
    total: int
    title: str


@dataclass(frozen=True)
class StrengthAnswer:
    """An answer with one strength of the adapter: 0 is the base, 1 the tuned model."""

    strength: float
    text: str


def gpu_seconds_to_look(picture: str, arguments: Sequence) -> int:
    """Estimate for how many seconds a picture needs a GPU."""
    return LOOK_SECONDS + (TRANSFER_SECONDS if picture == "transfer" else 0)


class Inside:
    """The numbers of the tab How it works, from one pair and its catalogue.

    Every text is checked as a question is, and raises InputError. A base of another kind raises
    InputError for what it cannot show.
    """

    def __init__(
        self,
        pair: Pair,
        catalogue: Catalogue | None,
        settings: Settings,
        on_gpu: Callable[..., Callable],
    ) -> None:
        self.pair, self.catalogue, self.settings = pair, catalogue, settings
        self._compute_on_gpu = on_gpu(self._compute, duration=gpu_seconds_to_look)
        self._vectors: dict[str, list[float]] = {}  # mean hidden states by title

    def tokens(self, text: str) -> TokenReading:
        """Split a text into tokens and words."""
        return read_tokens(self.pair, self._check(text))

    def guesses(self, text: str) -> Guesses:
        """Compute what the base expects at each place of a text."""
        return self.guesses_after(text_ids(self.pair.tokenizer, self._check(text)))

    def guesses_after(self, ids: Sequence[int]) -> Guesses:
        """Compute the same for token ids."""
        if not isinstance(self.pair.family, DecoderOnly):
            raise InputError("how_encoder_guesses")
        if not all(0 <= token < len(self.pair.tokenizer) for token in ids):
            raise InputError("how_gone")
        return self._compute_on_gpu("guesses", (list(ids),))

    def neighbours(self, text: str) -> Neighbours:
        """Find tokens near to a text's words, and records near to it."""
        text = self._check(text)
        reading = read_tokens(self.pair, text)
        words, seen = [], set()
        for word in reading.words:
            if word.bare and word.bare.text not in seen:
                seen.add(word.bare.text)
                words.append(word.bare)
        hits = self.catalogue.search(text, NEAREST) if self.catalogue else []
        by_words = [NearRecord(hit["title"], hit["score"]) for hit in hits]
        wanted = [title for title in self._titles if title not in self._vectors][:NEW_RECORDS]
        new = {title: text_ids(self.pair.tokenizer, title) for title in wanted}
        ids = list(reading.ids)
        found, vector, vectors = self._compute_on_gpu("near", (words[:WORDS], ids, new))
        self._vectors.update(vectors)
        titles = list(self._vectors)
        by_meaning = []
        for index, cosine in nearest_vectors(vector, list(self._vectors.values()), NEAREST):
            by_meaning.append(NearRecord(titles[index], cosine))
        return Neighbours(
            tuple(found),
            tuple(by_meaning),
            tuple(by_words),
            len(self._vectors),
            len(self.catalogue) if self.catalogue else 0,
        )

    def attention(self, text: str, layer: int | None = None, head: int | None = None) -> Attention:
        """Compute a head's attention over a text, by default a named head's."""
        ids = text_ids(self.pair.tokenizer, self._check(text))
        if not can_attend(self.pair):
            raise InputError("how_no_attention")
        return self._compute_on_gpu("attention", (ids, layer, head))

    def adapter(self) -> AdapterChange:
        """Compute how much the adapter changed each layer."""
        return self._adapter

    def strengths(self, question: str) -> list[StrengthAnswer]:
        """Answer a question from memory with each strength of the adapter."""
        prompt = self._prompt(self._check(question, "question"))
        answers = self._compute_on_gpu("strengths", (prompt.ids, ANSWER_TOKENS))
        found = []
        for strength, ids in zip(STRENGTHS, answers, strict=True):
            found.append(StrengthAnswer(strength, decode_text(self.pair, ids)))
        return found

    def snapshots(self) -> Snapshots:
        """Find the snapshots of its training that the adapter brought.

        Raises InputError where there are none.
        """
        if not self._snapshots.files:
            raise InputError("how_transfer_none")
        return self._snapshots

    def transfer(self, question: str) -> Transfer:
        """Answer a question from memory as before, during and after training.

        Raises InputError where the adapter brought no snapshots.
        """
        question = self._check(question, "question")
        prompt, snapshots = self._prompt(question), self.snapshots()
        answers = self._compute_on_gpu("transfer", (snapshots, prompt.ids, ANSWER_TOKENS))
        hits = self.catalogue.search(question, 1) if self.catalogue else []
        records = keep_relevant(hits)
        found = []
        for step, ids in answers.items():
            text = decode_text(self.pair, ids)
            checked = check_facts(text, records)
            found.append(StepAnswer(step, text, len(checked.facts), checked.supported))
        title = records[0]["title"] if records else ""
        return Transfer(tuple(found), snapshots.total, title)

    def precision_cost(self, text: str) -> PrecisionCost:
        """Compare the base's logits in 4 bits and in bf16.

        Raises InputError where both cannot be held.
        """
        ids = text_ids(self.pair.tokenizer, self._check(text))
        if not isinstance(self.pair.family, DecoderOnly):
            raise InputError("how_encoder_guesses")
        size = 2 * self._adapter.total  # bytes in bf16
        fits = size <= COPY_BYTES and size * MEMORY_TIMES <= available_memory()
        if self.pair.device.type != "cpu" or not fits:
            raise InputError("how_bits_large", size=round(size / 1e6))
        other = "bf16" if self.pair.precision == "nf4" else "nf4"
        model, _ = load_base(self.settings.base_model, self.settings.base_revision, other)
        return compare_precision(self.pair, model, other, ids)

    @property
    def shape(self) -> tuple[int, int]:
        """How many layers and heads the base has."""
        config = self.pair.model.config
        return config.num_hidden_layers, config.num_attention_heads

    def record(self, number: int) -> str:
        """Get a record's text by any number, or nothing without a catalogue."""
        if not self.catalogue or not self._titles:
            return ""
        title = self._titles[number % len(self._titles)]
        hits = self.catalogue.search(title, 1)
        return hits[0]["content"][: self.settings.max_input_chars] if hits else title

    def _check(self, text: str, what: str = "text") -> str:
        return check_text(text, self.settings.max_input_chars, what)

    def _prompt(self, question: str) -> Prompt:
        """Make the prompt of a question that several models answer from memory."""
        room = min(self.pair.window.prompt_limit(ANSWER_TOKENS), QUESTION_TOKENS)
        template = self.pair.prompt_template
        try:
            return fit_prompt(self.pair.tokenizer, template, "describe", question, room=room)
        except InputError as error:
            raise InputError("how_question_long", **error.values) from error

    @cached_property
    def _snapshots(self) -> Snapshots:
        return find_snapshots(self.pair)

    @cached_property
    def _titles(self) -> list[str]:
        found = self.catalogue.titles(RECORDS) if self.catalogue else []
        return list(dict.fromkeys(found))

    @cached_property
    def _adapter(self) -> AdapterChange:
        return self._compute_on_gpu("adapter", ())

    # On ZeroGPU this runs in a forked process: its arguments and its result are copied.

    def _compute(self, picture: str, arguments: Sequence):
        if picture == "guesses":
            return guess_tokens(self.pair, *arguments)
        if picture == "attention":
            return read_attention(self.pair, *arguments)
        if picture == "adapter":
            return measure_adapter(self.pair)
        if picture == "strengths":
            return answer_at_strengths(self.pair, *arguments)
        if picture == "transfer":
            return answer_along_training(self.pair, *arguments)
        words, ids, titles = arguments
        vectors = mean_hidden(self.pair, [ids, *titles.values()]).tolist()
        by_title = dict(zip(titles, vectors[1:], strict=True))
        return nearest_tokens(self.pair, words), vectors[0], by_title
