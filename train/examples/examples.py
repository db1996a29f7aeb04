"""Records to task examples, to token ids and labels; the sets that are scored, and which record is on which side."""

from __future__ import annotations

import functools
import hashlib
import itertools
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from space.catalogue import Catalogue, language, normalise, relevant
from space.errors import InputError
from space.model import Prompt, PromptTemplate, Window, example_ids, fit_prompt, parts
from train.config import FitConfig
from train.examples.contamination import fresh
from train.examples.follow_ups import follow_up
from train.examples.summaries import lead, summed_up
from train.examples.unanswerable import absent_ones, made_up

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
        records: Sequence[dict],
        catalogue: Catalogue,
        tokenizer,
        prompt_template: PromptTemplate,
        config: FitConfig,
        window: Window | int,
        pairs: Mapping[str, list[dict]] | None = None,
    ) -> None:
        self.catalogue, self.tokenizer, self.prompt_template, self.config = (
            catalogue,
            tokenizer,
            prompt_template,
            config,
        )
        self.length = (window if isinstance(window, Window) else Window(window)).within(
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
            found = relevant(self.catalogue.search(question, self.config.context))
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
                else relevant(found)
            )
        else:
            found = relevant(self.catalogue.search(question, self.config.context))
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
        """Returns (the distinct examples, their order over all epochs as indices): more epochs, more phrasings."""
        rng, config = random.Random(self.config.seed), self.config
        count, asked = len(self.learned), len(self.learned) * config.epochs
        phrasings = min(
            config.epochs, max(len(words) for words in self.prompt_template.questions.values())
        )
        describes = [
            self.describe(record, phrasing)
            for phrasing in range(phrasings)
            for record in self.learned
        ]
        order = [
            (epoch % phrasings) * count + place
            for epoch in range(config.epochs)
            for place in range(count)
        ]
        absent = self._absent_in_training()
        made = (
            (
                round(config.answers * asked) - absent,
                (self.answer(record, rng.randrange(99), rng) for record in self.read),
            ),
            (absent, absent_ones(self, absent, rng)),
            (
                round(config.follow_ups * asked),
                (follow_up(self, record, rng.choice(self.read), rng) for record in self.read),
            ),
            (
                round(config.summarize * asked),
                (self.summarize(record) for record in self.summed_up),
            ),
        )
        examples = describes
        for wanted, candidates in made:
            found = first(wanted, candidates)
            order += [len(examples) + turn % len(found) for turn in range(wanted)] if found else []
            examples = [*examples, *found]
        return examples, order

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
            "seen": (self.describe(record, place) for place, record in enumerate(self.learned)),
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
        return [row if self.length.holds(*map(len, parts(row))) else None for row in rows]

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
        asked = self.prompt_template.questions[language(record["content"])]
        return asked[phrasing % len(asked)].format(title=record["title"])

    def told(self, record: dict) -> str:
        """Returns what an answer says of a record: its first sentences, as many as an answer may have."""
        return lead(record["content"], self.tokenizer, self.tokens)

    def prompt(self, task: str, text: str, context: Sequence[dict] = ()) -> Prompt:
        """Returns the prompt as serving cuts it, with room for an answer; raises InputError where nothing would be left."""
        room = self.length.before(self.tokens + 8)  # the citation and EOS
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
