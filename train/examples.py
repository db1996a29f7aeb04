"""Records to task examples, to token ids and labels; the sets that are scored, and which record is on which side."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from space.prompt import Wording, example_ids, fit_prompt, language, messages
from space.sources import Catalogue, relevant
from train.config import FitConfig
from train.summaries import lead, principal


@dataclass(frozen=True)
class Example:
    """One prompt and the answer it should get; `context` holds the records in the prompt, `sources` their uids."""

    task: str
    text: str
    answer: str
    uid: str
    context: tuple[dict, ...] = ()
    history: tuple[dict, ...] = ()

    @property
    def sources(self) -> list[str]:
        """The uids of the records in the prompt, in its order."""
        return [record["uid"] for record in self.context]


class Examples:
    """Makes the examples of one run: the same records and the same config always give the same examples."""

    def __init__(self, records: Sequence[dict], catalogue: Catalogue, tokenizer, wording: Wording, config: FitConfig,
                 window: int) -> None:
        self.catalogue, self.tokenizer, self.wording, self.config = catalogue, tokenizer, wording, config
        self.length = min(config.max_length, window)
        self.tokens = min(config.answer_tokens, self.length // 2)
        # A record's place in this order depends on nothing but its uid: --limit and --learn cut it anywhere.
        ordered = sorted(records, key=lambda record: hashlib.sha256(record["uid"].encode()).digest())
        self.train = [record for record in ordered if record["split"] == "train"]
        self.unseen = [record for record in ordered if record["split"] == "unseen"]
        self.learned = self.train[:config.learn]
        # What is not learned by heart teaches to read: its facts can only come from the prompt.
        self.read = self.train[len(self.learned):] or self.train

    # --- one example a record ---

    def describe(self, record: dict, phrasing: int) -> Example:
        """A question about a title, answered from memory; `phrasing` counts through the wording's questions."""
        return Example("describe", self._question(record, phrasing), self._answer(record), record["uid"])

    def answer(self, record: dict, phrasing: int, shuffle: random.Random | None = None) -> Example | None:
        """The question with the records found for it; the answer cites its own. None where that is not among them.

        `shuffle` puts the record anywhere among the others, and draws how many others there are.
        """
        question = self._question(record, phrasing)
        found = self.catalogue.search(question, self.config.context)
        if shuffle:
            others = [other for other in found if other["uid"] != record["uid"]]
            # The right record is cut last, whatever place it takes afterwards.
            found = [record, *others[:shuffle.choice((0, shuffle.randrange(self.config.context)))]]
        else:
            found = relevant(found)
        context = list(self._fit("answer", question, found))
        if shuffle:
            shuffle.shuffle(context)
        position = next((place for place, other in enumerate(context, 1) if other["uid"] == record["uid"]), None)
        if position is None:
            return None
        cited = self._answer(record) + self.wording.citation.format(position=position)
        return Example("answer", question, cited, record["uid"], tuple(context))

    def summarize(self, record: dict) -> Example | None:
        """A content without its principal sentences, which are the summary; None for a short or an oversized one."""
        split = principal(record["content"])
        if split is None or len(split[1]) > len(split[0]):
            return None
        text, summary = split
        summary = lead(summary, self.tokenizer, self.tokens)
        if len(self._ids(Example("summarize", text, summary, ""))["input_ids"]) > self.length:
            return None
        return Example("summarize", text, summary, record["uid"])

    # --- many ---

    def training(self) -> tuple[list[Example], list[int]]:
        """Returns (the distinct examples, their order over all epochs as indices): more epochs, more phrasings."""
        rng, config = random.Random(self.config.seed), self.config
        phrasings = min(config.epochs, max(len(asked) for asked in self.wording.questions.values()))
        count = len(self.learned)
        describes = [self.describe(record, phrasing) for phrasing in range(phrasings) for record in self.learned]
        order = [(epoch % phrasings) * count + place for epoch in range(config.epochs) for place in range(count)]
        wanted = round(config.answers * count * config.epochs)
        answers = self._first(wanted, (self.answer(record, rng.randrange(99), rng) for record in self.read))
        wanted_summaries = round(config.summaries * count * config.epochs)
        summaries = self._first(wanted_summaries, (self.summarize(record) for record in self.read))
        examples = [*describes, *answers, *summaries]
        for start, size, times in ((len(describes), len(answers), wanted),
                                   (len(describes) + len(answers), len(summaries), wanted_summaries)):
            order += [start + turn % size for turn in range(times)] if size else []
        return examples, order

    def sets(self, items: int) -> dict[str, list[Example]]:
        """Returns the sets to score, up to `items` each: seen, unseen, grounded and summary, those that have any."""
        made = {
            "seen": (self.describe(record, place) for place, record in enumerate(self.learned)),
            "unseen": (self.describe(record, place) for place, record in enumerate(self.unseen)),
            "grounded": (self.answer(record, place) for place, record in enumerate(self.unseen)),
            "summary": (self.summarize(record) for record in self.unseen),
        }
        sets = {name: self._first(items, examples) for name, examples in made.items()}
        return {name: examples for name, examples in sets.items() if examples}

    def worked(self, example: Example, shots: int) -> Example:
        """Returns the example with up to `shots` worked examples of its task and language before it, as they fit."""
        tongue, makers = language(example.answer), {
            "describe": lambda record: self.describe(record, 0), "answer": lambda record: self.answer(record, 0),
            "summarize": self.summarize}
        alike = (record for record in self.read if record["uid"] != example.uid and language(record["content"]) == tongue)
        shown = self._first(shots, (makers[example.task](record) for record in alike))
        history: list[dict] = []
        for shot in shown:
            # One record is enough to show what is wanted, and leaves room for the question.
            context = [record for record in shot.context if record["uid"] == shot.uid]
            asked = messages(self.wording, shot.task, shot.text, context)
            answer = shot.answer if not context else self._answer(context[0]) + self.wording.citation.format(position=1)
            history += [*asked, {"role": "assistant", "content": answer}]
        while history and len(self._ids(replace(example, history=tuple(history)))["input_ids"]) > self.length:
            history = history[2:]
        return replace(example, history=tuple(history))

    def encoded(self, examples: Iterable[Example]) -> list[dict | None]:
        """Returns input_ids, labels and length of each example; None for one that is longer than max_length."""
        rows = [self._ids(example) for example in examples]
        return [row if len(row["input_ids"]) <= self.length else None for row in rows]

    def _ids(self, example: Example) -> dict:
        prompt, answer = example_ids(self.tokenizer, self.wording, example.task, example.text, example.answer,
                                     example.context, example.history)
        # Only the answer and its EOS are learned.
        return {"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer, "length": len(prompt + answer)}

    def _question(self, record: dict, phrasing: int) -> str:
        asked = self.wording.questions[language(record["content"])]
        return asked[phrasing % len(asked)].format(title=record["title"])

    def _answer(self, record: dict) -> str:
        return lead(record["content"], self.tokenizer, self.tokens)

    def _fit(self, task: str, text: str, context: Sequence[dict]) -> Sequence[dict]:
        room = self.length - self.tokens - 8  # the citation and EOS
        return fit_prompt(self.tokenizer, self.wording, task, text, context, room=room).context

    @staticmethod
    def _first(count: int, examples: Iterable[Example | None]) -> list[Example]:
        found: list[Example] = []
        for example in examples:
            if len(found) >= count:
                break
            if example is not None:
                found.append(example)
        return found
