"""What a visitor keeps, in a real browser: through a reload, a restart of the server and another
tab; and what an answer cannot do.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from space.page.kept import CONVERSATION, FORMAT
from space.page.ui import build_demo, launch_options
from space.settings import Settings
from space.texts import TEXTS
from tests.browser.chromium import HERE, expect, pytestmark, running  # noqa: F401
from tests.fake_engine import FakeEngine
from tests.serving import free_port, serving

TEXT = {key: text["en"] for key, text in TEXTS.items()}


@pytest.fixture(scope="module")
def chromium():
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeEngine, str]]:
    engine = FakeEngine(delay=0)
    with serving(engine) as address:
        yield engine, address


@pytest.fixture
def engine(served):
    served[0].delay = 0
    served[0].calls.clear()
    return served[0]


@pytest.fixture
def page(served, engine, chromium):
    page = chromium.new_page(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    page.set_default_timeout(30_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    open_page(page, served[1])
    yield page
    assert not errors
    page.close()


def open_page(page, address: str) -> None:
    page.goto(address)
    button(page, TEXT["ask"]).wait_for()
    page.wait_for_timeout(300)


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def ask(page, question: str, turns: int = 1) -> None:
    page.get_by_label(TEXT["question"]).fill(question)
    page.keyboard.press("Enter")
    page.locator(f'.live .turn[data-turn="{turns - 1}"] .acts').wait_for()


def stored(page) -> str | None:
    return page.evaluate(f"sessionStorage.getItem({json.dumps(CONVERSATION)})")


def test_conversation_draft_and_settings_survive_a_reload(page, engine):
    ask(page, "First")
    ask(page, "Second", 2)
    page.get_by_text(TEXT["settings"], exact=True).first.click()
    expect(page.locator(".seed input").first).to_have_value("")
    page.locator(".seed input").first.fill("42")
    page.get_by_label(TEXT["temperature"]).first.fill("0.5")
    page.get_by_label(TEXT["temperature"]).first.press("Tab")
    page.get_by_label(TEXT["use_sources"]).first.uncheck()
    page.get_by_label(TEXT["question"]).fill("half a que")
    page.wait_for_timeout(300)
    page.reload()
    expect(page.locator(".asked")).to_have_text(["First", "Second"])
    expect(page.get_by_label(TEXT["question"])).to_have_value("half a que")
    expect(page.get_by_label(TEXT["use_sources"]).first).not_to_be_checked()
    ask(page, "Third", 3)
    assert engine.calls[-1][1:] == ("Third", ["First", "Second"], False, 200, 0.5, 42)
    page.reload()
    expect(page.locator(".asked")).to_have_text(["First", "Second", "Third"])
    expect(page.get_by_label(TEXT["question"])).to_have_value("")


def test_the_conversation_survives_a_restart_of_the_server(chromium):
    port = free_port()

    @contextmanager
    def server(engine):
        chosen = Settings(port=port)
        demo = build_demo(engine, chosen)
        demo.launch(**launch_options(chosen), prevent_thread_lock=True, quiet=True)
        yield
        demo.close()

    page, second = chromium.new_page(), FakeEngine(delay=0)
    with server(FakeEngine(delay=0)):
        open_page(page, f"http://127.0.0.1:{port}")
        ask(page, "First")
    with server(second):
        page.reload()
        expect(page.locator(".live .asked")).to_have_text("First")
        ask(page, "Second", 2)
    assert second.calls[-1][1:3] == ("Second", ["First"])
    page.close()


def test_start_anew_can_be_undone(page):
    ask(page, "First")
    button(page, TEXT["chat_anew"]).click()
    expect(page.locator(".turn")).to_have_count(0)
    button(page, TEXT["chat_bring_back"]).click()
    expect(page.locator(".live .asked")).to_have_text("First")
    button(page, TEXT["chat_anew"]).click()
    expect(page.locator(".turn")).to_have_count(0)
    page.wait_for_timeout(300)
    assert not stored(page)


def test_both_versions_stay(page, engine):
    ask(page, "First")
    engine.tuned, tuned = "Another answer.", engine.tuned
    button(page, TEXT["chat_again"]).click()
    engine_done = page.locator(".live .which")
    expect(engine_done).to_have_text("2/2")
    engine.tuned = tuned
    words = page.locator(".live .tuned .words")
    expect(words).to_contain_text("Another answer.")
    button(page, TEXT["chat_previous"]).click()
    expect(engine_done).to_have_text("1/2")
    expect(words).not_to_contain_text("Another answer.")
    expect(button(page, TEXT["chat_next"])).to_be_focused()
    page.wait_for_timeout(300)
    page.reload()
    expect(page.locator(".live .which")).to_have_text("1/2")


def test_two_tabs_do_not_overwrite_each_other(served, engine, chromium):
    context = chromium.new_context()
    pages = [context.new_page() for _ in range(2)]
    for page, question in zip(pages, ("In one", "In the other"), strict=True):
        open_page(page, served[1])
        ask(page, question)
    for page, question in zip(pages, ("In one", "In the other"), strict=True):
        page.reload()
        expect(page.locator(".asked")).to_have_text([question])
    context.close()


@pytest.mark.parametrize("kind", ["forged", "older", "full"])
def test_a_store_that_cannot_be_used_is_dropped_in_silence(page, engine, kind):
    if kind == "full":
        page.evaluate("""() => {
            Storage.prototype.setItem = () => { throw new DOMException("", "QuotaExceededError"); };
        }""")
        ask(page, "First")
        assert not stored(page)
    else:
        key = CONVERSATION if kind == "forged" else f"shelftalk.{FORMAT - 1}.conversation"
        turns = [{"question": "<img src=x onerror=document.title='owned'>", "figures": {}}]
        forged = json.dumps({"format": FORMAT, "turns": turns})
        page.evaluate(f"sessionStorage.setItem({json.dumps(key)}, {json.dumps(forged)})")
        page.reload()
        button(page, TEXT["ask"]).wait_for()
        page.wait_for_timeout(500)
        expect(page.locator(".turn")).to_have_count(0)
        assert page.evaluate(f"sessionStorage.getItem({json.dumps(key)})") is None
    expect(page.locator(".toast-body")).to_have_count(0)
    ask(page, "And now", 2 if kind == "full" else 1)
    assert page.title() == "Shelftalk"


def test_markdown_loads_nothing_and_runs_nothing(page, engine):
    elsewhere = []
    page.on("request", lambda sent: sent.url.startswith(HERE) or elsewhere.append(sent.url))
    base = engine.base
    engine.base = """**Bold** ![x](https://elsewhere.example/x.png) [y](https://elsewhere.example)
<img src=https://elsewhere.example/z.png onerror=document.title='owned'>

- one
- two"""
    ask(page, "What?")
    engine.base = base
    words = page.locator(".live .base .words")
    expect(words.locator("strong")).to_have_text("Bold")
    expect(words.locator("li")).to_have_count(2)
    expect(words.locator("a, img")).to_have_count(0)
    assert not elsewhere and page.title() == "Shelftalk"


def test_escape_leaves_editing(page):
    ask(page, "First")
    button(page, TEXT["chat_edit"]).click()
    expect(page.locator(".note .hint")).to_have_count(1)
    page.get_by_label(TEXT["question"]).press("Escape")
    expect(page.locator(".note .hint")).to_have_count(0)
    expect(page.get_by_label(TEXT["question"])).to_have_value("")


def test_tabs_have_addresses(page, served):
    page.get_by_role("tab", name=TEXT["summarize_tab"], exact=True).click()
    assert page.evaluate("location.hash") == "#summarize"
    page.get_by_role("tab", name=TEXT["evidence_tab"], exact=True).click()
    page.go_back()
    chosen = page.locator("[role=tab][aria-selected=true]")
    expect(chosen).to_have_text(TEXT["summarize_tab"])
    page.go_back()
    expect(chosen).to_have_text(TEXT["ask_tab"])
    page.goto("about:blank")
    page.goto(f"{served[1]}#evidence")
    expect(chosen).to_have_text(TEXT["evidence_tab"])
    assert page.evaluate("location.hash") == "#evidence"


def test_zoomed_to_400_percent_the_composer_leaves_room(served, chromium):
    page = chromium.new_page(viewport={"width": 320, "height": 256})
    page.goto(served[1])
    page.locator(".composer").wait_for()
    assert page.evaluate("getComputedStyle(document.querySelector('.composer')).position") == (
        "static"
    )
    page.close()


def test_forced_colours_leave_the_switch_native(served, chromium):
    page = chromium.new_page(forced_colors="active")
    page.goto(served[1])
    box = page.get_by_label(TEXT["use_sources"]).first
    box.wait_for()
    assert box.evaluate("one => getComputedStyle(one).appearance") == "auto"
    page.close()
