"""The real browser of these tests; without it they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright_api.expect
expect.set_options(timeout=30_000)
CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}"),
]
HERE = ("http://127.0.0.1:", "data:", "blob:", "about:")  # nothing is fetched from elsewhere


@contextmanager
def running() -> Iterator:
    """Start Chromium and yield the browser."""
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        yield browser
        browser.close()


def go_to(page, name: str) -> None:
    """Open a tab: from the row, or from the menu of those for which the row has no room."""
    page.locator(".tab-wrapper").wait_for()
    page.wait_for_timeout(500)
    tab = page.get_by_role("tab", name=name, exact=True)
    if not tab.count() or not tab.is_visible():
        page.locator(".overflow-menu > button").click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.click()
