"""Every tab, light and dark, wide and on a phone: no serious or critical violation of axe-core, in
either language.
"""

import json
from collections.abc import Iterator

import pytest

from space.page.ui import TABS
from space.texts import TEXTS
from tests.browser.chromium import go_to, pytestmark, running  # noqa: F401
from tests.fake_engine import FakeEngine
from tests.serving import serving

axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    engine = FakeEngine(delay=0)
    # Facts that the records contradict, and one that they lack.
    engine.base = "It is a steel lamp for camping that burns for 12 hours [1]."
    with serving(engine) as address:
        yield address


def violations(page) -> list[str]:
    """What axe-core calls serious or critical on the page as it stands, a line each."""
    found = axe.Axe().run(page).response["violations"]
    return [
        json.dumps(
            {
                "rule": one["id"],
                "impact": one["impact"],
                "where": [node["html"][:200] for node in one["nodes"][:3]],
                "why": one["nodes"][0]["failureSummary"][:300],
            }
        )
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(
    ("scheme", "width", "language"),
    [
        ("light", 1280, "en-US"),
        ("dark", 1280, "pt-BR"),
        ("dark", 390, "en-US"),
        ("light", 390, "pt-BR"),
    ],
)
def test_no_tab_shuts_anybody_out(address, scheme, width, language):
    text = {key: both["pt" if language == "pt-BR" else "en"] for key, both in TEXTS.items()}
    with running() as browser:
        page = browser.new_page(
            color_scheme=scheme, viewport={"width": width, "height": 900}, locale=language
        )
        page.goto(address)
        page.get_by_label(text["question"]).first.fill("What is the lantern?")
        page.keyboard.press("Enter")
        page.locator(".card.tuned .words").first.wait_for()
        page.locator(".card[aria-busy=true]").first.wait_for(state="hidden")
        page.get_by_role("button", name=text["changed"], exact=True).first.click()
        page.locator(".changed .tokens").first.wait_for()
        page.locator(".card.base button.cite").first.click()
        assert page.locator(".base .contradicted").count() and page.locator(".opened").count()
        page.wait_for_timeout(300)  # a button's colours change slowly
        problems = {"ask_tab": violations(page)}
        for name in list(TABS)[1:]:
            go_to(page, text[name])
            page.wait_for_timeout(600)
            problems[name] = violations(page)
    assert not any(problems.values()), "\n".join(
        f"{name}: {line}" for name, lines in problems.items() for line in lines
    )
