"""The tab with the adapter's scores before and after, how its loss fell, and the answers behind the scores."""

from __future__ import annotations

import gradio as gr

from space.page.html import samples
from space.page.html.findings import SETS, loss, verdicts
from space.page.tabs.parts import QUIET, label, markup
from space.settings import Settings
from space.texts import html


def evidence_tab(engine, info: dict, settings: Settings) -> None:
    evidence = engine.evidence()
    section("evidence_title", _broken(evidence.broken) + verdicts(evidence))
    section("loss_title", loss(evidence))
    about = (
        f'<p class="hint">{samples.measured(evidence)}</p>'
        if evidence.samples
        else samples.leaf(evidence, (), 0)
    )
    section("samples_title", about)
    if evidence.samples:
        _browser(evidence)


def section(title: str, body: str) -> None:
    """Builds a part of the tab."""
    markup(f'<section class="evidence"><h2>{html(title)}</h2>{body}</section>')


def _broken(names: tuple[str, ...]) -> str:
    return (
        f'<p class="hint none">{html("evidence_broken", files=", ".join(names))}</p>'
        if names
        else ""
    )


def _browser(evidence) -> None:
    """Builds what chooses among the samples, the page that is shown, and the way to the next."""
    there = dict.fromkeys(sample.set for sample in evidence.samples)
    sets = [
        (label("all_sets"), "all"),
        *((label(SETS[name][0]), name) for name in SETS if name in there),
    ]
    with gr.Column(elem_classes="choosing"):
        name = gr.Radio(sets, value="all", label=label("choose_set"))
        outcome = gr.Radio(
            [(label(key), value) for value, key in samples.OUTCOMES.items()],
            value="any",
            label=label("choose_outcome"),
        )
        order = gr.Radio(
            [(label(key), value) for value, key in samples.ORDERS.items()],
            value="asked",
            label=label("choose_order"),
        )
        search = gr.Textbox(
            label=label("choose_words"),
            placeholder=label("choose_words_hint"),
            max_length=samples.SEARCH,
            max_lines=1,
        )
    leaf, page = markup(samples.leaf(evidence, evidence.samples, 0)), gr.State(0)
    with gr.Row(elem_classes="controls leafing"):
        back = gr.Button(label("page_back"), interactive=False, scale=0, min_width=150)
        on = gr.Button(
            label("page_on"),
            interactive=samples.pages(len(evidence.samples)) > 1,
            scale=0,
            min_width=150,
        )

    def show(by: int | None):
        def draw(name, outcome, order, search, page):
            found = samples.chosen(evidence.samples, name, outcome, order, search or "")
            last = samples.pages(len(found)) - 1
            page = min(max(0, page + by), last) if by else 0
            return (
                samples.leaf(evidence, found, page),
                page,
                gr.Button(interactive=page > 0),
                gr.Button(interactive=page < last),
            )

        return draw

    wired = {
        "inputs": [name, outcome, order, search, page],
        "outputs": [leaf, page, back, on],
        "queue": False,
        **QUIET,
    }
    # Text that is pasted is no input to gradio, only a change.
    gr.on(
        [name.input, outcome.input, order.input, search.change],
        show(None),
        trigger_mode="always_last",
        **wired,
    )
    back.click(show(-1), **wired)
    on.click(show(+1), **wired)
