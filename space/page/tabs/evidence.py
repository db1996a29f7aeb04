"""The tab of an adapter's findings, its training loss and the answers behind its scores."""

from __future__ import annotations

import gradio as gr

from space.evidence import SETS, Evidence
from space.page.html import samples
from space.page.html.findings import loss, show_findings
from space.page.tabs.parts import QUIET, label, markup
from space.settings import Settings
from space.texts import html


def evidence_tab(engine, info: dict, settings: Settings) -> None:
    """Build the tab."""
    evidence = engine.evidence()
    section("evidence_title", _broken(evidence.broken) + show_findings(evidence))
    section("loss_title", loss(evidence))
    if evidence.samples:
        section("samples_title", f'<p class="hint">{samples.how_measured(evidence)}</p>')
        _browser(evidence)
    else:
        section("samples_title", samples.show_page(evidence, (), 0))


def section(title: str, body: str) -> None:
    """Build a part of the tab."""
    markup(f'<section class="evidence"><h2>{html(title)}</h2>{body}</section>')


def _broken(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f'<p class="hint none">{html("evidence_broken", files=", ".join(names))}</p>'


def _browser(evidence: Evidence) -> None:
    """Build the choices, a page of samples and its buttons."""
    present = {sample.set for sample in evidence.samples}
    sets = [(label("all_sets"), "all")]
    sets += [(label(key), name) for name, (key, _) in SETS.items() if name in present]
    scored = samples.are_scored(evidence.samples)
    with gr.Column(elem_classes="choosing"):
        name = gr.Radio(sets, value="all", label=label("choose_set"))
        outcome = gr.Radio(
            [(label(key), value) for value, key in samples.OUTCOMES.items()],
            value="any",
            label=label("choose_outcome"),
            visible=scored,
        )
        order = gr.Radio(
            [(label(key), value) for value, key in samples.ORDERS.items()],
            value="asked",
            label=label("choose_order"),
            visible=scored,
        )
        search = gr.Textbox(
            label=label("choose_words"),
            placeholder=label("choose_words_hint"),
            max_length=samples.SEARCH,
            max_lines=1,
        )
    leaf, page = markup(samples.show_page(evidence, evidence.samples, 0)), gr.State(0)
    with gr.Row(elem_classes="controls leafing"):
        back = gr.Button(label("page_back"), interactive=False, scale=0, min_width=150)
        on = gr.Button(
            label("page_on"),
            interactive=samples.count_pages(len(evidence.samples)) > 1,
            scale=0,
            min_width=150,
        )

    def show(by: int | None):
        def draw(name, outcome, order, search, page):
            found = samples.choose(evidence.samples, name, outcome, order, search or "")
            last = samples.count_pages(len(found)) - 1
            page = min(max(0, page + by), last) if by else 0
            return (
                samples.show_page(evidence, found, page),
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
