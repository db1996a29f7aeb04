"""build_demo(...) -> gr.Blocks and the public endpoints; the only place for gr.Error."""

# Annotations are not postponed here: gradio reads a return type only as an object.
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import gradio as gr

from space import cards
from space.cards import TEXT
from space.prompt import InputError
from space.settings import RESULT_LIMIT, TEMPERATURE_LIMIT, TOKEN_LIMIT, Settings

log = logging.getLogger(__name__)
MODEL = {"concurrency_id": "model", "concurrency_limit": 1}  # whatever uses the model waits in one line
QUIET = {"show_progress": "hidden", "api_visibility": "private"}


def build_demo(engine, settings: Settings) -> gr.Blocks:
    """Returns the page with its public endpoints, ready to launch; `engine` answers (see space/engine.py)."""
    info, answer, summarize = engine.info(), answer_endpoint(engine, settings), summarize_endpoint(engine, settings)
    with gr.Blocks(title=cards.NAME, analytics_enabled=False) as demo:
        _html(cards.header())
        with gr.Tab(TEXT["ask_tab"]):
            _ask_tab(answer, info, engine.examples(), settings)
        with gr.Tab(TEXT["summarize_tab"]):
            _summarize_tab(summarize, info, settings)
        add_endpoints(engine, settings)
    return demo.queue(max_size=settings.queue_size, api_open=False)


def add_endpoints(engine, settings: Settings) -> None:
    """Gives the page that is being built its four public endpoints."""
    gr.api(answer_endpoint(engine, settings), api_name="answer", **MODEL)
    gr.api(summarize_endpoint(engine, settings), api_name="summarize", **MODEL)
    gr.api(search_endpoint(engine, settings), api_name="search")
    gr.api(info_endpoint(engine), api_name="info")


def launch_options(settings: Settings) -> dict:
    """Returns the keyword arguments of demo.launch(): looks, address, and what gradio must not show or record."""
    return {
        "theme": cards.theme(), "css": Path(__file__).with_name("page.css").read_text(encoding="utf-8"),
        "server_name": "0.0.0.0" if settings.on_space else "127.0.0.1", "server_port": settings.port,
        "mcp_server": True, "ssr_mode": False, "show_error": True, "strict_cors": True, "share": False,
        "enable_monitoring": False, "run_history": False, "footer_links": ["api"],
    }


# --- the public endpoints: names, parameters and defaults are a promise -----------------------------------------------


