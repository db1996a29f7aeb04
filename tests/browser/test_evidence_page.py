"""Evidence, how it was made, and code to copy in a real browser: by keyboard and by touch, wide and
on a phone.
"""

import json
import re
from collections.abc import Iterator

import pytest

from space.evidence.findings import principal_metric
from space.page.ui import TABS
from space.texts import TEXTS
from tests.browser.chromium import HERE, expect, go_to, pytestmark, running  # noqa: F401
from tests.fake_engine import FakeEngine
from tests.serving import serving
from tests.toy import TOY

TEXT = {key: text["en"] for key, text in TEXTS.items()}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(FakeEngine(delay=0), space_id=None) as address:
        yield address


@pytest.fixture(params=[(1280, 900), (390, 844)], ids=["wide", "phone"])
def page(request, address):
    with running() as browser:
        width, height = request.param
        context = browser.new_context(
            viewport={"width": width, "height": height},
            permissions=["clipboard-read", "clipboard-write"],
        )
        page = context.new_page()
        page.set_default_timeout(20_000)
        elsewhere, errors = [], []
        page.on("request", lambda sent: sent.url.startswith(HERE) or elsewhere.append(sent.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.get_by_label(TEXT["question"]).first.wait_for()
        yield page
        assert not elsewhere and not errors


def open_tab(page, key: str) -> None:
    """Opens a tab; nothing scrolls sideways."""
    go_to(page, TEXT[key])
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_scores_samples_recipe_and_code(page, address):
    scores = json.loads((TOY / "metrics.json").read_text(encoding="utf-8"))
    count = sum(one["n"] for one in scores.values())
    principal = {
        name: principal_metric(name, one["base"], one["tuned"]) for name, one in scores.items()
    }
    lost = sum(one["difference"][principal[name]]["losses"] for name, one in scores.items())
    open_tab(page, "evidence_tab")
    cards = page.locator(".set:not(.meanings)")
    expect(cards).to_have_count(5)
    expect(cards.first).to_contain_text("200 won, 0 tied, 0 lost", use_inner_text=True)
    expect(page.locator(".curve figcaption")).to_contain_text(
        "the loss fell from", use_inner_text=True
    )
    cards.first.get_by_text(TEXT["all_figures"]).click()
    expect(cards.first.locator("table")).to_be_visible()
    where = page.locator(".found")
    expect(where).to_have_text(re.compile(f"^1 to 10 of {count}"), use_inner_text=True)

    # Only what was lost, the largest losses first, by keyboard; then words, then the next page.
    page.get_by_role("radio", name=TEXT["lost"], exact=True).focus()
    page.keyboard.press("Space")
    expect(where).to_have_text(re.compile(f"^1 to {min(10, lost)} of {lost}$"), use_inner_text=True)
    page.get_by_role("radio", name=TEXT["order_losses"], exact=True).check()
    expect(page.locator(".sample .change").first).to_contain_text("−", use_inner_text=True)
    page.wait_for_function("""() => {
        const changes = [...document.querySelectorAll(".sample .change")].map((each) => parseFloat(
            each.innerText.replace("−", "-")));
        return changes.length && changes.every((change, place) => change < 0 && (!place ||
        changes[place - 1] <= change));
    }""")
    page.get_by_role("radio", name=TEXT["any_outcome"], exact=True).last.check()
    page.get_by_label(TEXT["choose_words"]).fill("violin")
    expect(page.locator(".sample").first).to_contain_text(
        re.compile("violin", re.I), use_inner_text=True
    )
    page.get_by_label(TEXT["choose_words"]).fill("<b>nothing</b>")
    expect(where).to_have_text(TEXT["samples_not_found"], use_inner_text=True)
    page.get_by_label(TEXT["choose_words"]).fill("")
    expect(where).to_have_text(re.compile(f"^1 to 10 of {count}"), use_inner_text=True)
    on = page.get_by_role("button", name=TEXT["page_on"])
    on.focus()
    page.keyboard.press("Enter")
    expect(where).to_have_text(re.compile(f"^11 to 20 of {count}"), use_inner_text=True)
    expect(on).to_be_focused()
    page.get_by_role("button", name=TEXT["page_back"]).click()
    expect(where).to_have_text(re.compile(f"^1 to 10 of {count}"), use_inner_text=True)

    open_tab(page, "made_tab")
    expect(page.locator(".made")).to_contain_text(
        "2,400 kept of 3,200 lines read", use_inner_text=True
    )
    expect(page.locator(".made")).to_contain_text(TEXT["limit_people"], use_inner_text=True)

    open_tab(page, "elsewhere_tab")
    expect(page.locator("#code-client")).to_contain_text(
        f'Client("{address.rstrip("/")}")', use_inner_text=True
    )
    expect(page.locator("#code-mcp")).to_contain_text("/gradio_api/mcp/", use_inner_text=True)
    copy = page.locator("[data-copy=code-peft]")
    copy.focus()
    page.keyboard.press("Enter")
    expect(copy).to_contain_text(TEXT["copied"], use_inner_text=True)
    expect(page.locator(".code:has(#code-peft) [role=status]")).to_have_text(
        TEXT["copied"], use_inner_text=True
    )
    assert (
        page.evaluate("navigator.clipboard.readText()") == page.locator("#code-peft").inner_text()
    )
    assert (
        '"shelftalk/shop-adapter", revision="c41d07aa3b9e55f0"'
        in page.locator("#code-peft").inner_text()
    )
    expect(copy).to_contain_text(TEXT["copy"], use_inner_text=True)

    # In the other language every tab has its name, in the row and in the menu.
    page.locator(".language").click()
    names = [TEXTS[key]["pt"] for key in TABS]
    expect(page.locator(".found")).to_contain_text(f"1 a 10 de {count}")
    for button in page.locator(".tab-container button[role=tab], .overflow-dropdown button").all():
        expect(button).to_have_text(re.compile("|".join(names)))
