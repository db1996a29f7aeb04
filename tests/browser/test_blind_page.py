"""The blind test in a real Chromium, wide and on a phone: asked, read and voted on by keyboard,
named after the vote alone.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from space.page.votes import READING
from space.texts import TEXTS
from tests.browser.chromium import expect, go_to, pytestmark, running  # noqa: F401
from tests.fake_engine import INFO, FakeEngine
from tests.serving import serving

TOLD = re.compile(
    f"{INFO['adapter']}|after fine-tuning|depois do ajuste|(card|answer) (base|tuned)"
)
SHIFTS = """new PerformanceObserver(list => list.getEntries().forEach(entry => {
    if (!entry.hadRecentInput) window.shifted = (window.shifted || 0) + entry.value;
})).observe({type: "layout-shift"})"""


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[FakeEngine, str, Path]]:
    folder = tmp_path_factory.mktemp("votes")
    engine = FakeEngine()
    with serving(engine, votes_dir=str(folder)) as address:
        yield engine, address, folder


@pytest.mark.parametrize(
    ("width", "height", "language"), [(1280, 900, "en"), (390, 844, "pt")], ids=["wide", "phone"]
)
def test_a_visitor_asks_reads_votes_and_is_told(served, width, height, language):
    engine, address, folder = served
    text = {key: both[language] for key, both in TEXTS.items()}
    kept = sum(len(path.read_bytes().splitlines()) for path in folder.iterdir())
    with running() as browser:
        page = browser.new_page(
            viewport={"width": width, "height": height},
            locale={"en": "en-US", "pt": "pt-BR"}[language],
        )
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        go_to(page, text["blind_tab"])
        box, votes = page.get_by_label(text["question"]).last, page.locator(".votes button")
        stop, verdict = (
            page.get_by_role("button", name=text["stop"]).last,
            page.locator(".score .verdict"),
        )
        expect(votes).to_have_count(4)
        cards = page.locator(".ballot .card")
        # Stopped half-way: the model is free, and there is nothing to vote on.
        engine.delay = 0.2
        engine.closed.clear()
        box.fill("<img src=x onerror=document.title='owned'>")
        page.keyboard.press("Enter")
        expect(cards.first.locator(".words")).to_be_visible()
        stop.click()
        assert engine.closed.wait(5)
        expect(page.locator(".card[aria-busy=true]")).to_have_count(0)
        expect(votes.first).to_be_disabled()
        # Whole, and voted on by key; a second press changes nothing.
        engine.delay = 0.03
        page.evaluate(SHIFTS)
        page.get_by_role("button", name=text["blind_surprise"], exact=True).click()
        expect(cards.first.locator(".words")).to_be_visible()
        page.keyboard.press("1")
        expect(votes.first).to_be_disabled()
        expect(votes.first).to_be_enabled()
        assert "[1]" not in page.locator(".ballot").inner_text()
        expect(page.locator(".label-card.cited")).to_have_count(0)
        assert not TOLD.search(page.locator(".ballot").inner_html()) and page.title() == "Shelftalk"
        expect(page.locator(".label-card:visible")).to_have_count(3)
        expect(page.get_by_label(text["blind_keep"])).not_to_be_checked()
        page.get_by_label(text["blind_keep"]).check()
        page.wait_for_timeout(READING * 1000)  # nobody reads faster
        expect(votes.first).to_have_accessible_name(text["blind_a"])
        page.keyboard.press("1")
        expect(verdict).to_contain_text(
            re.compile(
                re.escape(text["blind_won_tuned"].format(column="A"))
                + "|"
                + re.escape(text["blind_won_base"].format(column="A"))
            )
        )
        expect(cards.first.locator(".chip")).to_contain_text(text["blind_chosen"])
        expect(page.locator(".ballot .card.tuned")).to_contain_text(INFO["adapter"])
        expect(page.locator(".ballot .card.tuned .words")).to_contain_text(engine.tuned)
        expect(votes.first).to_be_disabled()
        page.keyboard.press("1")
        lines = [
            json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()
        ]
        assert len(lines) == kept + 1 and lines[-1]["question"] in engine.examples()
        assert page.evaluate("window.shifted || 0") < 0.05, "the page moved under the reader"
        # The next one: no name is left over, and the score goes on.
        page.get_by_role("button", name=text["blind_surprise"], exact=True).click()
        expect(page.locator(".ballot .chip, .ballot .card.tuned")).to_have_count(0)
        expect(verdict).to_have_text(text["blind_score_next"], use_inner_text=True)
        expect(votes.first).to_be_enabled()
        page.wait_for_timeout(READING * 1000)
        votes.nth(3).click()
        expect(page.locator(".score dd").first).to_contain_text(
            text["blind_beside"].format(tie=0, both_bad=1)
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            "the page scrolls sideways"
        )
        assert not errors