def answer_endpoint(engine, settings: Settings) -> Callable:
    """Returns the function behind /answer."""
    def answer(question: str, use_sources: bool = True, max_new_tokens: int = settings.max_new_tokens,
               temperature: float = settings.temperature) -> tuple[str, str, list[dict]]:
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
        _check_text(question, "question")
        if not isinstance(use_sources, bool):
            raise _refusal(TEXT["not_bool"])
        length, heat = _whole(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens"), _temperature(temperature)
        with _words_for_visitors():
            yield from engine.answer(question, use_sources, length, heat, gr.Info)
    return answer


def summarize_endpoint(engine, settings: Settings) -> Callable:
    """Returns the function behind /summarize."""
    def summarize(text: str, max_new_tokens: int = settings.summary_tokens,
                  temperature: float = settings.temperature) -> tuple[str, str]:
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
        _check_text(text, "text")
        length, heat = _whole(max_new_tokens, 1, TOKEN_LIMIT, "max_new_tokens"), _temperature(temperature)
        with _words_for_visitors():
            yield from engine.summarize(text, length, heat, gr.Info)
    return summarize


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
        _check_text(query, "query")
        count = _whole(k, 1, RESULT_LIMIT, "k")
        with _words_for_visitors():
            return engine.search(query, count)
    return search


def info_endpoint(engine) -> Callable:
    """Returns the function behind /info."""
    def info() -> dict:
        """Tell which models answer here: base, adapter, the revision of each, precision, device and version, by name."""
        with _words_for_visitors():
            return engine.info()
    return info


@contextmanager
def _words_for_visitors() -> Iterator[None]:
    """Turns what an engine raises into gr.Error: an InputError's own words; else a plain sentence, and a log entry."""
    try:
        yield
    except InputError as error:
        raise _refusal(str(error)) from error
    except gr.Error:  # ZeroGPU's own words: whose minutes are used up, for example
        raise
    except Exception as error:
        log.exception("the engine failed")
        raise _refusal(TEXT["failed"]) from error


def _refusal(words: str) -> gr.Error:
    return gr.Error(words, print_exception=False)


def _check_text(value, what: str) -> None:
    if not isinstance(value, str):
        raise _refusal(TEXT["not_text"].format(what=what))


def _whole(value, low: int, high: int, what: str) -> int:
    """Returns a whole number from `low` to `high`; 5.0 is one too, since JSON and sliders do not tell them apart."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high or value % 1:
        raise _refusal(TEXT["not_whole"].format(what=what, low=low, high=high))
    return int(value)


def _temperature(value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= TEMPERATURE_LIMIT:
        raise _refusal(TEXT["not_number"].format(what="temperature", low=0, high=f"{TEMPERATURE_LIMIT:g}"))
    return float(value)


# --- the page --------------------------------------------------------------------------------------------------------


def _ask_tab(answer: Callable, info: dict, examples: list[str], settings: Settings) -> None:
    def stream(question, use_sources, max_new_tokens, temperature):
        drawn = None
        with closing(answer(question, use_sources, max_new_tokens, temperature)) as answers:
            for base, tuned, sources in answers:
                marks = sources, cards.cited(tuned, len(sources))
                # Drawn only when they change, so that a record that was opened stays open.
                shelf = gr.skip() if marks == drawn else cards.records(*marks)
                drawn = marks
                yield cards.pair(info, base, tuned, len(sources)), shelf

    has_catalogue = settings.catalogue is not None
    question = gr.Textbox(label=TEXT["question"], placeholder=TEXT["question_hint"], lines=1, max_lines=6,
                          autofocus=True, elem_classes="question")
    with gr.Row(elem_classes="controls"):
        buttons = _three_buttons(TEXT["ask"])
        use_sources = gr.Checkbox(has_catalogue, label=TEXT["use_sources"], interactive=has_catalogue, container=False,
                                  info=TEXT["use_sources_info" if has_catalogue else "no_catalogue"])
    chosen = gr.Dataset(components=[question], samples=[[text] for text in examples], label=TEXT["examples"],
                        type="values", visible=bool(examples), elem_classes="examples")
    options = _options(settings.max_new_tokens, settings)
    pair, shelf = _html(cards.pair(info)), _html(cards.records())
    picked = chosen.click(lambda sample: sample[0], chosen, question, queue=False, **QUIET)
    _wire(question, buttons, pair, info, stream, [question, use_sources, *options], shelf, picked)


def _summarize_tab(summarize: Callable, info: dict, settings: Settings) -> None:
    def stream(text, max_new_tokens, temperature):
        with closing(summarize(text, max_new_tokens, temperature)) as summaries:
            yield from (cards.pair(info, base, tuned) for base, tuned in summaries)

    text = gr.Textbox(label=TEXT["text"], placeholder=TEXT["text_hint"], lines=7, max_lines=16)
    with gr.Row(elem_classes="controls"):
        buttons = _three_buttons(TEXT["summarize"])
    options = _options(settings.summary_tokens, settings)
    _wire(text, buttons, _html(cards.pair(info)), info, stream, [text, *options])


def _wire(box, buttons, pair, info: dict, stream: Callable, inputs: list, shelf=None, picked=None) -> None:
    """Connects one tab: `stream` yields the answer cards[, and the records]; `shelf` shows the records;
    `picked` is the event that put an example in the box, which is asked at once."""
    (ask, stop, clear), shown = buttons, [pair, shelf] if shelf else [pair]
    blank = [cards.records()] if shelf else []

    def begin(answers, words):
        if cards.is_writing(answers) or not words.strip():
            raise _refusal(TEXT["busy" if words.strip() else "empty"])
        return cards.pair(info, "", ""), *blank, *_buttons(busy=True)

    def settle(answers):
        return cards.settled(answers), *_buttons()

    starts = [gr.on([ask.click, box.submit], begin, [pair, box], [*shown, *buttons], concurrency_limit=None, **QUIET)]
    if picked:
        starts.append(picked.then(begin, [pair, box], [*shown, *buttons], concurrency_limit=None, **QUIET))
    runs = [start.success(stream, inputs, shown, **MODEL, **QUIET) for start in starts]
    for run in runs:
        # `then` comes after an end or a stop, whose own handler a late word could overtake; not after an error.
        for after in (run.then, run.failure):
            after(settle, pair, [pair, *buttons], queue=False, **QUIET)
    stop.click(None, cancels=runs)
    clear.click(lambda: (cards.pair(info), *blank, ""), None, [*shown, box], queue=False, **QUIET)


def _html(value: str) -> gr.HTML:
    return gr.HTML(value, js_on_load=None, apply_default_css=False)


def _three_buttons(verb: str) -> tuple[gr.Button, gr.Button, gr.Button]:
    return (gr.Button(verb, variant="primary", scale=0, min_width=112),
            gr.Button(TEXT["stop"], interactive=False, scale=0, min_width=80), gr.Button(TEXT["clear"], scale=0, min_width=80))


def _buttons(busy: bool = False) -> tuple[gr.Button, gr.Button, gr.Button]:
    return gr.Button(interactive=not busy), gr.Button(interactive=busy), gr.Button(interactive=not busy)


def _options(tokens: int, settings: Settings) -> list[gr.Slider]:
    with gr.Accordion(TEXT["settings"], open=False):
        return [gr.Slider(1, TOKEN_LIMIT, tokens, step=1, label=TEXT["max_new_tokens"]),
                gr.Slider(0, TEMPERATURE_LIMIT, settings.temperature, step=0.05, label=TEXT["temperature"])]
