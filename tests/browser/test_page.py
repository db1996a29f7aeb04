"""The page in a real browser: what a visitor sees and does, wide and on a phone; nothing is fetched from elsewhere."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from space.settings import Settings
from space.texts import TEXTS
from space.ui import build_demo, launch_options
from tests.fake_engine import FakeEngine

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
expect.set_options(timeout=30_000)
TEXT = {key: text["en"] for key, text in TEXTS.items()}
CHROMIUM = Path("/usr/bin/chromium")
ARGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
        "--disable-background-networking", "--disable-component-update"]
pytestmark = [pytest.mark.browser, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")]
HERE = ("http://127.0.0.1:", "data:", "blob:", "about:")


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeEngine, str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        settings = Settings(port=probe.getsockname()[1])
    engine = FakeEngine()
    demo = build_demo(engine, settings)
    demo.launch(**launch_options(settings), prevent_thread_lock=True, quiet=True)
    yield engine, demo.local_url
    demo.close()


@pytest.fixture(scope="module")
def chromium():
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def engine(served):
    engine = served[0]
    engine.delay, engine.error = 0.05, None
    engine.closed.clear()
    engine.calls.clear()
    return engine


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["wide", "phone"])
def page(request, served, engine, chromium):
    width, height = request.param
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(30_000)
    elsewhere, errors = [], []
    page.on("request", lambda sent: sent.url.startswith(HERE) or elsewhere.append(sent.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(served[1])
    button(page, TEXT["ask"]).wait_for()
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "the page scrolls sideways"
    assert not elsewhere and not errors
    page.close()


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def ask(page, question: str) -> None:
    page.get_by_label(TEXT["question"]).fill(question)
    page.keyboard.press("Enter")


def length(page, side: str) -> int:
    words = page.locator(f".{side} .words:visible")
    return len(words.inner_text()) if words.count() else 0


def point_at(page, token) -> None:
    """Moves the pointer to the middle of a token's first line; what an element is in the middle of may be its neighbour."""
    page.mouse.move(*token.evaluate("""token => {
        token.scrollIntoView({block: "center"});
        const line = token.getClientRects()[0];
        return [line.x + line.width / 2, line.y + line.height / 2];
    }"""))


def test_both_columns_grow_and_the_cited_record_is_marked(page, engine):
    top = page.locator(".shelf").bounding_box()["y"]
    ask(page, "What is it?")
    expect(page.locator(".tuned .words")).to_be_visible()
    expect(button(page, TEXT["ask"])).to_be_disabled()
    expect(page.locator(".tuned .writing")).to_be_visible()
    before = length(page, "base"), length(page, "tuned")
    page.wait_for_function("""before => [".base", ".tuned"].every((side, index) =>
        document.querySelector(`${side} .words`).innerText.length > before[index])""", arg=before)
    expect(page.locator(".card[aria-busy=true]")).to_have_count(2)
    expect(page.locator(".tuned .words")).to_have_text(f"What is it? {engine.tuned}")
    expect(page.locator(".base .words")).to_have_text(f"What is it? {engine.base}")
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    expect(page.locator(".tuned .writing")).to_be_hidden()
    expect(page.locator(".label-card")).to_have_count(3)
    assert "cited" in page.locator(".label-card").first.get_attribute("class")
    expect(page.locator(".label-card.cited")).to_have_count(1)
    expect(button(page, TEXT["ask"])).to_be_enabled()
    if page.viewport_size["width"] > 720:
        assert page.locator(".shelf").bounding_box()["y"] == top, "the page moved under the reader"


def test_an_example_is_asked_at_once_and_a_record_opens(page, engine):
    page.get_by_role("button", name=engine.examples()[1]).click()
    expect(page.locator(".base .words")).to_contain_text(engine.examples()[1])
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    page.get_by_text(TEXT["more"]).click()
    expect(page.get_by_text(engine.records[0]["content"], exact=True)).to_be_visible()


def test_stop_acts_at_once_and_one_can_ask_again(page, engine):
    engine.delay = 0.2
    ask(page, "A slow one")
    expect(page.locator(".base .words")).to_be_visible()
    button(page, TEXT["stop"]).click()
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    assert engine.closed.wait(5)
    stopped = length(page, "base")
    page.wait_for_timeout(600)
    assert length(page, "base") == stopped < len(engine.base)
    expect(button(page, TEXT["stop"])).to_be_disabled()
    engine.delay = 0.0
    ask(page, "A quick one")
    expect(page.locator(".base .words")).to_have_text(f"A quick one {engine.base}")


def test_clear_empties_everything(page, engine):
    ask(page, "What is it?")
    expect(page.locator(".label-card.cited")).to_have_count(1)
    expect(button(page, TEXT["clear"])).to_be_disabled()
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    button(page, TEXT["clear"]).click()
    expect(page.locator(".words:visible, .label-card")).to_have_count(0)
    expect(page.get_by_label(TEXT["question"])).to_have_value("")
    expect(button(page, TEXT["ask"])).to_be_enabled()


