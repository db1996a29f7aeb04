"""Answer a question: check it, find its records, build both prompts, generate and explain."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import TypedDict, cast

from huggingface_hub import snapshot_download

from space.catalogue import (
    Catalogue,
    Hit,
    detect_language,
    keep_relevant,
    mixed_questions,
    records_for_follow_up,
    suggest_title,
)
from space.errors import CatalogueError, InputError, translate_load_errors
from space.evidence import Evidence, read_evidence
from space.inside import Inside
from space.model import (
    COLUMNS,
    AnswerFigures,
    Batch,
    Column,
    ExplainedToken,
    Figures,
    Pair,
    Prompt,
    Step,
    Turn,
    answer_ids,
    can_batch,
    check_text,
    column_messages,
    decode_text,
    explain_answer,
    fit_prompt,
    fit_prompts,
    load_pair,
    stream_answers,
)
from space.settings import SEED_LIMIT, VERSION, Settings

MIXED_FROM = 24  # records among which a fact and a comparison are looked for
Notify = Callable[..., None]  # takes a key of space/texts.py and its values
# How much of a visitor's daily ZeroGPU time an answer asks for. The start is that of a 7B in bf16
# that is first moved to the GPU.
GPU_START, GPU_SPEED, GPU_LIMIT = 10, 16, 120  # seconds; tokens a second; seconds


class Info(TypedDict):
    """Which models answer, and how they are loaded."""

    base: str
    base_revision: str
    adapter: str
    adapter_revision: str
    precision: str
    device: str
    version: str


def gpu_seconds(
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    seed: int | None = None,
) -> int:
    """Estimate for how many seconds an answer needs a GPU."""
    return min(GPU_START + math.ceil(max_new_tokens / GPU_SPEED), GPU_LIMIT)


def gpu_seconds_to_explain(prompt: Sequence[int], answer: Sequence[int]) -> int:
    """Estimate for how many seconds an explanation needs a GPU."""
    return GPU_START  # one pass takes no longer than a start


def run_here(task: Callable, *, duration: Callable[..., int] | None) -> Callable:
    """No-op stand-in for `spaces.GPU`, which borrows a GPU for each call."""
    return task


def _first_figures(limit: int, temperature: float, seed: int | None) -> Figures:
    """Make the figures of two texts without a token."""
    return {
        "temperature": temperature,
        "seed": seed if temperature > 0 else None,
        "left_out": 0,
        "kept": False,
        "limit": limit,
        "base": {"tokens": 0, "seconds": 0.0},
        "tuned": {"tokens": 0, "seconds": 0.0},
    }


def _ignore(key: str, **values) -> None:
    pass


class Engine:
    """Two models, their catalogue and the limits of one service."""

    def __init__(
        self,
        pair: Pair,
        catalogue: Catalogue | None,
        settings: Settings,
        on_gpu: Callable[..., Callable] = run_here,
        catalogue_folder: Path | None = None,
    ) -> None:
        self.pair, self.catalogue, self.settings = pair, catalogue, settings
        self._catalogue_folder = catalogue_folder
        # On ZeroGPU each call runs in a process of its own, and a batch cannot be shared.
        self._batch: Batch | None = None
        if settings.batch_size > 1 and not settings.on_zero_gpu and can_batch(pair):
            self._batch = Batch(pair, settings.batch_size, settings.cache_mb * 2**20)
        self._generate_on_gpu = on_gpu(self._generate, duration=gpu_seconds)
        self._explain_on_gpu = on_gpu(self._explain, duration=gpu_seconds_to_explain)
        self.inside = Inside(pair, catalogue, settings, on_gpu)
        # Read once, while the model loads: on ZeroGPU other threads cannot ask for its device.
        self._info: Info = {
            "base": pair.base.name,
            "base_revision": pair.base.revision,
            "adapter": pair.adapter,
            "adapter_revision": pair.adapter_revision,
            "precision": pair.precision,
            "device": str(pair.device),
            "version": VERSION,
        }

    @property
    def at_once(self) -> int:
        """How many answers may be written at the same time."""
        return self.settings.batch_size if self._batch else 1

    def load(self) -> tuple[int, int]:
        """Count the answers that are being written and those that wait."""
        return self._batch.load() if self._batch else (int(self.pair.lock.locked()), 0)

    def count_tokens(self, text: str) -> int:
        """Count the tokens of a text."""
        return len(self.pair.tokenizer(text, add_special_tokens=False)["input_ids"])

    def answer(
        self,
        question: str,
        use_sources: bool,
        max_new_tokens: int,
        temperature: float,
        notify: Notify = _ignore,
        language: str = "",
    ) -> Generator[tuple[str, str, list[Hit]]]:
        """Yield (base text, tuned text, records in the prompt), growing.

        `[1]` in an answer cites the first record. `notify` gets what had to be cut. `language` is
        that of a question whose words show none. Raises InputError for an empty or too long
        question.
        """
        steps = self.converse(
            question,
            (),
            use_sources,
            max_new_tokens,
            temperature,
            notify=notify,
            language=language,
        )
        with closing(steps):
            for step in steps:
                yield step.base, step.tuned, step.sources

    def converse(
        self,
        question: str,
        turns: Sequence[Turn],
        use_sources: bool,
        max_new_tokens: int,
        temperature: float,
        seed: int | None = None,
        notify: Notify = _ignore,
        language: str = "",
    ) -> Generator[Step]:
        """Yield both answers to the next question after `turns`, growing.

        Each column knows its own earlier answers only. With a temperature and no seed, a random
        seed is chosen and returned in the figures. Raises what answer() raises.
        """
        found, kept = self._find(question, turns, use_sources)
        prompts, answer_limit = self._fit_question(question, turns, found, max_new_tokens, language)
        sources = [cast(Hit, dict(record)) for record in prompts[1].context]
        cut = 0
        for before, after in zip(found or [], sources, strict=False):
            cut += len(before["content"]) - len(after["content"])
        dropped = len(found or []) - len(sources)
        if cut or dropped:
            notify("records_cut", cut=cut, dropped=dropped)
        if temperature > 0 and seed is None:
            seed = secrets.randbelow(SEED_LIMIT + 1)
        messages_left_out = len(column_messages(turns, "tuned")) - len(prompts[1].messages) + 1
        figures = _first_figures(answer_limit, temperature, seed)
        figures["left_out"] = messages_left_out // 2
        figures["kept"] = kept and bool(sources)
        if found == [] and (suggested := self._suggest(question)):
            figures["suggested"] = suggested
        prompt_ids = [prompt.ids for prompt in prompts]
        figures = yield from self._write(prompt_ids, answer_limit, sources, figures)
        self._notify_late(figures, answer_limit, notify)

    def summarize(
        self, text: str, max_new_tokens: int, temperature: float, notify: Notify = _ignore
    ) -> Generator[tuple[str, str]]:
        """Yield (base summary, tuned summary), growing.

        Raises InputError for an empty or too long text.
        """
        with closing(self.write_summaries(text, max_new_tokens, temperature, notify)) as steps:
            for step in steps:
                yield step.base, step.tuned

    def write_summaries(
        self, text: str, max_new_tokens: int, temperature: float, notify: Notify = _ignore
    ) -> Generator[Step]:
        """Yield both summaries with their figures, growing.

        Raises what summarize() raises.
        """
        prompt, answer_limit = self._fit_text(text, max_new_tokens)
        if prompt.cut:
            notify("text_cut", cut=prompt.cut)
        figures = _first_figures(answer_limit, temperature, None)
        yield from self._write([prompt.ids, prompt.ids], answer_limit, [], figures)

    def explain(
        self,
        question: str,
        answer: str,
        use_sources: bool,
        max_new_tokens: int,
        turns: Sequence[Turn] = (),
        language: str = "",
    ) -> list[ExplainedToken]:
        """Compute how likely each token of an answer is to either model.

        Both read the tuned model's prompt for the question after `turns`. Raises InputError if
        question or answer is empty or too long.
        """
        found, _ = self._find(question, turns, use_sources)
        prompts, _ = self._fit_question(question, turns, found, max_new_tokens, language)
        return self._explain_text(prompts[1], answer, "answer")

    def explain_summary(self, text: str, summary: str, max_new_tokens: int) -> list[ExplainedToken]:
        """Compute the same for a summary, after the prompt of summarize()."""
        prompt, _ = self._fit_text(text, max_new_tokens)
        return self._explain_text(prompt, summary, "summary")

    def search(self, query: str, k: int) -> list[Hit]:
        """Find up to `k` records, best first."""
        query = check_text(query, self.settings.max_input_chars, "query")
        return self.catalogue.search(query, k) if self.catalogue else []

    def info(self) -> Info:
        """Get which models answer, and how they are loaded."""
        return self._info.copy()

    def evidence(self) -> Evidence:
        """Get what the adapter brought beside its weights."""
        return self._evidence

    def examples(self, count: int = 4) -> list[str]:
        """Make questions about titles of the catalogue, each in its record's language."""
        if self.catalogue is None:
            return []
        questions = []
        for index, title in enumerate(self.catalogue.titles(count)):
            hits = self.catalogue.search(title, 1)
            shown_language = detect_language(hits[0]["content"] if hits else title)
            templates = self.pair.prompt_template.questions[shown_language]
            questions.append(templates[index % len(templates)].format(title=title))
        return questions

    def mixed_examples(self) -> list[str]:
        """Make questions of several kinds for the first screen."""
        if self.catalogue is None:
            return []
        records: list[Hit] = []
        for title in self.catalogue.titles(MIXED_FROM)[2:]:
            records += self.catalogue.search(title, 1)
        mixed = mixed_questions(records, self._finds)
        return [*self.examples(2 if mixed else 4), *mixed]

    def _finds(self, question: str) -> bool:
        assert self.catalogue is not None
        return bool(keep_relevant(self.catalogue.search(question, self.settings.context_k)))

    @cached_property
    def _evidence(self) -> Evidence:
        assert self.pair.folder is not None  # an engine's adapter was loaded
        return read_evidence(self.pair.folder, self._catalogue_folder)

    def _write(
        self, prompts: Sequence[list[int]], limit: int, sources: list[Hit], figures: Figures
    ) -> Generator[Step, None, Figures]:
        """Yield both texts, growing, from before their first token.

        Returns the last figures.
        """
        yield Step("", "", sources, figures)
        temperature, seed = figures["temperature"], figures["seed"]
        answers = self._generate_on_gpu(prompts, limit, temperature, seed)
        with closing(answers):
            for base, tuned, written in answers:
                figures = {**figures, "base": written["base"], "tuned": written["tuned"]}
                yield Step(base, tuned, sources, figures)
        return figures

    # Only the next two use the model. On ZeroGPU they run in a forked process: their arguments and
    # results are copied there and back, and what they change in memory is lost.

    def _generate(
        self,
        prompts: Sequence[list[int]],
        max_new_tokens: int,
        temperature: float,
        seed: int | None = None,
    ) -> Generator[tuple[str, str, dict[Column, AnswerFigures]]]:
        """Yield both texts, and each column's number of tokens and seconds."""
        written: dict[Column, AnswerFigures] = {}
        for column in COLUMNS:
            written[column] = {"tokens": 0, "seconds": 0.0}
        start = time.perf_counter()
        write = self._batch.stream_answers if self._batch else partial(stream_answers, self.pair)
        base, tuned = prompts
        limit = self.settings.answer_seconds
        steps = write(base, tuned, max_new_tokens, temperature, seed, limit)
        with closing(steps):
            for answers in steps:
                passed = round(time.perf_counter() - start, 3)
                for column, answer in zip(COLUMNS, answers, strict=True):
                    if len(answer) > written[column]["tokens"]:
                        written[column] = {"tokens": len(answer), "seconds": passed}
                texts = [decode_text(self.pair, answer) for answer in answers]
                yield texts[0], texts[1], dict(written)

    def _explain(self, prompt: list[int], answer: list[int]) -> list[ExplainedToken]:
        if self._batch:
            return self._batch.run(explain_answer, self.pair, prompt, answer)
        return explain_answer(self.pair, prompt, answer)

    def _notify_late(self, figures: Figures, answer_limit: int, notify: Notify) -> None:
        """Say that an answer was ended by the limit of its time."""
        seconds = self.settings.answer_seconds
        cut = [
            column
            for column in COLUMNS
            if figures[column]["tokens"] < answer_limit and figures[column]["seconds"] >= seconds
        ]
        if cut:
            notify("time_cut", seconds=seconds)

    def _explain_text(self, prompt: Prompt, answer: str, what: str) -> list[ExplainedToken]:
        answer = check_text(answer, self.settings.max_input_chars, what)
        ids = answer_ids(self.pair.tokenizer, prompt.ids, prompt.messages, answer)
        over = len(ids) - self.pair.window.answer_limit(len(prompt.ids))
        if over > 0:
            raise InputError(f"window_{what}", over=over)
        return self._explain_on_gpu(prompt.ids, ids)

    def _find(
        self, question: str, turns: Sequence[Turn], use_sources: bool
    ) -> tuple[list[Hit] | None, bool]:
        """Find a question's records in the catalogue.

        Returns None where no catalogue is asked, and whether they are the records of the question
        before.
        """
        question = check_text(question, self.settings.max_input_chars)
        if not use_sources or self.catalogue is None:
            return None, False
        hits = self.catalogue.search(question, self.settings.context_k)
        if not turns:
            return keep_relevant(hits), False
        last = turns[-1]
        before = last["sources"]
        if not last["use_sources"]:
            before = keep_relevant(self.catalogue.search(last["question"], self.settings.context_k))
        phrases = []
        for kinds in self.pair.prompt_template.follow_ups.values():
            phrases += [*kinds["short"], *kinds["more"]]
        records = records_for_follow_up(question, before, hits, phrases)
        return records, records == before != keep_relevant(hits)

    def _suggest(self, question: str) -> str:
        """Find a title that a question without records may mean."""
        return suggest_title(self.catalogue.search(question, 2)) if self.catalogue else ""

    def _fit_question(
        self,
        question: str,
        turns: Sequence[Turn],
        found: list[Hit] | None,
        max_new_tokens: int,
        language: str,
    ) -> tuple[tuple[Prompt, Prompt], int]:
        """Make both prompts, the base's first, and the answers' limit in tokens."""
        question = check_text(question, self.settings.max_input_chars)
        # With a catalogue, a question that finds nothing stays an `answer`: the model then says
        # that the catalogue does not have it.
        task = "describe" if found is None else "answer"
        answer_limit, fit = self._prepare_fit(max_new_tokens)
        histories = [column_messages(turns, column) for column in COLUMNS]

        def fit_history(task, context, history) -> Prompt:
            return fit(task, question, context, history, language=language)

        return fit_prompts(fit_history, task, found or (), histories), answer_limit

    def _fit_text(self, text: str, max_new_tokens: int) -> tuple[Prompt, int]:
        """Make a summary's prompt and its limit in tokens."""
        text = check_text(text, self.settings.max_input_chars, "text")
        answer_limit, fit = self._prepare_fit(max_new_tokens)
        return fit("summarize", text), answer_limit

    def _prepare_fit(self, max_new_tokens: int) -> tuple[int, Callable[..., Prompt]]:
        """Divide the window into an answer's limit and fit_prompt() for the rest."""
        # An answer has at most half of the window; question and records have the rest, or an
        # encoder's own window.
        answer_limit = min(max_new_tokens, self.pair.window // 2)
        room = self.pair.window.prompt_limit(answer_limit)
        fit = partial(fit_prompt, self.pair.tokenizer, self.pair.prompt_template, room=room)
        return answer_limit, fit


def load_engine(settings: Settings, on_gpu: Callable[..., Callable] = run_here) -> Engine:
    """Load the models and the catalogue that the settings name.

    `on_gpu` wraps the two functions that use the model, as spaces.GPU does. Raises ModelError,
    PromptTemplateError or CatalogueError with a message of one line.
    """
    precision = settings.precision
    if precision == "auto":
        # Whether bitsandbytes works on ZeroGPU is disputed.
        precision = "bf16" if settings.on_zero_gpu else "nf4"
    catalogue = folder = None
    if settings.catalogue:
        folder = _find_catalogue(settings.catalogue, settings.catalogue_revision)
        catalogue = Catalogue.open(folder)
    pair = load_pair(
        settings.base_model,
        settings.adapter,
        settings.base_revision,
        settings.adapter_revision,
        precision,
        probe=not settings.on_zero_gpu,
    )
    return Engine(pair, catalogue, settings, on_gpu, folder)


def _find_catalogue(catalogue: str, revision: str | None) -> Path:
    """Find a catalogue/ folder, here or in a dataset on the Hub."""
    folder = Path(catalogue)
    is_path = folder.is_dir() or folder.is_absolute() or catalogue.startswith(".")
    if is_path or catalogue.count("/") != 1:
        return folder
    with translate_load_errors("catalogue", catalogue, CatalogueError):
        snapshot = snapshot_download(
            catalogue,
            repo_type="dataset",
            revision=revision,
            allow_patterns=["index/*", "report.json"],
        )
    folder = Path(snapshot)
    if not (folder / "index").is_dir():
        raise CatalogueError(
            f"catalogue {catalogue} at {folder.name[:7]} holds no search index: "
            "publish the catalogue again, or name another"
        )
    return folder
