"""Records to examples: what is trained, what is scored, and their tokens."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from space.catalogue import Catalogue, Hit, Record, detect_language, keep_relevant, normalise
from space.errors import InputError
from space.model import (
    Message,
    Prompt,
    PromptTemplate,
    TokenRow,
    Window,
    example_ids,
    fit_prompt,
)
from train.config import FitConfig
from train.examples.asked import Asker, ask_about_any, drop_ambiguous
from train.examples.contamination import check_contamination, exclude_shared_texts
from train.examples.plan import TrainingPlan
from train.examples.summaries import principal_sentence, summarize_text, take_lead
from train.examples.unanswerable import invent_titles
from train.prepare import SplitRecord, SummaryPair

# Of the unanswerable questions: with any other records in the prompt, and with none.
ANY_OTHERS, NO_OTHERS = 0.1, 0.25
FACT_OF_NOTHING = 0.3  # the share of the unanswerable questions that ask for a fact
LANGUAGE_DRAWS = 50  # records looked at for one in a given language
ASKED_ROUNDS = 8  # questions for a fact of one record, at most
ASKED_RECORDS = 50_000  # records that facts are looked for in, at most
END_TOKENS = 8  # of an answer, for its citation and EOS


@dataclass(frozen=True)
class Example:
    """A prompt and the answer it should get.

    `uid` is the uid of the record asked about, and no record's for a made-up title; `context` holds
    the records in the prompt. `form` and `expected` are of a question for a fact: what is asked
    for, and what a right answer has.
    """

    task: str
    text: str
    answer: str
    uid: str
    title: str = ""
    context: tuple[Record, ...] = ()
    history: tuple[Message, ...] = ()
    form: str = ""
    expected: tuple[str, ...] = ()

    @property
    def sources(self) -> list[str]:
        """The uids of the records in the prompt, in its order."""
        return [record["uid"] for record in self.context]


class Examples:
    """The examples of one run: the same records and config always give the same examples.

    `train` and `held_out` are the records of either split. `learned` are those that training asks
    for from memory; `reading` are those that it shows in prompts. `pairs` are texts with summaries
    of a set or a teacher, where the run has any. `processes` is how many train or trained the run.
    """

    def __init__(
        self,
        records: Iterable[SplitRecord],
        catalogue: Catalogue,
        tokenizer,
        prompt_template: PromptTemplate,
        config: FitConfig,
        window: Window | int,
        pairs: Mapping[str, Sequence[SummaryPair]] | None = None,
        processes: int = 1,
    ) -> None:
        self.processes = processes
        self.catalogue, self.tokenizer = catalogue, tokenizer
        self.prompt_template, self.config = prompt_template, config
        window = window if isinstance(window, Window) else Window(window)
        self.window = window.at_most(config.max_length)
        self.answer_tokens = min(config.answer_tokens, self.window // 2)
        # This order depends on nothing but the uids: --limit and --learn cut it anywhere.
        ordered = sorted(records, key=lambda each: hashlib.sha256(each["uid"].encode()).digest())
        self.train = [record for record in ordered if record["split"] == "train"]
        self.held_out = [record for record in ordered if record["split"] == "unseen"]
        self.learned = self.train[: config.learn]
        # Records that are not learned by heart teach to read: only the prompt has their facts.
        self.reading = self.train[len(self.learned) :] or self.train
        self.pairs = pairs or {"train": (), "unseen": ()}
        self.summary_texts: Sequence[SplitRecord] = self.pairs["train"] if pairs else self.reading
        self.general: Sequence[tuple[str, str]] = ()  # questions and the base's answers
        self._held_out_uids = {record["uid"] for record in self.held_out}
        self._sets: dict[int, dict[str, list[Example]]] = {}

    @cached_property
    def scorable(self) -> list[SplitRecord]:
        """The held-out records whose content is nowhere on the training side."""
        return exclude_shared_texts(self.held_out, self.train)

    @cached_property
    def scorable_summary_texts(self) -> Sequence[SplitRecord]:
        """The held-out texts whose summaries are scored."""
        if self.summary_texts is self.reading:
            return self.scorable
        return exclude_shared_texts(self.pairs["unseen"], self.training_texts())

    def unanswerable_titles(self, split: str, count: int) -> list[tuple[str, str]]:
        """Make up to `count` (title, language) that the catalogue lacks.

        They are made from the titles of one split. Those for scoring have the same seed in all
        runs.
        """
        donors = (self.train if split == "train" else self.held_out) or self.train
        seed = self.config.seed if split == "train" else 1
        return list(itertools.islice(invent_titles(donors, self._titles, split, seed), count))

    @cached_property
    def _titles(self) -> set[str]:
        return {normalise(record["title"]) for record in (*self.train, *self.held_out)}

    # --- one example ---

    def describe(self, record: Record, phrasing: int) -> Example:
        """Ask for a title, answered from memory.

        `phrasing` is an index of the template's questions, modulo their number.
        """
        question = self._question(record["title"], detect_language(record["content"]), phrasing)
        return Example("describe", question, self.quote(record), record["uid"], record["title"])

    def answer(
        self, record: Record, phrasing: int, rng: random.Random | None = None
    ) -> Example | None:
        """Ask with the records that the question finds in the prompt.

        The answer cites its own record; None where that is not among them. `rng` puts it anywhere
        among others, and draws how many others there are.
        """
        question = self._question(record["title"], detect_language(record["content"]), phrasing)
        if rng:
            # The right record comes first here, so that it is cut last.
            count = rng.choice((0, rng.randrange(self.config.context)))
            found = [record, *self._others(question, record["uid"], count)]
        else:
            found = keep_relevant(self.catalogue.search(question, self.config.context))
        context = self._fit_context(question, found, rng) or []
        uids = [shown["uid"] for shown in context]
        if record["uid"] not in uids:
            return None
        # A record may have been cut to fit: what is not in the prompt cannot be read from it.
        position = uids.index(record["uid"])
        answer = self.quote(context[position]) + self._citation(position)
        return Example("answer", question, answer, record["uid"], record["title"], tuple(context))

    def unanswerable(
        self, title: str, language: str, uid: str, phrasing: int, rng: random.Random | None = None
    ) -> Example | None:
        """Ask for a title that no record in the prompt has.

        The answer says that it is absent. None where the question alone is too long. The records
        are the relevant ones, often none. `rng` leaves out the record with this uid, and gives some
        questions no records, and some those that serving would leave out.
        """
        question = self._question(title, language, phrasing)
        if rng:
            if rng.random() < FACT_OF_NOTHING:
                question = ask_about_any(title, language, rng)
            draw = rng.random()
            count = 0 if draw > 1 - NO_OTHERS else self.config.context
            found = self._others(question, uid, count)
            if draw < ANY_OTHERS:
                found = found[: rng.randint(1, self.config.context)]
            else:
                found = keep_relevant(found)
        else:
            found = keep_relevant(self.catalogue.search(question, self.config.context))
        context = self._fit_context(question, found, rng)
        if context is None:
            return None
        answer = self.prompt_template.absent[language].format(title=title)
        return Example("answer", question, answer, uid, title, tuple(context))

    def asked(
        self, record: Record, rng: random.Random, unstated: bool = False, others: int | None = None
    ) -> Example | None:
        """Ask for a fact of a record, stated or not.

        The answer cites its records, which stand anywhere among up to `others`; as many as `rng`
        draws where that is None. None where there is nothing to ask for, or it does not fit.
        """
        ask = self._asker.ask_unstated if unstated else self._asker.ask
        question = ask(record, rng)
        if question is None:
            return None
        own = len(question.records)
        least = 1 if question.form == "which" else 0
        if others is None:
            others = rng.randint(least, max(least, self.config.context - own))
        found = self._others(question.text, "", others + own)
        beside = drop_ambiguous(question, found)[:others]
        context = self._fit_context(question.text, [*question.records, *beside], rng) or []
        shown = {each["uid"]: f"{each['title']}\n{each['content']}" for each in context}
        positions = []
        for cited, sentence in zip(question.records, question.said, strict=True):
            if cited["uid"] not in shown or sentence not in shown[cited["uid"]]:
                return None
            positions.append(list(shown).index(cited["uid"]))
        if question.form == "which" and others and len(context) < 2:
            return None
        return Example(
            "answer",
            question.text,
            question.answer + "".join(map(self._citation, positions)),
            record["uid"],
            record["title"],
            tuple(context),
            form=question.form,
            expected=question.expected,
        )

    @cached_property
    def _asker(self) -> Asker:
        return Asker(self.train, self.prompt_template.unstated)

    def follow_up(self, record: Record, other: Record, rng: random.Random) -> Example | None:
        """Ask a second question, after one about `record` and its answer.

        It asks for the answer in one sentence, for what the answer left out, or for the `other`
        record, which may be absent. None where the two questions do not fit.
        """
        first = self.answer(record, rng.randrange(99), rng)
        if first is None:
            return None
        position = first.sources.index(record["uid"])
        shown = first.context[position]
        rest = shown["content"].removeprefix(self.quote(shown)).strip()
        kind = rng.choice(("short", "other", "more" if rest else "short"))
        if kind == "other":
            asked, second = other, self._ask_for_other(other, rng)
        else:
            text = principal_sentence(shown["content"]) if kind == "short" else rest
            asked, second = (
                record,
                replace(first, answer=self._lead(text) + self._citation(position)),
            )
        if second is None:
            return None
        phrases = self.prompt_template.follow_ups[detect_language(asked["content"])][kind]
        history: tuple[Message, Message] = (
            {"role": "user", "content": first.text},
            {"role": "assistant", "content": first.answer},
        )
        text = rng.choice(phrases).format(title=asked["title"])
        example = replace(second, text=text, history=history)
        return example if self.fits(example) else None

    def summarize(self, record: SplitRecord | SummaryPair) -> Example | None:
        """Ask for the summary of a pair's text or of a content.

        A content's summary are its principal sentences, which stay in it. None for a text that is
        too short or too long, or whose summary is longer than half of it. A pair's text is cut
        where serving would cut it, and a long summary at a sentence.
        """
        if "summary" in record:
            text, summary = record["content"], record["summary"]
            prompt = self._fit_prompt("summarize", text)
            if prompt is None:
                return None
            text = text[: len(text) - prompt.cut]
        else:
            text, summary = record["content"], summarize_text(record["content"])
            if summary is None or 2 * len(summary) > len(text):
                return None
        answer = self._lead(summary)
        example = Example("summarize", text, answer, record["uid"], record["title"])
        return example if self.fits(example) else None

    def rehearse(self, answered: tuple[str, str]) -> Example:
        """Ask a general question, which the base answered before training."""
        question, answer = answered
        return Example("describe", question, self._lead(answer), f"general: {question}")

    def quote(self, record: Record) -> str:
        """Cut a content to the first sentences that an answer may have."""
        return self._lead(record["content"])

    def fits(self, example: Example) -> bool:
        """Check whether an example is within --max-length."""
        return self.encode([example])[0] is not None

    def encode(self, examples: Iterable[Example]) -> list[TokenRow | None]:
        """Turn examples into token rows, None where one exceeds --max-length."""
        rows: list[TokenRow | None] = []
        for example in examples:
            prompt, answer = example_ids(
                self.tokenizer,
                self.prompt_template,
                example.task,
                example.text,
                example.answer,
                example.context,
                example.history,
            )
            row: TokenRow = {
                "input_ids": prompt + answer,
                # Only the answer and its EOS are learned.
                "labels": [-100] * len(prompt) + answer,
                "length": len(prompt + answer),
            }
            rows.append(row if self.window.holds(len(prompt), len(answer)) else None)
        return rows

    def _question(self, title: str, language: str, phrasing: int) -> str:
        questions = self.prompt_template.questions[language]
        return questions[phrasing % len(questions)].format(title=title)

    def _citation(self, index: int) -> str:
        return self.prompt_template.citation.format(position=index + 1)

    def _lead(self, text: str) -> str:
        return take_lead(text, self.tokenizer, self.answer_tokens)

    def _fit_prompt(self, task: str, text: str, context: Sequence[Record] = ()) -> Prompt | None:
        """Cut a prompt as serving does, or return None where nothing fits."""
        room = self.window.prompt_limit(self.answer_tokens + END_TOKENS)
        try:
            return fit_prompt(self.tokenizer, self.prompt_template, task, text, context, room=room)
        except InputError:
            return None

    def _fit_context(
        self, question: str, found: Sequence[Record], rng: random.Random | None
    ) -> list[Record] | None:
        """Keep the records that fit beside a question, shuffled by `rng`.

        None where the question alone does not fit.
        """
        prompt = self._fit_prompt("answer", question, found)
        if prompt is None:
            return None
        context = list(prompt.context)
        if rng:
            rng.shuffle(context)
        return context

    def _others(self, question: str, uid: str, count: int) -> list[Hit]:
        """Find up to `count` records, except held-out ones and `uid`."""
        if not count:
            return []
        hits = self.catalogue.search(question, 2 * self.config.context)
        excluded = self._held_out_uids
        shown = [hit for hit in hits if hit["uid"] != uid and hit["uid"] not in excluded]
        return shown[:count]

    def _ask_for_other(self, other: Record, rng: random.Random) -> Example | None:
        phrasing = rng.randrange(99)
        if rng.random() < self.config.absent:
            language = detect_language(other["content"])
            return self.unanswerable(other["title"], language, other["uid"], phrasing, rng)
        return self.answer(other, phrasing, rng)

    def _ask_for_unanswerable(self, count: int, rng: random.Random) -> Iterator[Example | None]:
        """Ask for made-up titles and, every third time, for a withheld record."""
        for index, (title, language) in enumerate(self.unanswerable_titles("train", count)):
            uid = ""
            if index % 3 == 2:
                record = self._draw_record(language, rng)
                title, uid = record["title"], record["uid"]
                language = detect_language(record["content"])
            yield self.unanswerable(title, language, uid, rng.randrange(99), rng)

    def _ask_for_facts(
        self, rng: random.Random, unstated: bool = False
    ) -> Iterator[Example | None]:
        """Ask for other facts, or in other words, each time round."""
        records = self.reading[:ASKED_RECORDS]
        for _ in range(ASKED_ROUNDS):
            answered = []
            for record in records:
                example = self.asked(record, rng, unstated)
                if example is not None:
                    answered.append(record)
                    yield example
            records = answered

    def _draw_record(self, language: str, rng: random.Random) -> SplitRecord:
        """Draw a record in this language, or any where LANGUAGE_DRAWS find none."""
        drawn = rng.choices(self.reading, k=LANGUAGE_DRAWS)
        for record in drawn:
            if detect_language(record["content"]) == language:
                return record
        return drawn[0]

    # --- what is trained ---

    def build_training(self) -> tuple[list[Example], list[int]]:
        """Build the distinct examples and the order in which they are trained.

        The order are indices into the examples. More epochs ask in more phrasings. --max-steps
        leaves no more than the optimizer then sees.
        """
        rng, counts = random.Random(self.config.seed), self.plan.counts
        answers = (self.answer(record, rng.randrange(99), rng) for record in self.reading)
        follow_ups = (
            self.follow_up(record, rng.choice(self.reading), rng) for record in self.reading
        )
        candidates = {
            "answer": answers,
            "unanswerable": self._ask_for_unanswerable(counts["unanswerable"], rng),
            "asked": self._ask_for_facts(rng),
            "unstated": self._ask_for_facts(rng, unstated=True),
            "follow_up": follow_ups,
            "summarize": map(self.summarize, self.summary_texts),
            "general": map(self.rehearse, self.general),
        }
        others: list[Example] = []
        order: list[int] = []
        for kind, made in candidates.items():
            found = take_first(counts[kind], made)
            if found:
                order += [len(others) + turn % len(found) for turn in range(counts[kind])]
            others += found
        examples, asked = self._describe_learned(len(order))
        return examples + others, asked + [len(examples) + index for index in order]

    @cached_property
    def plan(self) -> TrainingPlan:
        """How much of each kind is trained."""
        questions = self.prompt_template.questions.values()
        phrasings = max(len(phrasings) for phrasings in questions)
        return TrainingPlan(
            self.config, len(self.learned), min(self.config.epochs, phrasings), self.processes
        )

    def training_texts(self) -> Iterator[SplitRecord]:
        """Yield all that training may show: records, pairs and made-up titles.

        A made-up title has no content.
        """
        yield from self.train
        yield from self.pairs["train"]
        count = self.plan.all_counts["unanswerable"]
        for title, _ in self.unanswerable_titles("train", count):
            yield {"uid": "", "title": title, "content": "", "split": "train"}

    def _describe_learned(self, others: int) -> tuple[list[Example], list[int]]:
        """Build the questions about learned records, and their order.

        `others` is the number of all other examples.
        """
        if self.plan.row_limit is None:
            examples = []
            for phrasing in range(self.plan.phrasings):
                examples += [self.describe(record, phrasing) for record in self.learned]
            # The phrasings come round again where there are more epochs.
            return examples, [question % len(examples) for question in self.plan.questions]
        located = map(self.plan.locate, self.plan.questions)
        asked = (self.describe(self.learned[index], phrasing) for index, phrasing in located)
        examples = take_first(self.plan.row_limit - others, filter(self.fits, asked))
        return examples, list(range(len(examples)))

    # --- what is scored ---

    def build_sets(self, items: int) -> dict[str, list[Example]]:
        """Build the sets to score, up to `items` each.

        They are seen, unseen, grounded, absent, asked, unstated and summary. A set without items is
        left out. `seen` asks only what training asks.
        """
        if items not in self._sets:
            made = {
                "seen": filter(self.fits, self._describe_seen()),
                "unseen": map(self.describe, self.scorable, itertools.count()),
                "grounded": map(self.answer, self.scorable, itertools.count()),
                "absent": self._unanswerable_to_score(items),
                "asked": self._facts_to_score(unstated=False),
                "unstated": self._facts_to_score(unstated=True),
                "summary": map(self.summarize, self.scorable_summary_texts),
            }
            sets = {name: take_first(items, examples) for name, examples in made.items()}
            self._sets[items] = {name: examples for name, examples in sets.items() if examples}
        return self._sets[items]

    def check_contamination(self, items: int) -> dict[str, int]:
        """Compare the sets to score with all that training may show.

        Returns how many items were compared with how many records; raises ConfigError for one that
        was trained on.
        """
        scored: list[tuple[str, str]] = []
        for name, examples in self.build_sets(items).items():
            if name != "seen":
                scored += [(example.uid, example.title) for example in examples]
        held_out = [*self.held_out, *self.pairs["unseen"]]
        return check_contamination(scored, held_out, self.training_texts())

    def _describe_seen(self) -> Iterator[Example]:
        for index, phrasing in self.plan.seen():
            yield self.describe(self.learned[index], phrasing)

    def _facts_to_score(self, unstated: bool) -> Iterator[Example | None]:
        """Ask once about each held-out record, alike in all runs."""
        for record in self.scorable[:ASKED_RECORDS]:
            rng = random.Random(f"{record['uid']} {unstated}")
            yield self.asked(record, rng, unstated)

    def _unanswerable_to_score(self, items: int) -> Iterator[Example | None]:
        for index, (title, language) in enumerate(self.unanswerable_titles("unseen", items)):
            yield self.unanswerable(title, language, f"absent-{index}", index)


def take_first(count: int, examples: Iterable[Example | None]) -> list[Example]:
    """Take the first `count` examples, skipping None."""
    found: list[Example] = []
    for example in examples:
        if len(found) >= count:
            break
        if example is not None:
            found.append(example)
    return found
