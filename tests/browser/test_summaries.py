"""The tab that sums a text up in a real browser: files sent, records taken, and what it all rests
on, wide and on a phone.
"""

import json
from pathlib import Path

import pytest

from space.settings import UPLOAD_LIMIT
from space.texts import TEXTS
from tests.browser.chromium import expect, go_to, pytestmark, running  # noqa: F401
from tests.fake_engine import RECORDS, FakeEngine
from tests.pdfs import pdf
from tests.serving import serving

SHIFTS = """() => { window.shift = 0; new PerformanceObserver((list) => { for (const one of list.getEntries())
    if (!one.hadRecentInput) window.shift += one.value; }).observe({type: "layout-shift"}); }"""  # noqa: E501


@pytest.fixture(scope="module")
def served():
    engine = FakeEngine()
    with serving(engine) as address:
        yield engine, address


@pytest.fixture(params=[(1280, 900, "en-US"), (390, 844, "pt-BR")], ids=["wide", "phone"])
def page(request, served):
    width, height, language = request.param
    with running() as browser:
        page = browser.new_page(viewport={"width": width, "height": height}, locale=language)
        page.set_default_timeout(30_000)
        page.text = {
            key: text["pt" if language == "pt-BR" else "en"] for key, text in TEXTS.items()
        }
        page.goto(served[1])
        go_to(page, page.text["summarize_tab"])
        yield page
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (
            "the page scrolls sideways"
        )


def test_a_text_is_brought_summed_up_and_marked(page, served):
    text, engine = page.text, served[0]
    box, file = page.get_by_label(text["text"], exact=True), page.locator("input[type=file]")
    told = page.locator(".controls:has(.upload) p.hint:visible")

    def send(name, data):
        file.set_input_files({"name": name, "mimeType": "application/octet-stream", "buffer": data})

    # A file: read, refused, too large, and read again though it is the same.
    send("../<b>lamp</b>.pdf", pdf(["A hand-finished brass lantern.", "It weighs 3 kg."]))
    expect(box).to_have_value("A hand-finished brass lantern.\nIt weighs 3 kg.")
    expect(told).to_contain_text("46", use_inner_text=True)
    send("broken.pdf", pdf(["oak"])[:120])
    expect(page.get_by_text(text["upload_broken"])).to_be_visible()
    expect(told).to_have_text(text["upload_note"].format(limit=10), use_inner_text=True)
    send("large.txt", b"x" * (UPLOAD_LIMIT + 1))
    expect(told).to_have_text(text["upload_large"].format(limit=10), use_inner_text=True)
    send("lamp.md", b"# Oak")
    expect(box).to_have_value("# Oak")

    # A record of the catalogue, by keyboard.
    page.get_by_text(text["pick_record"]).click()
    page.get_by_label(text["pick_search"]).fill("lantern")
    page.keyboard.press("Enter")
    found = page.get_by_role("button", name=RECORDS[0]["title"])
    found.focus()
    page.keyboard.press("Enter")
    expect(box).to_have_value(RECORDS[0]["content"])
    expect(told).to_contain_text(RECORDS[0]["title"])

    # Both summaries, what they rest on, and where the models stopped reading.
    box.fill(f"{RECORDS[0]['content']}\n<img src=x onerror=document.title='owned'> not read")
    engine.notice = "text_cut"
    page.evaluate(SHIFTS)
    page.get_by_role("button", name=text["summarize"], exact=True).click()
    expect(page.locator(".card[aria-busy=true] .answer .figures:visible")).to_have_count(2)
    source = page.locator(".source .text")
    expect(source.locator("mark").first).to_be_visible()
    expect(source.locator(".stopped")).to_be_visible()
    expect(source.locator(".unread")).to_have_text("ead")
    expect(page.locator(".card.tuned:visible .rests a").first).to_be_visible()
    expect(page.locator(".card.base:visible .none").first).to_have_text(
        text["rests_on_nothing"], use_inner_text=True
    )
    expect(page.get_by_role("button", name=text["summarize"], exact=True)).to_be_enabled()
    link = page.locator(".card.tuned:visible .rests a").first
    number = link.locator("[aria-hidden]").inner_text()
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#source-{number}")).to_be_focused()
    assert page.title() == "Shelftalk" and page.evaluate("window.shift") < 0.05

    # On a phone the summaries came into view; their speed stands in the footers; both can be saved.
    expect(page.locator(".summaries .card footer .figures").first).to_contain_text("/s")
    with page.expect_download() as caught:
        page.locator(".why button", has_text=text["chat_json"]).click()
    saved = json.loads(Path(caught.value.path()).read_text(encoding="utf-8"))
    assert saved["tuned"].startswith("In short:") and "not read" in saved["text"]

    # A changed text has no summaries, and survives a reload.
    box.fill("Another text")
    expect(page.locator(".words:visible")).to_have_count(0)
    expect(page.get_by_text(text["source_idle"])).to_be_visible()
    assert page.evaluate("location.hash") == "#summarize"
    page.reload()
    expect(page.get_by_label(text["text"], exact=True)).to_have_value("Another text")

    page.get_by_role("button", name=text["clear"], exact=True).click()
    expect(page.get_by_text(text["source_idle"])).to_be_visible()
    expect(told).to_have_text(text["upload_note"].format(limit=10), use_inner_text=True)
    expect(box).to_have_value("")
