"""The public endpoints, whose names, parameters and defaults are a promise, and their errors."""

# Annotations are not postponed here: gradio reads a return type only as an object, and describes
# no TypedDict, so that records and tokens are plain dicts here.
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypedDict, cast, get_args

import gradio as gr
from gradio.events import api

from space.engine import Engine
from space.errors import InputError
from space.page.html.cards import NAME
from space.settings import RESULT_LIMIT, SEED_LIMIT, TEMPERATURE_LIMIT, TOKEN_LIMIT, Settings
from space.texts import LANGUAGES, Say, words

log = logging.getLogger(__name__)


class Queue(TypedDict):
    concurrency_id: str
    concurrency_limit: int


MODEL: Queue = {"concurrency_id": "model", "concurrency_limit": 1}  # one queue for the model


def model_queue(engine: Engine) -> Queue:
    """Let as many into the model's queue as it answers at once."""
    return {**MODEL, "concurrency_limit": engine.at_once}


def add_endpoints(engine: Engine, settings: Settings) -> None:
    """Add the public endpoints to the page that is being built."""
    model = model_queue(engine)
    api(answer_endpoint(engine, settings), api_name="answer", **model)
    api(summarize_endpoint(engine, settings), api_name="summarize", **model)
    api(explain_endpoint(engine, settings), api_name="explain", **model)
    api(search_endpoint(engine, settings), api_name="search")
    api(info_endpoint(engine), api_name="info")


def describe_yields(generator: Callable) -> Callable:
    """Annotate a generator with what it yields: gradio describes its results."""
    (yielded,) = get_args(generator.__annotations__["return"])
    generator.__annotations__["return"] = yielded
    return generator


