"""Record the README's film and pictures of the real app in a real browser (`make demo`)."""

from __future__ import annotations

import base64
import io
import sys
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bench.startup import running_app
from space.catalogue import Catalogue, detect_language
from space.texts import words

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = "/usr/bin/chromium"
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]
SIZE = {"width": 1120, "height": 800}
FILM, LARGEST = ROOT / "docs" / "film.webp", 3_000_000  # bytes
PAUSE = 1100  # milliseconds, in which a reader looks


class Film:
    """A page's frames with their times: Chromium sends one for each change."""

    def __init__(self, page: Page) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self.page, self.session = page, page.context.new_cdp_session(page)
        self.session.on("Page.screencastFrame", self._keep)

    def __enter__(self) -> Film:
        self.session.send("Page.startScreencast", {"format": "png", "everyNthFrame": 2})
        return self

    def __exit__(self, *_) -> None:
        self.session.send("Page.stopScreencast")

    def _keep(self, event: dict) -> None:
        self.frames.append((event["metadata"]["timestamp"], base64.b64decode(event["data"])))
        self.session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    def save(self, path: Path) -> int:
        """Write an animated WebP and return its size in bytes."""
        images = [Image.open(io.BytesIO(data)).convert("RGB") for _, data in self.frames]
        durations = []
        for (earlier, _), (later, _) in pairwise(self.frames):
            durations.append(max(20, round(1000 * (later - earlier))))
        images[0].save(
            path,
            "WEBP",
            save_all=True,
            append_images=images[1:],
            duration=[*durations, 3000],
            loop=0,
            quality=50,
            method=4,
            kmax=80,
        )
        return path.stat().st_size


def press(page: Page, key: str) -> None:
    """Press the visible button with this text of space/texts.json."""
    page.get_by_role("button", name=words(key), exact=True).locator("visible=true").last.click()


def go_to(page: Page, tab: str) -> None:
    """Open a tab by the key of its name."""
    page.get_by_role("tab", name=words(tab), exact=True).click()
    page.wait_for_timeout(PAUSE)


def ask(page: Page, question: str) -> None:
    """Type a question as a person does, and wait for both answers."""
    page.locator(".question textarea:visible").press_sequentially(question, delay=45)
    page.keyboard.press("Enter")
    answered(page)


def answered(page: Page) -> None:
    """Wait until both answers are complete."""
    page.locator(".card .words:visible").first.wait_for(timeout=60_000)
    page.wait_for_function("!document.querySelector('.card[aria-busy=\"true\"]')", timeout=60_000)
    page.wait_for_timeout(PAUSE)


def show(page: Page, selector: str) -> None:
    """Scroll a part of the page into view, smoothly."""
    page.locator(selector).locator("visible=true").last.evaluate(
        "part => part.scrollIntoView({behavior: 'smooth', block: 'center'})"
    )
    page.wait_for_timeout(PAUSE)


def change(page: Page) -> None:
    """Ask what fine-tuning changed, and point at some tokens."""
    press(page, "changed")
    page.locator(".changed .tokens:visible").wait_for(timeout=60_000)
    show(page, ".changed .reading")
    tokens = page.locator(".changed label.token:visible")
    for index in range(0, min(tokens.count(), 16), 3):
        # The middle of the token's first line: that of a token on two lines may be its neighbour's.
        page.mouse.move(
            *tokens.nth(index).evaluate("""token => {
                const line = token.getClientRects()[0];
                return [line.x + line.width / 2, line.y + line.height / 2];
            }""")
        )
        page.wait_for_timeout(450)


def vote(page: Page, question: str) -> None:
    """Ask in the blind test, and vote for the answer that cites a record."""
    go_to(page, "blind_tab")
    page.locator(".question textarea:visible").press_sequentially(question, delay=45)
    press(page, "blind_ask")
    answered(page)
    show(page, ".ballot .votes")
    second = "[1]" in page.locator(".ballot .card:visible").nth(1).inner_text()
    press(page, "blind_b" if second else "blind_a")
    page.locator(".ballot .chip:visible").first.wait_for()
    page.wait_for_timeout(2 * PAUSE)


def record(page: Page, url: str, titles: list[str]) -> Film:
    """Film a question, the records behind it, what changed, a vote and the scores."""
    page.goto(url)
    page.locator(".question textarea").first.wait_for()
    page.wait_for_timeout(PAUSE)
    with Film(page) as film:
        page.wait_for_timeout(PAUSE)
        ask(page, f"What is {titles[0]}?")
        page.locator("details.shelf summary:visible").last.click()
        page.wait_for_timeout(PAUSE)
        page.screenshot(path=ROOT / "docs" / "page.png")
        change(page)
        page.screenshot(path=ROOT / "docs" / "changed.png")
        vote(page, f"Tell me about {titles[1]}.")
        page.screenshot(path=ROOT / "docs" / "blind.png")
        go_to(page, "evidence_tab")
        page.screenshot(path=ROOT / "docs" / "evidence.png")
        page.mouse.wheel(0, 500)
        page.wait_for_timeout(2 * PAUSE)
    return film


def photograph(browser, url: str, title: str) -> None:
    """Take the picture of the page on a phone: dark and in Portuguese."""
    page = browser.new_page(
        viewport={"width": 390, "height": 844},
        color_scheme="dark",
        locale="pt-BR",
        device_scale_factor=2,
    )
    page.goto(url)
    page.locator(".question textarea").first.wait_for()
    page.wait_for_timeout(PAUSE)
    ask(page, f"O que é {title}?")
    page.screenshot(path=ROOT / "docs" / "phone.png")
    page.close()


def main() -> int:
    """Record everything; return 1 if the film is too large for a page."""
    if not Path(CHROMIUM).exists():
        print(f"demo: there is no {CHROMIUM}; on Debian, apt-get install chromium", file=sys.stderr)
        return 1
    catalogue = Catalogue.open(ROOT / "space" / "sample" / "catalogue")
    titles: dict[str, list[str]] = {"en": [], "pt": []}
    for title in catalogue.titles(40):
        titles[detect_language(catalogue.search(title, 1)[0]["content"])].append(title)
    with running_app({}) as app, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        film = record(browser.new_page(viewport=SIZE), app.url, titles["en"])
        photograph(browser, app.url, titles["pt"][0])
        browser.close()
    size = film.save(FILM)
    seconds = film.frames[-1][0] - film.frames[0][0]
    print(
        f"demo: {FILM.relative_to(ROOT)}, {len(film.frames)} frames, {seconds:.0f} s, "
        f"{size / 1e6:.2f} MB; beside it page.png, changed.png, blind.png, evidence.png, phone.png"
    )
    return int(size >= LARGEST)


if __name__ == "__main__":
    sys.exit(main())
