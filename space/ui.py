"""build_demo(...) -> gr.Blocks: the page, which is wiring over a few named functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from space import cards, changed
from space.cards import TEXT
from space.endpoints import MODEL, add_endpoints, answer_endpoint, refusal, summarize_endpoint, words_for_visitors
from space.settings import TEMPERATURE_LIMIT, TOKEN_LIMIT, Settings

QUIET = {"show_progress": "hidden", "api_visibility": "private"}


@dataclass(frozen=True)
class Tab:
    """The parts of a tab that its events read and draw."""

    box: gr.Textbox
    ask: gr.Button
    stop: gr.Button
    clear: gr.Button
    pair: gr.HTML
    why: gr.Button
    asked: gr.State  # of the answers that are shown: what Engine.explain is called with; None where there is nothing to explain
    changes: gr.HTML
    shelf: gr.HTML | None = None

    @property
    def buttons(self) -> list[gr.Button]:
        """In the order of _states()."""
        return [self.ask, self.stop, self.clear, self.why]


def build_demo(engine, settings: Settings) -> gr.Blocks:
    """Returns the page with its public endpoints, ready to launch; `engine` answers (see space/engine.py)."""
    info = engine.info()
    with gr.Blocks(title=cards.NAME, analytics_enabled=False) as demo:
        _html(cards.header())
        with gr.Tab(TEXT["ask_tab"]):
            _ask_tab(engine, info, settings)
        with gr.Tab(TEXT["summarize_tab"]):
            _summarize_tab(engine, info, settings)
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


def _ask_tab(engine, info: dict, settings: Settings) -> None:
    answer, examples = answer_endpoint(engine, settings), engine.examples()

    def stream(question, use_sources, max_new_tokens, temperature):
        drawn = None
        with closing(answer(question, use_sources, max_new_tokens, temperature)) as answers:
            for base, tuned, sources in answers:
                marks = sources, cards.cited(tuned, len(sources))
                # Drawn only when they change, so that a record that was opened stays open.
                shelf = gr.skip() if marks == drawn else cards.records(*marks)
                drawn = marks
                asked = (question, tuned, use_sources, int(max_new_tokens)) if tuned else None
                yield cards.pair(info, base, tuned, len(sources)), asked, shelf

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
    tab = Tab(question, *buttons, _html(cards.pair(info)), *_changes(), _html(cards.records()))
    picked = chosen.click(lambda sample: sample[0], chosen, question, queue=False, **QUIET)
    _wire(tab, info, stream, [question, use_sources, *options], picked)
    _wire_changes(tab, engine.explain, "of-an-answer")


def _summarize_tab(engine, info: dict, settings: Settings) -> None:
    summarize = summarize_endpoint(engine, settings)

    def stream(text, max_new_tokens, temperature):
        with closing(summarize(text, max_new_tokens, temperature)) as summaries:
            for base, tuned in summaries:
                yield cards.pair(info, base, tuned), (text, tuned, int(max_new_tokens)) if tuned else None

    text = gr.Textbox(label=TEXT["text"], placeholder=TEXT["text_hint"], lines=7, max_lines=16)
    with gr.Row(elem_classes="controls"):
        buttons = _three_buttons(TEXT["summarize"])
    options = _options(settings.summary_tokens, settings)
    tab = Tab(text, *buttons, _html(cards.pair(info)), *_changes())
    _wire(tab, info, stream, [text, *options])
    _wire_changes(tab, engine.explain_summary, "of-a-summary")


def _wire(tab: Tab, info: dict, stream: Callable, inputs: list, picked=None) -> None:
    """Connects one tab: `stream` yields the answer cards, what was asked[, and the records]; `picked` is the event that put an
    example in the box, which is asked at once."""
    shown, blank = ([tab.pair, tab.asked], []) if tab.shelf is None else ([tab.pair, tab.asked, tab.shelf], [cards.records()])

    def begin(answers, changes, words):
        if cards.is_writing(answers + changes) or not words.strip():
            raise refusal(TEXT["busy" if words.strip() else "empty"])
        return cards.pair(info, "", ""), None, *blank, "", *_states(busy=True)

    def settle(answers, asked):
        return cards.settled(answers), *_states(explains=bool(asked))

    read, drawn = [tab.pair, tab.changes, tab.box], [*shown, tab.changes, *tab.buttons]
    starts = [gr.on([tab.ask.click, tab.box.submit], begin, read, drawn, concurrency_limit=None, **QUIET)]
    if picked:
        starts.append(picked.then(begin, read, drawn, concurrency_limit=None, **QUIET))
    runs = [start.success(stream, inputs, shown, **MODEL, **QUIET) for start in starts]
    for run in runs:
        # `then` comes after an end or a stop, whose own handler a late word could overtake; not after an error.
        for after in (run.then, run.failure):
            after(settle, [tab.pair, tab.asked], [tab.pair, *tab.buttons], queue=False, **QUIET)
    tab.stop.click(None, cancels=runs)
    tab.clear.click(lambda: (cards.pair(info), None, *blank, "", *_states(), ""), None, [*drawn, tab.box], queue=False, **QUIET)


def _wire_changes(tab: Tab, explain: Callable, name: str) -> None:
    """Connects the question what changed: `explain` is asked about what was asked, when somebody wants to know."""
    def draw(asked):
        with words_for_visitors():
            return changed.picture(explain(*asked), name)

    def settle(changes):
        given_up = cards.is_writing(changes)
        return "" if given_up else gr.skip(), *_states(explains=given_up)

    start = tab.why.click(lambda: (changed.waiting(), *_states(busy=True)), None, [tab.changes, *tab.buttons], queue=False,
                          **QUIET)
    run = start.success(draw, tab.asked, tab.changes, **MODEL, **QUIET)
    for after in (run.then, run.failure):
        after(settle, tab.changes, [tab.changes, *tab.buttons], queue=False, **QUIET)
    tab.stop.click(None, cancels=run)


def _html(value: str) -> gr.HTML:
    return gr.HTML(value, js_on_load=None, apply_default_css=False)


def _three_buttons(verb: str) -> tuple[gr.Button, gr.Button, gr.Button]:
    return (gr.Button(verb, variant="primary", scale=0, min_width=112),
            gr.Button(TEXT["stop"], interactive=False, scale=0, min_width=80), gr.Button(TEXT["clear"], scale=0, min_width=80))


def _changes() -> tuple[gr.Button, gr.State, gr.HTML]:
    """Returns the button that asks what changed, what it asks about, and where the picture will be."""
    with gr.Row(elem_classes="controls why"):
        why = gr.Button(TEXT["changed"], interactive=False, scale=0, min_width=150, size="sm")
        _html(f'<p class="hint">{TEXT["changed_note"]}</p>')
    return why, gr.State(), _html("")


def _states(busy: bool = False, explains: bool = False) -> tuple[gr.Button, gr.Button, gr.Button, gr.Button]:
    """Returns which of a tab's buttons can be pressed: Tab.buttons, in its order."""
    return tuple(gr.Button(interactive=on) for on in (not busy, busy, not busy, explains))


def _options(tokens: int, settings: Settings) -> list[gr.Slider]:
    with gr.Accordion(TEXT["settings"], open=False):
        return [gr.Slider(1, TOKEN_LIMIT, tokens, step=1, label=TEXT["max_new_tokens"]),
                gr.Slider(0, TEMPERATURE_LIMIT, settings.temperature, step=0.05, label=TEXT["temperature"])]