def test_an_empty_question_and_a_second_one_are_refused_kindly(page, engine):
    ask(page, "  ")
    expect(page.get_by_text(TEXT["empty"])).to_be_visible()
    engine.delay = 0.2
    ask(page, "A slow one")
    expect(page.locator(".base .words")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_text(TEXT["busy"])).to_be_visible()
    assert len(engine.calls) == 1
    button(page, TEXT["stop"]).click()
    expect(button(page, TEXT["ask"])).to_be_enabled()


def test_after_a_failure_the_page_is_ready_again(page, engine):
    engine.error = RuntimeError("internals")
    ask(page, "What is it?")
    expect(page.get_by_text(TEXT["failed"])).to_be_visible()
    expect(button(page, TEXT["ask"])).to_be_enabled()
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    assert not page.get_by_text("internals").count()


def test_what_a_model_writes_is_text_and_nothing_else(page, engine):
    ask(page, "<img src=x onerror=document.title='owned'> ${1+1} {{value}}")
    expect(page.locator(".base .words")).to_contain_text("<img src=x onerror=document.title='owned'> ${1+1} {{value}}")
    assert page.title() == "Shelftalk"


def test_what_changed_is_shown_on_demand_by_pointer_and_by_keyboard(page, engine):
    why, wide = button(page, TEXT["changed"]), page.viewport_size["width"] > 720
    expect(why).to_be_disabled()
    ask(page, "What is it?")
    expect(why).to_be_enabled()
    assert engine.calls[-1][0] == "answer", "nothing is explained before somebody wants to know"
    why.click()
    expect(page.locator(".changed")).to_contain_text("Fine-tuning made ")
    assert engine.calls[-1] == ("explain", "What is it?", f"What is it? {engine.tuned}", True, 200)
    tokens, detail = page.locator("label.token"), page.locator(".detail:visible")
    expect(page.locator(".token.up").first).to_be_visible()
    expect(page.locator(".token.down").first).to_be_visible()
    expect(why).to_be_disabled()
    # Wide, the most changed token's details stand there from the start; on a phone they would cover the text.
    expect(detail).to_have_count(1 if wide else 0)
    point_at(page, tokens.nth(3))
    expect(detail).to_have_count(1)
    expect(detail).to_contain_text("75%")
    expect(detail).to_contain_text("<b>metal</b>")
    page.mouse.move(0, 0)
    page.locator(".changed input:checked").focus()
    first = detail.inner_text()
    page.keyboard.press("ArrowRight")
    expect(detail).to_have_count(1)
    assert detail.inner_text() != first
    expect(page.locator(".changed input:focus")).to_have_accessible_name(re.compile(r"before fine-tuning, .* The base’s own"))
    ask(page, "Another one")
    expect(page.locator(".changed")).to_have_count(0)
    expect(why).to_be_enabled()


def test_nothing_else_is_asked_while_an_answer_is_explained_and_stop_ends_that_too(page, engine):
    ask(page, "What is it?")
    expect(button(page, TEXT["changed"])).to_be_enabled()
    engine.delay = 0.2
    button(page, TEXT["changed"]).click()
    expect(page.get_by_text(TEXT["changed_waiting"])).to_be_visible()
    expect(button(page, TEXT["ask"])).to_be_disabled()
    page.get_by_label(TEXT["question"]).press("Enter")
    expect(page.get_by_text(TEXT["busy"])).to_be_visible()
    button(page, TEXT["stop"]).click()
    expect(page.get_by_text(TEXT["changed_waiting"])).to_have_count(0)
    expect(button(page, TEXT["changed"])).to_be_enabled()
    engine.delay, engine.error = 0.0, RuntimeError("internals")
    button(page, TEXT["changed"]).click()
    expect(page.get_by_text(TEXT["failed"])).to_be_visible()
    expect(button(page, TEXT["changed"])).to_be_enabled()
    expect(page.locator(".changed")).to_have_count(0)


def test_summarize(page, engine):
    page.get_by_role("tab", name=TEXT["summarize_tab"]).click()
    page.get_by_label(TEXT["text"]).fill("A long text about a lantern.")
    button(page, TEXT["summarize"]).click()
    expect(page.locator(".tuned .words:visible")).to_contain_text(f"In short: {engine.tuned.partition('[1]')[0]}")
    expect(button(page, TEXT["summarize"])).to_be_enabled()
    button(page, TEXT["changed"]).click()
    expect(page.locator(".tokens:visible")).to_be_visible()
    assert engine.calls[-1] == ("explain_summary", "A long text about a lantern.", f"In short: {engine.tuned}", 120)
    button(page, TEXT["clear"]).click()
    expect(page.locator(".words:visible, .tokens:visible")).to_have_count(0)
