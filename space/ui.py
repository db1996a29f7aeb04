"""build_demo(...) -> gr.Blocks: the page, which is wiring over a few named functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import gradio as gr

from space import cards
from space.cards import TEXT
from space.endpoints import MODEL, add_endpoints, answer_endpoint, refusal, summarize_endpoint
from space.settings import TEMPERATURE_LIMIT, TOKEN_LIMIT, Settings

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


def launch_options(settings: Settings) -> dict:
    """Returns the keyword arguments of demo.launch(): looks, address, and what gradio must not show or record."""
    return {
        "theme": cards.theme(), "css": Path(__file__).with_name("page.css").read_text(encoding="utf-8"),
        "server_name": "0.0.0.0" if settings.on_space else "127.0.0.1", "server_port": settings.port,
        "mcp_server": True, "ssr_mode": False, "show_error": True, "strict_cors": True, "share": False,
        "enable_monitoring": False, "run_history": False, "footer_links": ["api"],
    }


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
            raise refusal(TEXT["busy" if words.strip() else "empty"])
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
