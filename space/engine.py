"""One question's journey: checked, its records found, its prompt made, answered by both models, and explained."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path

from huggingface_hub import snapshot_download

from space.catalogue import Catalogue, language, meant, relevant
from space.errors import CatalogueError, InputError
from space.evidence import Evidence, read_evidence
from space.model import (
    COLUMNS,
    Pair,
    Prompt,
    Step,
    answer_ids,
    check_text,
    explain_answer,
    figures,
    fit_both,
    fit_prompt,
    history,
    load_pair,
    named,
    text_of,
    tokens_of_both,
)
from space.settings import SEED_LIMIT, VERSION, Settings

Notify = Callable[..., None]  # takes a key of space/texts.py, and its values
# What a visitor's daily minutes on ZeroGPU are asked for, at the least: a 7B in bf16 that first goes to its card.
GPU_START, GPU_SPEED, GPU_LIMIT = 10, 16, 120  # seconds; tokens a second; seconds


def _quiet(key: str, **values) -> None:
    """Takes a notice that nobody asked for."""


def gpu_seconds(
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    seed: int | None = None,
) -> int:
    """Returns for how many seconds an answer of so many tokens borrows a GPU."""
    return min(GPU_START + math.ceil(max_new_tokens / GPU_SPEED), GPU_LIMIT)


def gpu_seconds_to_explain(prompt: Sequence[int], answer: Sequence[int]) -> int:
    """Returns for how many seconds explaining an answer borrows a GPU: one pass takes no longer than a start."""
    return GPU_START


def at_hand(task: Callable, *, duration: Callable[..., int]) -> Callable:
    """Returns `task` as it is: the model is where it runs. In its place, spaces.GPU borrows a GPU for each call."""
    return task


class Engine:
    """What the page and the endpoints ask: two models, their catalogue and the limits of one service."""

    def __init__(
        self,
        pair: Pair,
        catalogue: Catalogue | None,
        settings: Settings,
        on_gpu: Callable[..., Callable] = at_hand,
        catalogue_folder: Path | None = None,
    ) -> None:
        self.pair, self.catalogue, self.settings = pair, catalogue, settings
        self._catalogue_folder = catalogue_folder
        self._write = on_gpu(self._generate, duration=gpu_seconds)
        self._compare = on_gpu(self._explain, duration=gpu_seconds_to_explain)
        # Asked of the model once, while it loads: on ZeroGPU other threads do not know where it is.
        self._info = {
            "base": pair.base.name,
            "base_revision": pair.base.revision,
            "adapter": pair.adapter,
            "adapter_revision": pair.adapter_revision,
            "precision": pair.precision,
            "device": str(pair.device),
            "version": VERSION,
        }

    def answer(
        self,
        question: str,
        use_sources: bool,
        max_new_tokens: int,
        temperature: float,
        notify: Notify = _quiet,
    ) -> Iterator[tuple[str, str, list[dict]]]:
        """Yields (base text, tuned text, records in the prompt's order: `[1]` is the first), growing.

        Raises InputError for an empty or oversized question; `notify` is told what had to be cut.
        """
        with closing(
            self.converse(question, (), use_sources, max_new_tokens, temperature, notify=notify)
        ) as steps:
            for step in steps:
                yield step.base, step.tuned, step.sources

    def converse(
        self,
        question: str,
        talk: Sequence[Mapping],
        use_sources: bool,
        max_new_tokens: int,
        temperature: float,
        seed: int | None = None,
        notify: Notify = _quiet,
    ) -> Iterator[Step]:
        """Yields the two answers to the next question of a conversation, growing; each column knows its own answers before.

        `talk` are the turns before (see space/model/conversation.py). With a temperature and without a seed one is drawn, and is among the
        figures. Raises what answer() raises.
        """
        found, kept = self._found(question, talk, use_sources)
        prompts, room = self._ask(question, talk, found, max_new_tokens)
        sources = [dict(record) for record in prompts[1].context]
        cut = sum(
            len(whole["content"]) - len(record["content"])
            for whole, record in zip(found or (), sources, strict=False)
        )
        dropped = len(found or ()) - len(sources)
        if cut or dropped:
            notify("records_cut", cut=cut, dropped=dropped)
        if temperature > 0 and seed is None:
            seed = secrets.randbelow(SEED_LIMIT + 1)
        left_out = (len(history(talk, "tuned")) - len(prompts[1].talk) + 1) // 2
        about = figures(
            temperature, seed if temperature > 0 else None, left_out, kept and bool(sources)
        )
        yield Step("", "", sources, about)
        with closing(
            self._write([prompt.ids for prompt in prompts], room, temperature, seed)
        ) as answers:
            for base, tuned, written in answers:
                yield Step(base, tuned, sources, {**about, **written})

    def summarize(
        self, text: str, max_new_tokens: int, temperature: float, notify: Notify = _quiet
    ) -> Iterator[tuple[str, str]]:
        """Yields (base summary, tuned summary), growing; raises InputError for an empty or oversized text."""
        prompt, room = self._ask_to_summarize(text, max_new_tokens)
        if prompt.cut:
            notify("text_cut", cut=prompt.cut)
        yield "", ""
        with closing(self._write([prompt.ids, prompt.ids], room, temperature)) as answers:
            for base, tuned, _ in answers:
                yield base, tuned

    def explain(
        self,
        question: str,
        answer: str,
        use_sources: bool,
        max_new_tokens: int,
        talk: Sequence[Mapping] = (),
    ) -> list[dict]:
        """Returns how likely each token of an answer is to either model, after the prompt that the tuned model has for the
        question after the turns `talk` (see space/model/explain.py); raises InputError where question or answer is empty or too
        long."""
        found, _ = self._found(question, talk, use_sources)
        return self._explained(
            self._ask(question, talk, found, max_new_tokens)[0][1], answer, "answer"
        )

    def explain_summary(self, text: str, summary: str, max_new_tokens: int) -> list[dict]:
        """Returns the same for a summary, after the prompt that summarize() makes of the text."""
        return self._explained(self._ask_to_summarize(text, max_new_tokens)[0], summary, "summary")

    def search(self, query: str, k: int) -> list[dict]:
        """Returns up to `k` records, best first: uid, title, content, score (0 to 1)."""
        query = check_text(query, self.settings.max_input_chars, "query")
        return self.catalogue.search(query, k) if self.catalogue else []

    def info(self) -> dict:
        """Returns which models answer, and how they are loaded."""
        return dict(self._info)

    def evidence(self) -> Evidence:
        """Returns what the adapter brought beside its weights: its scores, the answers behind them, how it was made."""
        return self._evidence

    def examples(self, count: int = 4) -> list[str]:
        """Returns questions about titles of the catalogue, each in its title's language."""
        questions = []
        for index, title in enumerate(self.catalogue.titles(count) if self.catalogue else []):
            record = self.catalogue.search(title, 1)
            asked = self.pair.prompt_template.questions[
                language(record[0]["content"] if record else title)
            ]
            questions.append(asked[index % len(asked)].format(title=title))
        return questions

    @cached_property
    def _evidence(self) -> Evidence:
        return read_evidence(self.pair.folder, self._catalogue_folder, self.pair.prompt_template)

    # These two use the model, and nothing else does. On ZeroGPU they run in a process that is forked off: what they are given
    # and what they yield or return travel there and back, and what they change stays behind.

    def _generate(
        self,
        prompts: Sequence[list[int]],
        max_new_tokens: int,
        temperature: float,
        seed: int | None = None,
    ) -> Iterator[tuple[str, str, dict]]:
        """Yields both texts, and of each column how many tokens it has and after how many seconds it had them."""
        written, start = (
            {column: {"tokens": 0, "seconds": 0.0} for column in COLUMNS},
            time.perf_counter(),
        )
        for answers in tokens_of_both(self.pair, *prompts, max_new_tokens, temperature, seed):
            passed = round(time.perf_counter() - start, 3)
            for column, answer in zip(COLUMNS, answers, strict=True):
                if len(answer) > written[column]["tokens"]:
                    written[column] = {"tokens": len(answer), "seconds": passed}
            yield text_of(self.pair, answers[0]), text_of(self.pair, answers[1]), dict(written)

    def _explain(self, prompt: list[int], answer: list[int]) -> list[dict]:
        return explain_answer(self.pair, prompt, answer)

    def _explained(self, prompt: Prompt, answer: str, what: str) -> list[dict]:
        answer = check_text(answer, self.settings.max_input_chars, what)
        ids = answer_ids(self.pair.tokenizer, prompt.ids, prompt.talk, answer)
        over = len(ids) - self.pair.window.after(len(prompt.ids))
        if over > 0:
            raise InputError(f"window_{what}", over=over)
        return self._compare(prompt.ids, ids)

    def _found(
        self, question: str, talk: Sequence[Mapping], use_sources: bool
    ) -> tuple[list[Mapping] | None, bool]:
        """Returns the records for a question, None where no catalogue is asked, and whether they are the last one's."""
        question = check_text(question, self.settings.max_input_chars)
        if not use_sources or self.catalogue is None:
            return None, False
        found = self.catalogue.search(question, self.settings.context_k)
        if not talk:
            return relevant(found), False
        last, ways = talk[-1], self.pair.prompt_template.follow_ups.values()
        before = (
            last["sources"]
            if last["use_sources"]
            else relevant(self.catalogue.search(last["question"], self.settings.context_k))
        )
        records = meant(
            question,
            before,
            found,
            [phrase for way in ways for kind in ("short", "more") for phrase in way[kind]],
        )
        return records, records == before != relevant(found)

    def _ask(
        self,
        question: str,
        talk: Sequence[Mapping],
        found: list[Mapping] | None,
        max_new_tokens: int,
    ) -> tuple[tuple[Prompt, Prompt], int]:
        """Returns a question's prompts, the base's and the tuned one's, and how many tokens their answers may have."""
        question = check_text(question, self.settings.max_input_chars)
        # With a catalogue to look in, a question that finds nothing stays an `answer`: the model says that it is absent.
        task, room, fit = "describe" if found is None else "answer", *self._fit(max_new_tokens)
        histories = [history(talk, column) for column in COLUMNS]
        return fit_both(
            lambda task, context, past: fit(task, question, context, past),
            task,
            found or (),
            histories,
        ), room

    def _ask_to_summarize(self, text: str, max_new_tokens: int) -> tuple[Prompt, int]:
        text = check_text(text, self.settings.max_input_chars, "text")
        room, fit = self._fit(max_new_tokens)
        return fit("summarize", text), room

    def _fit(self, max_new_tokens: int) -> tuple[int, Callable[..., Prompt]]:
        """Returns how many tokens an answer may have, and fit_prompt() for what remains of the window."""
        # An answer may take up to half the window; the question and its records have the rest, or an encoder's own.
        room = min(max_new_tokens, self.pair.window // 2)
        return room, partial(
            fit_prompt,
            self.pair.tokenizer,
            self.pair.prompt_template,
            room=self.pair.window.before(room),
        )


def load_engine(settings: Settings, on_gpu: Callable[..., Callable] = at_hand) -> Engine:
    """Loads what the settings name; raises ModelError, PromptTemplateError or CatalogueError in one line.

    `on_gpu` wraps the two functions that use the model, as spaces.GPU does.
    """
    automatic = (
        "bf16" if settings.on_zero_gpu else "nf4"
    )  # whether bitsandbytes works on ZeroGPU is disputed
    precision = automatic if settings.precision == "auto" else settings.precision
    catalogue = folder = None
    if settings.catalogue:
        folder = _catalogue_folder(settings.catalogue, settings.catalogue_revision)
        catalogue = Catalogue.open(folder)
    pair = load_pair(
        settings.base_model,
        settings.adapter,
        settings.base_revision,
        settings.adapter_revision,
        precision,
    )
    return Engine(pair, catalogue, settings, on_gpu, folder)


def _catalogue_folder(catalogue: str, revision: str | None) -> Path:
    """Returns a run's catalogue/ folder: the one here, or the index and the report of a dataset repository on the Hub."""
    folder = Path(catalogue)
    if (
        folder.is_dir()
        or folder.is_absolute()
        or catalogue.startswith(".")
        or catalogue.count("/") != 1
    ):
        return folder
    with named("catalogue", catalogue, CatalogueError):
        folder = Path(
            snapshot_download(
                catalogue,
                repo_type="dataset",
                revision=revision,
                allow_patterns=["index/*", "report.json"],
            )
        )
    if not (folder / "index").is_dir():
        raise CatalogueError(
            f"catalogue {catalogue} at {folder.name[:7]} holds no search index: publish the catalogue again, "
            "or name another"
        )
    return folder
