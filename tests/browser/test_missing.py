"""The page of a Space that has nothing to answer with, in a real browser: wide and on a phone,
light and dark.
"""

import pytest

from space.errors import ModelError
from space.page.missing import build_missing
from space.page.ui import launch_options
from space.settings import Settings, SettingsError
from tests.browser.chromium import HERE, pytestmark, running  # noqa: F401
from tests.serving import free_port

SECRET = "hf_" + "notforothers" * 3
PROBLEMS = {
    "base": (
        ModelError(
            "base meta/large is neither a folder here nor a repository on the Hub that you may read"
        ),
        Settings(base_model="meta/large", adapter="ana/shop"),
        ("BASE_MODEL", "meta/large", "ana/shop"),
    ),
    "variables": (
        SettingsError(f"PORT is '{SECRET}', which is not a whole number", Settings()),
        Settings(),
        ("PORT is 'hf_…'",),
    ),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["wide", "phone"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_says_in_two_languages_what_is_missing_and_how_to_mend_it(
    problem, width, height, scheme
):
    error, settings, words = PROBLEMS[problem]
    demo = build_missing(error, settings)
    demo.launch(
        **(launch_options(settings) | {"server_port": free_port()}),
        prevent_thread_lock=True,
        quiet=True,
    )
    elsewhere, errors = [], []
    try:
        with running() as browser:
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme
            )
            page.on("request", lambda sent: sent.url.startswith(HERE) or elsewhere.append(sent.url))
            page.on("pageerror", lambda failed: errors.append(str(failed)))
            page.goto(demo.local_url)
            page.locator(".missing").wait_for()
            shown = page.locator(".missing").inner_text()
            paper = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (
                "the page scrolls sideways"
            )
    finally:
        demo.close()
    assert not elsewhere and not errors
    assert all(
        each in shown
        for each in (*words, "This Space cannot answer yet", "Este Space ainda não pode responder")
    )
    assert SECRET not in shown
    assert (sum(map(int, paper.removeprefix("rgb(").rstrip(")").split(", "))) > 384) is (
        scheme == "light"
    ), paper
