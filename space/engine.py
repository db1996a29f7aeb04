"""One question's journey: checked, its records found, its prompt made, answered by both models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from space.decode import answer_both
from space.pair import Pair, load_pair
from space.prompt import Prompt, check_text, fit_prompt, language
from space.settings import VERSION, Settings
from space.sources import Catalogue, relevant

Notify = Callable[[str], None]


def _quiet(words: str) -> None:
    """Takes a notice that nobody asked for."""


class Engine:
    """What the page and the endpoints ask: two models, their catalogue and the limits of one service."""

    def __init__(self, pair: Pair, catalogue: Catalogue | None, settings: Settings) -> None:
        self.pair, self.catalogue, self.settings = pair, catalogue, settings

    def answer(self, question: str, use_sources: bool, max_new_tokens: int, temperature: float,
               notify: Notify = _quiet) -> Iterator[tuple[str, str, list[dict]]]:
        """Yields (base text, tuned text, records in the prompt's order: `[1]` is the first), growing.

        Raises InputError for an empty or oversized question; `notify` is told in words what had to be cut.
        """
        question = check_text(question, self.settings.max_input_chars)
        # With a catalogue to look in, a question that finds nothing stays an `answer`: the model says that it is absent.
        looks, found = use_sources and self.catalogue is not None, []
        if looks:
            found = relevant(self.catalogue.search(question, self.settings.context_k))
        prompt, room = self._fit("answer" if looks else "describe", question, found, max_new_tokens)
        if prompt.cut or prompt.dropped:
            notify(f"To fit the model's window, {prompt.cut:,} characters of the records were cut and {prompt.dropped} "
                   "records left out.")
        sources = [dict(record) for record in prompt.context]
        yield "", "", sources
        for base, tuned in answer_both(self.pair, prompt.ids, prompt.ids, max_new_tokens=room, temperature=temperature):
            yield base, tuned, sources

    def summarize(self, text: str, max_new_tokens: int, temperature: float,
                  notify: Notify = _quiet) -> Iterator[tuple[str, str]]:
        """Yields (base summary, tuned summary), growing; raises InputError for an empty or oversized text."""
        text = check_text(text, self.settings.max_input_chars, "text")
        prompt, room = self._fit("summarize", text, [], max_new_tokens)
        if prompt.cut:
            notify(f"The last {prompt.cut:,} characters do not fit the model's window and were left out.")
        yield "", ""
        yield from answer_both(self.pair, prompt.ids, prompt.ids, max_new_tokens=room, temperature=temperature)

    def search(self, query: str, k: int) -> list[dict]:
        """Returns up to `k` records, best first: uid, title, content, score (0 to 1)."""
        query = check_text(query, self.settings.max_input_chars, "query")
        return self.catalogue.search(query, k) if self.catalogue else []

    def info(self) -> dict:
        """Returns which models answer, and how they are loaded."""
        pair = self.pair
        return {"base": pair.base.name, "base_revision": pair.base.revision, "adapter": pair.adapter,
                "adapter_revision": pair.adapter_revision, "precision": pair.precision, "device": str(pair.device),
                "version": VERSION}

    def examples(self, count: int = 4) -> list[str]:
        """Returns questions about titles of the catalogue, each in its title's language."""
        questions = []
        for index, title in enumerate(self.catalogue.titles(count) if self.catalogue else []):
            record = self.catalogue.search(title, 1)
            asked = self.pair.wording.questions[language(record[0]["content"] if record else title)]
            questions.append(asked[index % len(asked)].format(title=title))
        return questions

    def _fit(self, task: str, text: str, context: list[Mapping], max_new_tokens: int) -> tuple[Prompt, int]:
        # An answer may take up to half the window; the question and its records have the rest.
        room = min(max_new_tokens, self.pair.window // 2)
        prompt = fit_prompt(self.pair.tokenizer, self.pair.wording, task, text, context, room=self.pair.window - room)
        return prompt, room


def load_engine(settings: Settings) -> Engine:
    """Loads what the settings name; raises PairError, WordingError or SourceError in one line."""
    automatic = "bf16" if settings.on_zero_gpu else "nf4"  # whether bitsandbytes works on ZeroGPU is disputed
    precision = automatic if settings.precision == "auto" else settings.precision
    catalogue = Catalogue.open(Path(settings.catalogue)) if settings.catalogue else None
    pair = load_pair(settings.base_model, settings.adapter, settings.base_revision, settings.adapter_revision, precision)
    return Engine(pair, catalogue, settings)
