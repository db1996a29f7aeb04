"""The public endpoints: their names, parameters and defaults are a promise. The only place for gr.Error."""

# Annotations are not postponed here: gradio reads a return type only as an object.
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import gradio as gr

from space.errors import InputError
from space.page.html.cards import NAME
from space.settings import RESULT_LIMIT, SEED_LIMIT, TEMPERATURE_LIMIT, TOKEN_LIMIT, Settings
from space.texts import Say, words

log = logging.getLogger(__name__)
MODEL = {
    "concurrency_id": "model",
    "concurrency_limit": 1,
}  # whatever uses the model waits in one line


def add_endpoints(engine, settings: Settings) -> None:
    """Gives the page that is being built its public endpoints."""
    gr.api(answer_endpoint(engine, settings), api_name="answer", **MODEL)
    gr.api(summarize_endpoint(engine, settings), api_name="summarize", **MODEL)
    gr.api(explain_endpoint(engine, settings), api_name="explain", **MODEL)
    gr.api(search_endpoint(engine, settings), api_name="search")
    gr.api(info_endpoint(engine), api_name="info")


def answer_endpoint(engine, settings: Settings, say: Say = words) -> Callable:
    """Returns the function behind /answer; `say` makes words of what it refuses or tells (see space/texts.py)."""

    def answer(
        question: str,
        use_sources: bool = True,
        max_new_tokens: int = settings.max_new_tokens,
        temperature: float = settings.temperature,
    ) -> tuple[str, str, list[dict]]:
        """Answer a question about a shop's products twice: with a base model, and with the same model fine-tuned on the
        shop's catalogue. The tuned answer is the one to use: it cites records, like [1], or says that the catalogue does
        not have what was asked for. The base's shows what the fine-tuning changed. Both stream as they grow.

        Parameters:
            question: What to answer, in English or Portuguese; the answer comes in the same language.
            use_sources: True: both models first read the records that match the question. False: from memory, perhaps invented.
            max_new_tokens: The longest answer, in tokens, 1 to 2048; it never takes more than half of the model's window.
            temperature: 0, the default, gives the most likely answer, the same every time; up to 2 gives more varied ones.
        Returns:
            the base's answer
            the tuned answer
            the list of records that both models read, [1] first, each with uid, title, content and score (0 to 1)
        """
        with refusals(say):
            length, heat = _check_asked(question, use_sources, max_new_tokens, temperature)
            yield from engine.answer(question, use_sources, length, heat, notices(say))

    return answer


def converse_in(engine, say: Say) -> Callable:
    """Returns Engine.converse() for a page, which refuses what /answer refuses, in the words of `say`."""

    def converse(question, talk, use_sources, max_new_tokens, temperature, seed) -> Iterator:
        with refusals(say):
            length, heat = _check_asked(question, use_sources, max_new_tokens, temperature)
            number = None if seed is None else _whole(seed, 0, SEED_LIMIT, "seed")
            yield from engine.converse(
                question, talk, use_sources, length, heat, number, notices(say)
            )

    return converse


