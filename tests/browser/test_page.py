"""The page in a real browser: what a visitor sees and does, wide and on a phone; nothing is fetched
from elsewhere.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from space.texts import TEXTS
from tests.browser.chromium import HERE, expect, pytestmark, running  # noqa: F401
from tests.fake_engine import FakeEngine
from tests.serving import serving

TEXT = {key: text["en"] for key, text in TEXTS.items()}


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[FakeEngine, str]]:
    engine = FakeEngine()
    with serving(engine) as address:
        yield engine, address


@pytest.fixture(scope="module")
def chromium():
    with running() as browser:
        yield browser


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
    page = chromium.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.set_default_timeout(30_000)
    elsewhere, errors = [], []
    page.on("request", lambda sent: sent.url.startswith(HERE) or elsewhere.append(sent.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(served[1])
    button(page, TEXT["ask"]).wait_for()
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width, (
        "the page scrolls sideways"
    )
    assert not elsewhere and not errors
    page.close()


def button(page, name: str):
    return page.get_by_role("button", name=name, exact=True)


def ask(page, question: str) -> None:
    page.get_by_label(TEXT["question"]).fill(question)
    page.keyboard.press("Enter")


def length(page, side: str) -> int:
    words = page.locator(f".live .{side} .words")
    return len(words.inner_text()) if words.count() else 0


def point_at(page, token) -> None:
    """Moves the pointer to the middle of a token's first line; what an element is in the middle of
    may be its neighbour.
    """
    page.mouse.move(
        *token.evaluate("""token => {
        token.scrollIntoView({block: "center"});
        const line = token.getClientRects()[0];
        return [line.x + line.width / 2, line.y + line.height / 2];
    }""")
    )


def done(page, turns: int = 1) -> None:
    """Waits until so many turns are written."""
    page.locator(f'.live .turn[data-turn="{turns - 1}"] .acts').wait_for()


def words(page, side: str):
    return page.locator(f".live .{side} .words")


def expect_answer(page, place: str, text: str) -> None:
    """Waits until an answer is this text, without what the fact check says beside it."""
    page.wait_for_function(
        """([place, text]) => {
            const words = document.querySelector(place)?.cloneNode(true);
            if (!words) return false;
            for (const added of words.querySelectorAll(".beside, .spoken")) added.remove();
            return words.textContent.replace(/\\s+/g, " ").trim() === text;
        }""",
        arg=[place, text],
    )


def test_both_columns_grow_in_step_and_nothing_moves(page, engine):
    page.evaluate("""() => {
        window.shifted = 0;
        new PerformanceObserver((list) => {
            for (const shift of list.getEntries()) shifted += shift.hadRecentInput ? 0 :
            shift.value;
        }).observe({type: "layout-shift"});
        window.apart = 0;
        const count = (side) => (document.querySelector(`.live .${side} .words`)?.textContent ??
        "").split(" ").length;
        new MutationObserver(() => {
            if (!document.querySelector('.live [aria-busy="true"]') || count("tuned") > 35) return;
            // the base's is the longer
            apart = Math.max(apart, Math.abs(count("base") - count("tuned")));
        }).observe(document.querySelector(".live"), {subtree: true, childList: true, characterData:
        true});
    }""")
    ask(page, "What is it?")
    expect(page.get_by_label(TEXT["question"])).to_have_value("")
    expect(words(page, "tuned")).to_be_visible()
    expect(button(page, TEXT["ask"])).to_be_hidden()
    expect(page.locator(".live .tuned .writing")).to_be_visible()
    before = length(page, "base"), length(page, "tuned")
    page.wait_for_function(
        """before => [".base", ".tuned"].every((side, index) =>
        document.querySelector(`.live ${side} .words`).innerText.length > before[index])""",
        arg=before,
    )
    expect(page.locator(".live .card[aria-busy=true]")).to_have_count(2)
    page.keyboard.type("typed meanwhile")
    expect_answer(page, ".live .tuned .words", f"What is it? {engine.tuned}")
    expect_answer(page, ".live .base .words", f"What is it? {engine.base}")
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    expect(page.get_by_label(TEXT["question"])).to_have_value("typed meanwhile")
    expect(page.get_by_label(TEXT["question"])).to_be_focused()
    expect(page.locator(".live .base .figures")).to_have_text(
        re.compile(r"^\d+ tokens · \d+\.\d/s · \d+\.\d s$"), use_inner_text=True
    )
    expect(page.locator(".shelf .name.cited")).to_have_count(1)
    assert page.evaluate("apart") <= 1 and page.evaluate("shifted") < 0.05
    page.locator(".shelf summary").first.click()
    expect(page.locator(".label-card")).to_have_count(3)
    assert "cited" in page.locator(".label-card").first.get_attribute("class")
    page.locator(".label-card").get_by_text(TEXT["more"]).click()
    expect(page.get_by_text(engine.records[0]["content"], exact=True)).to_be_visible()


def test_a_conversation_goes_on_and_each_turn_stays(page, engine):
    page.get_by_role("button", name=engine.examples()[1]).click()
    done(page)
    expect(page.locator(".examples")).to_be_hidden()
    ask(page, "Tell me more about it.")
    done(page, 2)
    assert engine.calls[-1] == (
        "converse",
        "Tell me more about it.",
        [engine.examples()[1]],
        True,
        200,
        0,
        None,
    )
    assert page.evaluate("document.querySelector('.live .asked').getBoundingClientRect().y") < 60, (
        "the newest turn is in view"
    )
    assert page.evaluate(
        "document.querySelector('.composer').getBoundingClientRect().bottom <= innerHeight + 1"
    )
    expect(page.locator(".past .asked")).to_have_text(engine.examples()[1])
    expect_answer(page, ".past .tuned .words", f"{engine.examples()[1]} {engine.tuned}")
    expect(page.locator(".past .label-card").first).to_be_hidden()
    page.locator(".past .shelf summary").first.click()
    expect(page.locator(".past .label-card").first).to_be_visible()
    button(page, TEXT["chat_anew"]).click()
    expect(page.locator(".words:visible, .turn")).to_have_count(0)
    expect(page.locator(".examples")).to_be_visible()
    ask(page, "Another one")
    done(page)
    assert engine.calls[-1][2] == [], "nothing is left of what was cleared"


def test_an_answer_again_and_a_question_edited_take_the_place_of_the_last(page, engine):
    engine.delay = 0.0
    for place, question in enumerate(("First", "Secnod"), start=1):
        ask(page, question)
        done(page, place)
    button(page, TEXT["chat_again"]).click()
    expect(
        page.get_by_text("At temperature 0 the answer would be the same again", exact=False)
    ).to_be_visible()
    done(page, 2)
    assert engine.calls[-1] == ("converse", "Secnod", ["First"], True, 200, 0.7, None)
    button(page, TEXT["chat_edit"]).click()
    expect(page.get_by_label(TEXT["question"])).to_have_value("Secnod")
    button(page, TEXT["chat_keep"]).click()
    expect(page.get_by_label(TEXT["question"])).to_have_value("")
    button(page, TEXT["chat_edit"]).click()
    expect(page.get_by_label(TEXT["question"])).to_have_value("Secnod")
    ask(page, "x" * 20_001)
    expect(
        page.get_by_text("This question has 20,001 characters", exact=False).first
    ).to_be_visible()
    expect(page.get_by_label(TEXT["question"])).to_have_value("x" * 20_001)
    expect(page.locator(".note .hint")).to_have_count(
        1
    )  # it is still that question which is edited
    ask(page, "Second")
    expect(page.locator(".live .asked")).to_have_text("Second")
    done(page, 2)
    assert engine.calls[-1] == ("converse", "Second", ["First"], True, 200, 0, None)
    expect(page.locator(".asked")).to_have_text(["First", "Second"])
    expect(page.locator(".note .hint")).to_have_count(0)


def test_what_one_can_take_along(page, engine):
    engine.delay = 0.0
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_text(TEXT["settings"], exact=True).first.click()
    page.locator(".seed input").fill("42")
    page.get_by_label(TEXT["temperature"]).first.fill("0.5")
    ask(page, "What & <why>?")
    done(page)
    assert engine.calls[-1][-2:] == (0.5, 42)
    page.locator(".live .tuned [data-take]").click()
    expect(page.locator(".live .tuned .did > span")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == f"What & <why>? {engine.tuned}"
    button(page, TEXT["chat_link"]).click()
    link = page.evaluate("navigator.clipboard.readText()")
    files = {}
    for key in ("chat_markdown", "chat_json"):
        with page.expect_download() as caught:
            button(page, TEXT[key]).click()
        files[key] = (
            caught.value.suggested_filename,
            Path(caught.value.path()).read_text(encoding="utf-8"),
        )
    name, text = files["chat_markdown"]
    assert name == "shelftalk.md" and engine.tuned.split(" [")[0] in text and "seed 42" in text
    name, text = files["chat_json"]
    kept = json.loads(text)["turns"]
    assert (
        name == "shelftalk.json"
        and kept[0]["question"] == "What & <why>?"
        and kept[0]["figures"]["seed"] == 42
    )
    page.goto(link)
    expect(page.locator(".live .asked")).to_have_text("What & <why>?")
    done(page)


def test_stop_acts_at_once_and_one_can_ask_again(page, engine):
    engine.delay = 0.2
    ask(page, "A slow one")
    expect(words(page, "base")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    assert engine.closed.wait(5)
    stopped = length(page, "base")
    page.wait_for_timeout(600)
    assert length(page, "base") == stopped < len(engine.base)
    expect(button(page, TEXT["stop"])).to_be_hidden()
    ask(page, "Another slow one")
    expect(words(page, "base")).to_contain_text("Another")
    button(page, TEXT["stop"]).click()
    engine.delay = 0.0
    done(page, 2)
    ask(page, "A quick one")
    done(page, 3)
    expect_answer(page, ".live .base .words", f"A quick one {engine.base}")


def test_an_empty_question_and_a_second_one_are_refused_kindly(page, engine):
    ask(page, "  ")
    expect(page.get_by_text(TEXT["empty"])).to_be_visible()
    engine.delay = 0.2
    ask(page, "A slow one")
    expect(words(page, "base")).to_be_visible()
    ask(page, "A second one")
    expect(page.get_by_text(TEXT["busy"])).to_be_visible()
    expect(page.get_by_label(TEXT["question"])).to_have_value("A second one")
    assert len(engine.calls) == 1
    button(page, TEXT["stop"]).click()
    expect(button(page, TEXT["ask"])).to_be_enabled()


def test_after_a_failure_the_page_is_ready_again_and_the_question_not_lost(page, engine):
    engine.delay = 0.0
    ask(page, "First")
    done(page)
    ask(page, "x" * 20_001)
    expect(page.get_by_text("the limit is 20,000", exact=False)).to_be_visible()
    expect(page.get_by_label(TEXT["question"])).to_have_value("x" * 20_001)
    expect(page.locator(".asked")).to_have_text(["First"])
    engine.error = RuntimeError("internals")
    ask(page, "What is it?")
    expect(page.get_by_text(TEXT["failed"])).to_be_visible()
    expect(button(page, TEXT["ask"])).to_be_enabled()
    expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
    assert not page.get_by_text("internals").count()


def test_what_a_model_writes_is_text_and_nothing_else(page, engine):
    ask(page, "<img src=x onerror=document.title='owned'> ${1+1} {{value}}")
    expect(words(page, "base")).to_contain_text(
        "<img src=x onerror=document.title='owned'> ${1+1} {{value}}"
    )
    assert page.title() == "Shelftalk"


def test_what_changed_is_shown_of_any_turn_by_pointer_and_by_keyboard(page, engine):
    wide = page.viewport_size["width"] > 720
    engine.delay = 0.0
    for place, question in enumerate(("What is it?", "And the oil?"), start=1):
        ask(page, question)
        done(page, place)
    assert engine.calls[-1][0] == "converse", "nothing is explained before somebody wants to know"
    page.locator(".past [data-event=select]").click()
    expect(page.locator(".changed")).to_contain_text("Fine-tuning made ")
    expect(page.locator(".changed .about")).to_have_text("What is it?")
    assert engine.calls[-1] == ("explain", "What is it?", f"What is it? {engine.tuned}", True, 200)
    page.locator(".live [data-event=select]").click()
    expect(page.locator(".changed .about")).to_have_text("And the oil?")
    assert engine.calls[-1] == (
        "explain",
        "And the oil?",
        f"And the oil? {engine.tuned}",
        True,
        200,
        ["What is it?"],
    )
    tokens, detail = page.locator("label.token"), page.locator(".detail:visible")
    expect(page.locator(".token.up").first).to_be_visible()
    expect(page.locator(".token.down").first).to_be_visible()
    # Wide, the most changed token's details stand there from the start; on a phone they would cover
    # the text.
    page.mouse.move(0, 0)
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
    expect(page.locator(".changed input:focus")).to_have_accessible_name(
        re.compile(r"before fine-tuning, .* The base’s own")
    )
    ask(page, "Another one")
    expect(page.locator(".changed")).to_have_count(0)
    done(page, 3)


def test_nothing_else_is_asked_while_an_answer_is_explained_and_stop_ends_that_too(page, engine):
    engine.delay = 0.0
    ask(page, "What is it?")
    done(page)
    engine.delay = 0.2
    button(page, TEXT["changed"]).click()
    expect(page.get_by_text(TEXT["changed_waiting"])).to_be_visible()
    expect(button(page, TEXT["ask"])).to_be_hidden()
    ask(page, "Another one")
    expect(page.get_by_text(TEXT["busy"])).to_be_visible()
    button(page, TEXT["stop"]).click()
    expect(page.get_by_text(TEXT["changed_waiting"])).to_have_count(0)
    expect(button(page, TEXT["ask"])).to_be_enabled()
    engine.delay, engine.error = 0.0, RuntimeError("internals")
    button(page, TEXT["changed"]).click()
    expect(page.get_by_text(TEXT["failed"])).to_be_visible()
    expect(button(page, TEXT["ask"])).to_be_enabled()
    expect(page.locator(".changed")).to_have_count(0)


def test_summarize(page, engine):
    page.get_by_role("tab", name=TEXT["summarize_tab"]).click()
    page.get_by_label(TEXT["text"]).fill("A long text about a lantern.")
    button(page, TEXT["summarize"]).click()
    expect(page.locator(".tuned .words:visible")).to_contain_text(
        f"In short: {engine.tuned.partition('[1]')[0]}"
    )
    expect(button(page, TEXT["summarize"])).to_be_enabled()
    button(page, TEXT["changed"]).click()
    expect(page.locator(".tokens:visible")).to_be_visible()
    assert engine.calls[-1] == (
        "explain_summary",
        "A long text about a lantern.",
        f"In short: {engine.tuned}",
        120,
    )
    button(page, TEXT["clear"]).click()
    expect(page.locator(".words:visible, .tokens:visible")).to_have_count(0)


def test_nobody_waits_in_a_line_of_one(page, engine):
    """Gradio's own estimate of the time, which comes with the second explanation, is no place in a
    line.
    """
    ask(page, "What is it?")
    done(page, 1)
    page.evaluate("""() => { window.lines = 0;
        setInterval(() => { lines += document.querySelectorAll(".queued:not([hidden])").length; }, 50); }""")  # noqa: E501
    engine.delay = 0.1
    for _ in range(2):
        button(page, TEXT["changed"]).click()
        expect(page.locator(".changed[aria-busy=true]")).to_have_count(1)
        expect(page.locator(".changed .tokens")).to_be_visible()
    assert page.evaluate("lines") == 0


def test_who_waits_sees_the_place_in_line(served, engine, chromium):
    engine.delay = 0.15
    pages = [chromium.new_page(locale=language) for language in ("en-US", "pt-BR")]
    for page in pages:
        page.goto(served[1])
        page.locator(".question textarea").first.fill("A slow one")
        page.locator(".question textarea").first.press("Enter")
        page.locator(".card[aria-busy=true]").first.wait_for()
    expect(pages[0].locator(".tuned .words").first).to_be_visible()
    expect(pages[1].locator(".queued:visible").first).to_have_text(
        "número 1 na fila", use_inner_text=True
    )
    expect(pages[1].locator(".card .writing:visible")).to_have_count(0)
    pages[0].keyboard.press("Escape")
    expect(pages[1].locator(".tuned .words").first).to_be_visible()
    expect(pages[1].locator(".queued:visible")).to_have_count(0)
    pages[1].keyboard.press("Escape")
    expect(pages[1].locator(".card[aria-busy=true]")).to_have_count(0)
    for page in pages:
        page.close()


@pytest.mark.parametrize("way", ["closed", "offline"])
def test_who_leaves_in_the_middle_frees_the_model(served, engine, chromium, way):
    """A closed tab at once; a lost connection once the server finds nobody to write to."""
    engine.delay = 0.1
    context = chromium.new_context()
    page = context.new_page()
    page.goto(served[1])
    page.locator(".question textarea").first.fill(
        "مرحبا 👩‍👧 [INST] </s> <script>alert(1)</script>"
    )
    page.locator(".question textarea").first.press("Enter")
    expect(page.locator(".tuned .words").first).to_contain_text(
        "مرحبا 👩‍👧 [INST] </s> <script>alert(1)</script>"
    )
    if way == "closed":
        page.close()
    else:
        context.set_offline(True)
        context.close()
    assert engine.closed.wait(10), "the model still writes for nobody"


def test_a_suggested_title_is_asked_with_a_click(page, engine):
    engine.suggested = "Oak Bench"
    ask(page, "What is Zork Bench?")
    button(page, TEXT["changed"]).wait_for()
    engine.suggested = ""
    button(page, "Oak Bench").click()
    page.locator('.live [data-asked="Oak Bench"]').wait_for()


def test_small_talk_is_answered_by_the_page_and_asks_no_model(page, engine):
    ask(page, "oi, tudo bem?")
    aside = page.locator(".composer .aside .hint")
    expect(aside).to_contain_text(TEXTS["small_talk"]["pt"])
    expect(aside).to_contain_text(TEXTS["small_talk_by"]["pt"])
    expect(page.get_by_label(TEXT["question"])).to_have_value("")
    expect(page.locator(".toast-body")).to_have_count(0)
    assert not engine.calls or {call[0] for call in engine.calls} == {"search"}
    button(page, engine.examples()[0]).last.click()
    done(page)
    expect(aside).to_have_count(0)
