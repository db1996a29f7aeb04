"""The tab How it works in a real browser: every chapter by mouse and keyboard, wide and on a phone,
with no request to anywhere else.
"""

from collections.abc import Iterator

import pytest

from space.page.html.how import CHAPTERS
from space.texts import TEXTS
from tests.browser.chromium import HERE, expect, go_to, pytestmark, running  # noqa: F401
from tests.browser.test_accessibility import violations
from tests.fake_engine import FakeEngine
from tests.serving import serving


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(FakeEngine(delay=0), space_id=None) as address:
        yield address


@pytest.fixture(
    params=[(1280, 900, "light", "en"), (390, 844, "dark", "pt")], ids=["wide", "phone"]
)
def opened(request, address):
    width, height, scheme, language = request.param
    text = {key: both[language] for key, both in TEXTS.items()}
    with running() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            locale="pt-BR" if language == "pt" else "en-US",
        )
        page.set_default_timeout(30_000)
        elsewhere, errors = [], []
        page.on("request", lambda sent: sent.url.startswith(HERE) or elsewhere.append(sent.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.get_by_label(text["question"]).first.wait_for()
        go_to(page, text["how_tab"])
        page.locator(".how .pieces").wait_for()  # the first chapter draws itself
        yield page, text
        assert not elsewhere and not errors


def choose(page, text, chapter: str) -> None:
    page.get_by_role("radio", name=text[CHAPTERS[chapter]], exact=True).check()
    page.locator(".how h2", has_text=text[CHAPTERS[chapter]]).wait_for()


def test_every_chapter_opens_and_shuts_nobody_out(opened):
    page, text = opened
    for chapter in CHAPTERS:
        choose(page, text, chapter)
        page.wait_for_timeout(300)
        assert not violations(page), chapter
        width = page.viewport_size["width"]
        assert page.evaluate("document.documentElement.scrollWidth") <= width, chapter


def test_a_token_is_chosen_by_keyboard_and_a_guess_goes_on(opened):
    page, text = opened
    choose(page, text, "guesses")
    page.locator(".how .tokens input:checked").focus()
    panel = page.locator(".how .panel:visible")
    expect(panel.locator("h3")).to_contain_text(text["how_next"])
    page.keyboard.press("ArrowLeft")
    expect(panel.locator("h3")).not_to_contain_text(text["how_next"])
    before = page.locator(".how .tokens label").count()
    panel.locator("button.go").nth(2).press("Enter")
    expect(panel.locator("h3")).to_contain_text(text["how_next"])
    assert page.locator(".how .tokens label").count() == before


def test_a_named_head_is_shown(opened):
    page, text = opened
    choose(page, text, "attention")
    page.locator(".how .heads button").first.click()
    expect(page.locator(".how .heads button").first).to_have_attribute("aria-pressed", "true")


def test_one_question_is_answered_along_the_training(opened):
    page, text = opened
    choose(page, text, "transfer")
    page.get_by_label(text["how_transfer_question"]).fill("What is it?")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    answers = page.locator(".how .points li")
    expect(answers).to_have_count(4)
    expect(answers.nth(1)).to_contain_text("What is it? After 39.")
    assert not violations(page)
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    choose(page, text, "tokens")
    expect(page.get_by_label(text["how_transfer_question"])).to_be_hidden()


def test_the_slider_goes_from_the_base_to_more_than_was_trained(opened):
    page, text = opened
    choose(page, text, "tuning")
    page.get_by_role("button", name=text["how_answer"]).click()
    page.locator(".strength .stops").wait_for()
    shown = page.locator(".strength .panel:visible")
    expect(shown).to_contain_text("At 1.0.")
    page.locator(".strength input:checked").focus()
    page.keyboard.press("ArrowRight")
    expect(shown).to_contain_text("At 1.5.")
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(shown).to_contain_text("At 0.0.")
    page.get_by_role("button", name=text["how_bits"]).click()
    expect(page.locator(".how .bars").last).to_contain_text(text["how_cost_nf4"])
    assert not violations(page)