def summarize_endpoint(
    engine, settings: Settings, say: Say = words, notify: Callable[..., None] | None = None
) -> Callable:
    """Returns the function behind /summarize; `say` as for /answer, `notify` instead of notices(say)."""

    def summarize(
        text: str,
        max_new_tokens: int = settings.summary_tokens,
        temperature: float = settings.temperature,
    ) -> tuple[str, str]:
        """Summarize a text about a product twice: with a base model, and with the same model fine-tuned on a shop's
        catalogue. The tuned summary is the one to use; the base's shows what the fine-tuning changed.

        Parameters:
            text: The text to shorten, in English or Portuguese.
            max_new_tokens: The longest summary, in tokens, 1 to 2048; it never takes more than half of the model's window.
            temperature: 0, the default, gives the most likely summary, the same every time; up to 2 more varied ones.
        Returns:
            the base's summary
            the tuned one
        """
        with refusals(say):
            _check_text(text, "text")
            length, heat = (
                _whole(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens"),
                _temperature(temperature),
            )
            yield from engine.summarize(text, length, heat, notify or notices(say))

    return summarize


def explain_endpoint(engine, settings: Settings) -> Callable:
    """Returns the function behind /explain."""

    def explain(question: str, answer: str, use_sources: bool = True) -> list[dict]:
        """Show what fine-tuning changed in an answer, token by token: the logprob (natural logarithm of the probability) that
        the base model and the tuned model give each token, and the alternatives, best first, that the base would rather
        have written there; an empty one ends the answer. Tuned less base is what fine-tuning changed.

        Parameters:
            question: The question that was asked.
            answer: The answer to explain: the tuned one, as `answer` returned it, or any other text.
            use_sources: As it was when the question was asked; the records that match it are read again.
        Returns:
            the list of tokens, which joined are the answer, each with token, base_logprob, tuned_logprob and alternatives
        """
        with refusals():
            _check_text(question, "question")
            _check_text(answer, "answer")
            _check_bool(use_sources)
            return engine.explain(question, answer, use_sources, settings.max_new_tokens)

    return explain


def search_endpoint(engine, settings: Settings) -> Callable:
    """Returns the function behind /search."""

    def search(query: str, k: int = settings.search_k) -> list[dict]:
        """Find the records of the shop's catalogue that match a query, best first; the list is empty where none does.

        Parameters:
            query: Words to look for, such as a product's name, or a whole question; slips of spelling are forgiven.
            k: How many records to return at most, 1 to 50.
        Returns:
            the list of records, each with uid, title, content and score (0 to 1, higher matches better)
        """
        with refusals():
            _check_text(query, "query")
            count = _whole(k, 1, RESULT_LIMIT, "k")
            return engine.search(query, count)

    return search


def info_endpoint(engine) -> Callable:
    """Returns the function behind /info."""

    def info() -> dict:
        """Tell which models answer here: base, adapter, the revision of each, precision, device and version, by name."""
        with refusals():
            return engine.info()

    return info


@contextmanager
def refusals(say: Say = words) -> Iterator[None]:
    """Makes errors into what the asker may read: refusals in words, failures without internals, which are logged."""
    try:
        yield
    except InputError as error:
        raise refusal(error.key, say, **error.values) from error
    except gr.Error:  # ZeroGPU's own words: whose minutes are used up, for example
        raise
    except Exception as error:
        log.exception("the engine failed")
        raise refusal("failed", say) from error


def refusal(key: str, say: Say = words, **values) -> gr.Error:
    """Returns the error that the asker sees: a text of space/texts.py, in the words of `say`."""
    # On the page gradio's title would be English; to a program it would only be more words.
    return gr.Error(
        say(key, **values), print_exception=False, **({} if say is words else {"title": NAME})
    )


def notices(say: Say) -> Callable[..., None]:
    """Returns what tells the asker something beside the answer, by a key of space/texts.py and its values."""
    return lambda key, **values: gr.Info(say(key, **values), title=NAME)


def _check_asked(question, use_sources, max_new_tokens, temperature) -> tuple[int, float]:
    """Returns the last two as what they are; raises InputError where one of the four cannot be used."""
    _check_text(question, "question")
    _check_bool(use_sources)
    return _whole(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens"), _temperature(temperature)


def _check_text(value, what: str) -> None:
    if not isinstance(value, str):
        raise InputError(f"not_text_{what}")


def _check_bool(use_sources) -> None:
    if not isinstance(use_sources, bool):
        raise InputError("not_bool", name="use_sources")


def _whole(value, low: int, high: int, what: str) -> int:
    """Returns a whole number from `low` to `high`; 5.0 is one too, since JSON and sliders do not tell them apart."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not low <= value <= high
        or value % 1
    ):
        raise InputError("not_whole", name=what, low=str(low), high=str(high))
    return int(value)


def _temperature(value) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= TEMPERATURE_LIMIT
    ):
        raise InputError("not_number", name="temperature", low=0, high=f"{TEMPERATURE_LIMIT:g}")
    return float(value)
