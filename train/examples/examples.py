"""Records to task examples, to token ids and labels; the sets that are scored, and which record is on which side."""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from space.catalogue import Catalogue, detect_language, keep_relevant, normalise
from space.errors import InputError
from space.model import Prompt, PromptTemplate, Window, example_ids, fit_prompt, split_row
from train.config import FitConfig
from train.examples.contamination import fresh
from train.examples.follow_ups import follow_up
from train.examples.summaries import lead, summed_up
from train.examples.unanswerable import absent_ones, made_up
from train.prepare import SplitRecord, SummaryPair

NEAR_MISSES, NOTHING = (
    0.1,
    0.25,
)  # of the questions for what is absent: with any other record, and with none


@dataclass(frozen=True)
class Example:
    """One prompt and the answer it should get; `context` holds the records in the prompt, `sources` their uids.

    `uid` is the record's that is asked about, `title` what it is called there; of a made-up title the uid is no record's.
    """

    task: str
    text: str
    answer: str
    uid: str
    title: str = ""
    context: tuple[dict, ...] = ()
    history: tuple[dict, ...] = ()

    @property
    def sources(self) -> list[str]:
        """The uids of the records in the prompt, in its order."""
        return [record["uid"] for record in self.context]


class Examples:
    """Makes the examples of one run: the same records and the same config always give the same examples."""

    def __init__(
        self,
        records: Sequence[SplitRecord],
        catalogue: Catalogue,
        tokenizer,
        prompt_template: PromptTemplate,
        config: FitConfig,
        window: Window | int,
        pairs: Mapping[str, list[SummaryPair]] | None = None,
    ) -> None:
        self.catalogue, self.tokenizer, self.prompt_template, self.config = (
            catalogue,
            tokenizer,
            prompt_template,
            config,
        )
        self.length = (window if isinstance(window, Window) else Window(window)).at_most(
            config.max_length
        )
        self.tokens = min(config.answer_tokens, self.length // 2)
        # A record's place in this order depends on nothing but its uid: --limit and --learn cut it anywhere.
        ordered = sorted(
            records, key=lambda record: hashlib.sha256(record["uid"].encode()).digest()
        )
        self.train = [record for record in ordered if record["split"] == "train"]
        self.unseen = [record for record in ordered if record["split"] == "unseen"]
        self.learned = self.train[: config.learn]
        # What is not learned by heart teaches to read: its facts can only come from the prompt.
        self.read = self.train[len(self.learned) :] or self.train
        self._held_back = {record["uid"] for record in self.unseen}
        self._sets: dict[
            int, dict[str, list[Example]]
        ] = {}  # every column is scored on the same: they are searched for once
        # What is summed up: texts with their summaries, as load_pairs() gives them, or else the contents themselves.
        self.pairs = pairs or {"train": (), "unseen": ()}
        self.summed_up = self.pairs["train"] if pairs else self.read

    @functools.cached_property
    def scored(self) -> list[dict]:
        """The unseen records with a content that nothing on the training side has."""
        return fresh(self.unseen, self.train)

    @functools.cached_property
    def held_out(self) -> list[dict]:
        """The texts whose summaries are scored: of a set or a teacher where there is one, see `pairs`, else of the contents."""
        return (
            self.scored
            if self.summed_up is self.read
            else fresh(self.pairs["unseen"], self.trained())
        )

    def made_up(self, split: str, count: int) -> list[tuple[str, str]]:
        """Returns up to `count` (title, language) that the catalogue lacks, made of one side; for scoring whatever the seed."""
        donors = (self.train if split == "train" else self.unseen) or self.train
        return list(
            itertools.islice(
                made_up(donors, self._titles, split, self.config.seed if split == "train" else 1),
                count,
            )
        )

    @functools.cached_property
    def _titles(self) -> set[str]:
        return {normalise(record["title"]) for record in (*self.train, *self.unseen)}

    # --- one example a record ---

    def describe(self, record: dict, phrasing: int) -> Example:
        """A question about a title, answered from memory; `phrasing` counts through the wording's questions."""
        return Example(
            "describe",
            self._question(record, phrasing),
            self.told(record),
            record["uid"],
            record["title"],
        )

    def answer(
        self, record: dict, phrasing: int, shuffle: random.Random | None = None
    ) -> Example | None:
        """The question with the records found for it; the answer cites its own. None where that is not among them.

        `shuffle` puts the record anywhere among the others, and draws how many others there are.
        """
        question = self._question(record, phrasing)
        if shuffle:
            # The right record is cut last, whatever place it takes afterwards.
            count = shuffle.choice((0, shuffle.randrange(self.config.context)))
            found = [record, *self._others(question, record["uid"], count)]
        else:
            found = keep_relevant(self.catalogue.search(question, self.config.context))
        context = self._shown(question, found, shuffle) or ()
        position = next(
            (place for place, other in enumerate(context, 1) if other["uid"] == record["uid"]), None
        )
        if position is None:
            return None
        # A record may have been cut to fit: what is not in the prompt cannot be read from it.
        cited = self.told(context[position - 1]) + self.prompt_template.citation.format(
            position=position
        )
        return Example("answer", question, cited, record["uid"], record["title"], tuple(context))

    def absent(
        self, title: str, tongue: str, uid: str, phrasing: int, shuffle: random.Random | None = None
    ) -> Example | None:
        """The question for a title that is not among its records, or that has none; the answer says that it is absent.

        None where the question alone is too long.

        The records are those that the search thinks worth reading, often none; `shuffle` leaves out the one that goes by
        `uid`, and gives some questions nothing, and some the near misses that serving would leave out.
        """
        asked = self.prompt_template.questions[tongue]
        question = asked[phrasing % len(asked)].format(title=title)
        if shuffle:
            draw = shuffle.random()
            found = self._others(question, uid, 0 if draw > 1 - NOTHING else self.config.context)
            found = (
                found[: shuffle.randint(1, self.config.context)]
                if draw < NEAR_MISSES
                else keep_relevant(found)
            )
        else:
            found = keep_relevant(self.catalogue.search(question, self.config.context))
        context = self._shown(question, found, shuffle)
        if context is None:
            return None
        return Example(
            "answer",
            question,
            self.prompt_template.absent[tongue].format(title=title),
            uid,
            title,
            tuple(context),
        )

    def summarize(self, record: dict) -> Example | None:
        """A text and its summary, see train.summaries.summed_up(); None for one that is too short or too long."""
        pair = summed_up(self, record)
        example = pair and Example("summarize", *pair, record["uid"], record["title"])
        return example if example and self.fits(example) else None

    # --- many ---

    def training(self) -> tuple[list[Example], list[int]]:
        """Return the distinct examples, and the order of all that is trained as indices into them.

        More epochs ask in more phrasings. --max-steps leaves no more than the optimizer then sees.
        """
        rng = random.Random(self.config.seed)
        counts = self._counts
        candidates = {
            "answer": (self.answer(record, rng.randrange(99), rng) for record in self.read),
            "absent": absent_ones(self, counts["absent"], rng),
            "follow_up": (
                follow_up(self, record, rng.choice(self.read), rng) for record in self.read
            ),
            "summarize": (self.summarize(record) for record in self.summed_up),
        }
        others: list[Example] = []
        order: list[int] = []
        for kind, made in candidates.items():
            found = first(counts[kind], made)
            if found:
                order += [len(others) + turn % len(found) for turn in range(counts[kind])]
            others += found
        examples, asked = self._describes(len(order))
        return examples + others, asked + [len(examples) + index for index in order]

    def _describes(self, others: int) -> tuple[list[Example], list[int]]:
        """The distinct questions about learned titles, and their order, beside so many other examples."""
        if self._step_rows is None:
            examples = [
                self.describe(record, phrasing)
                for phrasing in range(self._phrasings)
                for record in self.learned
            ]
            # The phrasings come round again where there are more epochs.
            return examples, [slot % len(examples) for slot in self._describe_slots]
        slots = (self._describe_slot(slot) for slot in self._describe_slots)
        fitting = (example for example in slots if self.fits(example))
        examples = first(self._step_rows - others, fitting)
        return examples, list(range(len(examples)))

    @functools.cached_property
    def _phrasings(self) -> int:
        """How many phrasings training asks for a learned title in."""
        questions = self.prompt_template.questions.values()
        return min(self.config.epochs, max(len(phrasings) for phrasings in questions))

    @functools.cached_property
    def _all_counts(self) -> dict[str, int]:
        """How many examples of each kind all epochs have."""
        asked = len(self.learned) * self.config.epochs
        absent = self._absent_in_training()
        return {
            "describe": asked,
            "answer": round(self.config.answers * asked) - absent,
            "absent": absent,
            "follow_up": round(self.config.follow_ups * asked),
            "summarize": round(self.config.summarize * asked),
        }

    @functools.cached_property
    def _step_rows(self) -> int | None:
        """How many examples --max-steps leaves; None where it leaves all."""
        if self.config.max_steps is None:
            return None
        rows = self.config.max_steps * self.config.batch_size * self.config.accumulate
        return rows if rows < sum(self._all_counts.values()) else None

    @functools.cached_property
    def _counts(self) -> dict[str, int]:
        """How many examples of each kind are trained; --max-steps takes of each kind the same share."""
        if self._step_rows is None:
            return self._all_counts
        total, before, counts = sum(self._all_counts.values()), 0, {}
        for kind, count in self._all_counts.items():
            after = before + count
            counts[kind] = self._step_rows * after // total - self._step_rows * before // total
            before = after
        return counts

    @functools.cached_property
    def _describe_slots(self) -> Sequence[int]:
        """The questions about learned titles, counted through all epochs, in the order that training takes them.

        The seed of a run does not change them: runs are scored on the same titles.
        """
        slots = range(self._all_counts["describe"])
        if self._step_rows is None:
            return slots
        return random.Random(0).sample(slots, min(self._step_rows, len(slots)))

    def _describe_slot(self, slot: int) -> Example:
        epoch, position = divmod(slot, len(self.learned))
        return self.describe(self.learned[position], epoch % self._phrasings)

    def _seen(self) -> Iterator[Example]:
        """Questions about learned titles, each title once, in a phrasing that training asks."""
        if self._step_rows is None:
            for position, record in enumerate(self.learned):
                yield self.describe(record, position % self._phrasings)
            return
        # Training shows these for certain, and more of them where there is less of another kind.
        certain = self._describe_slots[: self._counts["describe"]]
        asked: dict[int, list[int]] = {}
        for slot in certain:
            asked.setdefault(slot % len(self.learned), []).append(slot)
        for position in sorted(asked):
            slots = sorted(asked[position])
            yield self._describe_slot(slots[position % len(slots)])

    def trained(self) -> Iterable[dict]:
        """Yields all that training may show: its side's records and pairs, and the titles that it makes up (no content)."""
        yield from self.train
        yield from self.pairs["train"]
        for title, _ in self.made_up("train", self._absent_in_training()):
            yield {"uid": "", "title": title, "content": ""}

    def sets(self, items: int) -> dict[str, list[Example]]:
        """Returns the sets to score, up to `items` each, those that have any: seen, unseen, grounded, absent, summary."""
        if items in self._sets:
            return self._sets[items]
        made = {
            "seen": (example for example in self._seen() if self.fits(example)),
            "unseen": (self.describe(record, place) for place, record in enumerate(self.scored)),
            "grounded": (self.answer(record, place) for place, record in enumerate(self.scored)),
            "absent": (
                self.absent(title, tongue, f"absent-{place}", place)
                for place, (title, tongue) in enumerate(self.made_up("unseen", items))
            ),
            "summary": (self.summarize(record) for record in self.held_out),
        }
        self._sets[items] = sets = {
            name: found for name, examples in made.items() if (found := first(items, examples))
        }
        return sets

    def encoded(self, examples: Iterable[Example]) -> list[dict | None]:
        """Returns input_ids, labels and length of each example; None for one that is longer than max_length."""
        rows = [self._ids(example) for example in examples]
        return [row if self.length.holds(*map(len, split_row(row))) else None for row in rows]

    def _absent_in_training(self) -> int:
        return round(
            self.config.absent * round(self.config.answers * len(self.learned) * self.config.epochs)
        )

    def _shown(
        self, question: str, found: Sequence[dict], shuffle: random.Random | None
    ) -> list[dict] | None:
        """Returns the records that fit beside a question, in their order or any; None where it does not fit by itself."""
        try:
            context = list(self.prompt("answer", question, found).context)
        except InputError:
            return None
        if shuffle:
            shuffle.shuffle(context)
        return context

    def _others(self, question: str, uid: str, count: int) -> list[dict]:
        """Returns `count` records that a question finds, but not the one that goes by `uid`, nor one never trained on."""
        found = self.catalogue.search(question, 2 * self.config.context) if count else []
        return [
            other for other in found if other["uid"] != uid and other["uid"] not in self._held_back
        ][:count]

    def fits(self, example: Example) -> bool:
        """Whether an example has no more tokens than it may."""
        return self.encoded([example])[0] is not None

    def _ids(self, example: Example) -> dict:
        prompt, answer = example_ids(
            self.tokenizer,
            self.prompt_template,
            example.task,
            example.text,
            example.answer,
            example.context,
            example.history,
        )
        # Only the answer and its EOS are learned.
        return {
            "input_ids": prompt + answer,
            "labels": [-100] * len(prompt) + answer,
            "length": len(prompt + answer),
        }

    def _question(self, record: dict, phrasing: int) -> str:
        asked = self.prompt_template.questions[detect_language(record["content"])]
        return asked[phrasing % len(asked)].format(title=record["title"])

    def told(self, record: dict) -> str:
        """Returns what an answer says of a record: its first sentences, as many as an answer may have."""
        return lead(record["content"], self.tokenizer, self.tokens)

    def prompt(self, task: str, text: str, context: Sequence[dict] = ()) -> Prompt:
        """Returns the prompt as serving cuts it, with room for an answer; raises InputError where nothing would be left."""
        room = self.length.prompt_limit(self.tokens + 8)  # the citation and EOS
        return fit_prompt(self.tokenizer, self.prompt_template, task, text, context, room=room)


def first(count: int, examples: Iterable[Example | None]) -> list[Example]:
    """Returns the first `count` examples that there are."""
    found: list[Example] = []
    for example in examples:
        if len(found) >= count:
            break
        if example is not None:
            found.append(example)
    return found
