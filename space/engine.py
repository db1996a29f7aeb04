"""One question's journey: checked, its records found, its prompt made, answered by both models, and explained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path

from huggingface_hub import snapshot_download

from space.base import named
from space.decode import answer_both
from space.evidence import Evidence, read_evidence
from space.explain import explain
from space.pair import Pair, load_pair
from space.prompt import InputError, Prompt, answer_ids, check_text, fit_prompt, language
from space.settings import VERSION, Settings
from space.sources import Catalogue, SourceError, relevant

Notify = Callable[..., None]  # takes a key of space/texts.py, and its values
# What a visitor's daily minutes on ZeroGPU are asked for, at the least: a 7B in bf16 that first goes to its card.
GPU_START, GPU_SPEED, GPU_LIMIT = 10, 16, 120  # seconds; tokens a second; seconds


def _quiet(key: str, **values) -> None:
    """Takes a notice that nobody asked for."""


def gpu_seconds(prompt: Sequence[int], max_new_tokens: int, temperature: float) -> int:
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

    def __init__(self, pair: Pair, catalogue: Catalogue | None, settings: Settings,
                 on_gpu: Callable[..., Callable] = at_hand, catalogue_folder: Path | None = None) -> None:
        self.pair, self.catalogue, self.settings = pair, catalogue, settings
        self._catalogue_folder = catalogue_folder
        self._write = on_gpu(self._generate, duration=gpu_seconds)
        self._compare = on_gpu(self._explain, duration=gpu_seconds_to_explain)
        # Asked of the model once, while it loads: on ZeroGPU other threads do not know where it is.
        self._info = {"base": pair.base.name, "base_revision": pair.base.revision, "adapter": pair.adapter,
                      "adapter_revision": pair.adapter_revision, "precision": pair.precision,
                      "device": str(pair.device), "version": VERSION}

    def answer(self, question: str, use_sources: bool, max_new_tokens: int, temperature: float,
               notify: Notify = _quiet) -> Iterator[tuple[str, str, list[dict]]]:
        """Yields (base text, tuned text, records in the prompt's order: `[1]` is the first), growing.

        Raises InputError for an empty or oversized question; `notify` is told what had to be cut.
        """
        prompt, room = self._ask(question, use_sources, max_new_tokens)
        if prompt.cut or prompt.dropped:
            notify("records_cut", cut=prompt.cut, dropped=prompt.dropped)
        sources = [dict(record) for record in prompt.context]
        yield "", "", sources
        with closing(self._write(prompt.ids, room, temperature)) as answers:
            for base, tuned in answers:
                yield base, tuned, sources

    def summarize(self, text: str, max_new_tokens: int, temperature: float,
                  notify: Notify = _quiet) -> Iterator[tuple[str, str]]:
        """Yields (base summary, tuned summary), growing; raises InputError for an empty or oversized text."""
        prompt, room = self._ask_to_summarize(text, max_new_tokens)
        if prompt.cut:
            notify("text_cut", cut=prompt.cut)
        yield "", ""
        yield from self._write(prompt.ids, room, temperature)

    def explain(self, question: str, answer: str, use_sources: bool, max_new_tokens: int) -> list[dict]:
        """Returns how likely each token of an answer is to either model, after the prompt that answer() makes of the question
        now (see space/explain.py); raises InputError where question or answer is empty or too long."""
        return self._explained(self._ask(question, use_sources, max_new_tokens)[0], answer, "answer")

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
            asked = self.pair.wording.questions[language(record[0]["content"] if record else title)]
            questions.append(asked[index % len(asked)].format(title=title))
        return questions

    @cached_property
    def _evidence(self) -> Evidence:
        return read_evidence(self.pair.folder, self._catalogue_folder, self.pair.wording)

    # These two use the model, and nothing else does. On ZeroGPU they run in a process that is forked off: what they are given
    # and what they yield or return travel there and back, and what they change stays behind.

    def _generate(self, prompt: list[int], max_new_tokens: int, temperature: float) -> Iterator[tuple[str, str]]:
        yield from answer_both(self.pair, prompt, prompt, max_new_tokens=max_new_tokens, temperature=temperature)

    def _explain(self, prompt: list[int], answer: list[int]) -> list[dict]:
        return explain(self.pair, prompt, answer)

    def _explained(self, prompt: Prompt, answer: str, what: str) -> list[dict]:
        answer = check_text(answer, self.settings.max_input_chars, what)
        ids = answer_ids(self.pair.tokenizer, prompt.ids, prompt.talk, answer)
        over = len(ids) - self.pair.window.after(len(prompt.ids))
        if over > 0:
            raise InputError(f"window_{what}", over=over)
        return self._compare(prompt.ids, ids)

    def _ask(self, question: str, use_sources: bool, max_new_tokens: int) -> tuple[Prompt, int]:
        """Returns a question's prompt with the records that it finds, and how many tokens its answer may have."""
        question = check_text(question, self.settings.max_input_chars)
        # With a catalogue to look in, a question that finds nothing stays an `answer`: the model says that it is absent.
        looks, found = use_sources and self.catalogue is not None, []
        if looks:
            found = relevant(self.catalogue.search(question, self.settings.context_k))
        return self._fit("answer" if looks else "describe", question, found, max_new_tokens)

    def _ask_to_summarize(self, text: str, max_new_tokens: int) -> tuple[Prompt, int]:
        text = check_text(text, self.settings.max_input_chars, "text")
        return self._fit("summarize", text, [], max_new_tokens)

    def _fit(self, task: str, text: str, context: list[Mapping], max_new_tokens: int) -> tuple[Prompt, int]:
        # An answer may take up to half the window; the question and its records have the rest, or an encoder's own.
        room = min(max_new_tokens, self.pair.window // 2)
        prompt = fit_prompt(self.pair.tokenizer, self.pair.wording, task, text, context, room=self.pair.window.before(room))
        return prompt, room


def load_engine(settings: Settings, on_gpu: Callable[..., Callable] = at_hand) -> Engine:
    """Loads what the settings name; raises PairError, WordingError or SourceError in one line.

    `on_gpu` wraps the two functions that use the model, as spaces.GPU does.
    """
    automatic = "bf16" if settings.on_zero_gpu else "nf4"  # whether bitsandbytes works on ZeroGPU is disputed
    precision = automatic if settings.precision == "auto" else settings.precision
    catalogue = folder = None
    if settings.catalogue:
        folder = _catalogue_folder(settings.catalogue, settings.catalogue_revision)
        catalogue = Catalogue.open(folder)
    pair = load_pair(settings.base_model, settings.adapter, settings.base_revision, settings.adapter_revision, precision)
    return Engine(pair, catalogue, settings, on_gpu, folder)


def _catalogue_folder(catalogue: str, revision: str | None) -> Path:
    """Returns a run's catalogue/ folder: the one here, or the index and the report of a dataset repository on the Hub."""
    folder = Path(catalogue)
    if folder.is_dir() or folder.is_absolute() or catalogue.startswith(".") or catalogue.count("/") != 1:
        return folder
    with named("catalogue", catalogue, SourceError):
        folder = Path(snapshot_download(catalogue, repo_type="dataset", revision=revision,
                                        allow_patterns=["index/*", "report.json"]))
    if not (folder / "index").is_dir():
        raise SourceError(f"catalogue {catalogue} at {folder.name[:7]} holds no search index: publish the catalogue again, "
                          "or name another")
    return folder