def answer_endpoint(engine: Engine, settings: Settings, say: Say = words) -> Callable:
    """Build the function of /answer, whose messages `say` renders."""

    @describe_yields
    def answer(
        question: str,
        use_sources: bool = True,
        max_new_tokens: int = settings.max_new_tokens,
        temperature: float = settings.temperature,
        language: str = "",
    ) -> Iterator[tuple[str, str, list[dict]]]:
        """Answer a question about a shop's products twice: with a base model,
        and with the same model fine-tuned on the shop's catalogue. The tuned answer is the one to
        use: it cites records, like [1], or says that the catalogue does not have what was asked
        for. The base's shows what the fine-tuning changed. Both stream as they grow.

        Parameters:
            question: What to answer, in English or Portuguese; the answer comes in the same language.
            use_sources: True: both models first read the records that match the question. False: from memory, perhaps invented.
            max_new_tokens: The longest answer, in tokens, 1 to 2048; it never takes more than half of the model's window.
            temperature: 0, the default, gives the most likely answer, the same every time; up to 2 gives more varied ones.
            language: "en" or "pt" for a question whose words show no language, such as a bare name; empty is English.
        Returns:
            the base's answer
            the tuned answer
            the list of records that both models read, [1] first, each with uid, title, content and score (0 to 1)
        """  # noqa: E501 (gradio reads a parameter's description from one line)
        with visible_errors(say):
            _check_text(question, "question")
            _check_bool(use_sources, "use_sources")
            limit = _check_int(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens")
            temperature = _check_temperature(temperature)
            _check_language(language)
            steps = engine.answer(
                question, use_sources, limit, temperature, show_notice(say), language
            )
            yield from cast(Iterator[tuple[str, str, list[dict]]], steps)

    return answer


def converse_endpoint(engine: Engine, say: Say) -> Callable:
    """Build Engine.converse() for the page, with the checks of /answer."""

    def converse(
        question, turns, use_sources, max_new_tokens, temperature, seed, language=""
    ) -> Iterator:
        with visible_errors(say):
            _check_text(question, "question")
            _check_bool(use_sources, "use_sources")
            limit = _check_int(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens")
            temperature = _check_temperature(temperature)
            drawn = _check_seed(seed)
            yield from engine.converse(
                question, turns, use_sources, limit, temperature, drawn, show_notice(say), language
            )

    return converse


def summarize_endpoint(engine: Engine, settings: Settings, say: Say = words) -> Callable:
    """Build the function of /summarize, whose messages `say` renders."""

    @describe_yields
    def summarize(
        text: str,
        max_new_tokens: int = settings.summary_tokens,
        temperature: float = settings.temperature,
    ) -> Iterator[tuple[str, str]]:
        """Summarize a text about a product twice: with a base model,
        and with the same model fine-tuned on a shop's catalogue. Neither is
        checked against the text: compare both with it before use.

        Parameters:
            text: The text to shorten, in English or Portuguese.
            max_new_tokens: The longest summary, in tokens, 1 to 2048; it never takes more than half of the model's window.
            temperature: 0, the default, gives the most likely summary, the same every time; up to 2 more varied ones.
        Returns:
            the base's summary
            the tuned one
        """  # noqa: E501 (gradio reads a parameter's description from one line)
        with visible_errors(say):
            _check_text(text, "text")
            limit = _check_int(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens")
            temperature = _check_temperature(temperature)
            yield from engine.summarize(text, limit, temperature, show_notice(say))

    return summarize


def summaries_endpoint(engine: Engine, say: Say, notify: Callable[..., None]) -> Callable:
    """Build Engine.write_summaries() for the page, with the checks of /summarize."""

    def summarize(text, max_new_tokens, temperature) -> Iterator:
        with visible_errors(say):
            _check_text(text, "text")
            limit = _check_int(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens")
            temperature = _check_temperature(temperature)
            yield from engine.write_summaries(text, limit, temperature, notify)

    return summarize


def explain_endpoint(engine: Engine, settings: Settings) -> Callable:
    """Build the function of /explain."""

    def explain(
        question: str, answer: str, use_sources: bool = True, language: str = ""
    ) -> list[dict]:
        """Show what fine-tuning changed in an answer, token by token:
        the logprob (natural logarithm of the probability) that the base model and the tuned model
        give each token, and the alternatives, best first, that the base would rather have written
        there; an empty one ends the answer. Tuned less base is what fine-tuning changed.

        Parameters:
            question: The question that was asked.
            answer: The answer to explain: the tuned one, as `answer` returned it, or any other text.
            use_sources: As it was when the question was asked; the records that match it are read again.
            language: As it was when the question was asked.
        Returns:
            the list of tokens, which joined are the answer, each with token, base_logprob, tuned_logprob and alternatives
        """  # noqa: E501 (gradio reads a parameter's description from one line)
        with visible_errors():
            _check_text(question, "question")
            _check_text(answer, "answer")
            _check_bool(use_sources, "use_sources")
            _check_language(language)
            tokens = engine.explain(
                question, answer, use_sources, settings.max_new_tokens, language=language
            )
            return cast(list[dict], tokens)

    return explain


def search_endpoint(engine: Engine, settings: Settings) -> Callable:
    """Build the function of /search."""

    def search(query: str, k: int = settings.search_k) -> list[dict]:
        """Find the records of the shop's catalogue that match a query,
        best first; the list is empty where none does.

        Parameters:
            query: Words to look for, such as a product's name, or a whole question; slips of spelling are forgiven.
            k: How many records to return at most, 1 to 50.
        Returns:
            the list of records, each with uid, title, content and score (0 to 1, higher matches better)
        """  # noqa: E501 (gradio reads a parameter's description from one line)
        with visible_errors():
            _check_text(query, "query")
            return cast(list[dict], engine.search(query, _check_int(k, 1, RESULT_LIMIT, "k")))

    return search


def info_endpoint(engine: Engine) -> Callable:
    """Build the function of /info."""

    def info() -> dict:
        """Tell which models answer here: base, adapter, the revision of each,
        precision, device and version, by name."""
        with visible_errors():
            return cast(dict, engine.info())

    return info


# --- errors ----------------------------------------------------------------------------------


@contextmanager
def visible_errors(say: Say = words) -> Iterator[None]:
    """Raise errors as messages for the caller, without internals, which are logged."""
    try:
        yield
    except InputError as error:
        raise visible_error(error.key, say, **error.values) from error
    except gr.Error:  # ZeroGPU's own message, for example that its minutes are used up
        raise
    except Exception as error:
        log.exception("the engine failed")
        raise visible_error("failed", say) from error


def visible_error(key: str, say: Say = words, **values) -> gr.Error:
    """Build the error that a caller sees from a text of space/texts.json."""
    message = say(key, **values)
    if say is words:
        return gr.Error(message, print_exception=False)
    # On the page gradio's own title would be English.
    return gr.Error(message, print_exception=False, title=NAME)


def silent_error() -> gr.Error:
    """Build an error that ends an event and is not shown."""
    return gr.Error("", visible=False, print_exception=False)


def show_notice(say: Say) -> Callable[..., None]:
    """Build a function that shows a notice of space/texts.json."""
    return lambda key, **values: gr.Info(say(key, **values), title=NAME)


def _check_text(value, what: str) -> None:
    if not isinstance(value, str):
        raise InputError(f"not_text_{what}")


def _check_bool(value, what: str) -> None:
    if not isinstance(value, bool):
        raise InputError("not_bool", name=what)


def _check_language(value) -> None:
    if value not in ("", *LANGUAGES):
        raise InputError("not_language", value=str(value)[:40])


def _check_int(value, low: int, high: int, what: str) -> int:
    """Return an integer, which JSON and sliders may send as 5.0."""
    if not _is_number(value) or not low <= value <= high or value % 1:
        raise InputError("not_whole", name=what, low=str(low), high=str(high))
    return int(value)


def _check_seed(typed: str | None) -> int | None:
    """Read a typed seed, or None for an empty one."""
    typed = (typed or "").strip()
    if not typed:
        return None
    known = typed.isascii() and typed.isdigit() and len(typed) < 20
    return _check_int(int(typed) if known else None, 0, SEED_LIMIT, "seed")


def _check_temperature(value) -> float:
    if not _is_number(value) or not 0 <= value <= TEMPERATURE_LIMIT:
        raise InputError("not_number", name="temperature", low=0, high=f"{TEMPERATURE_LIMIT:g}")
    return float(value)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
