"""Records the README's film and pictures: the real app, with the embedded sample, in a real
browser. `make demo`.
"""

from __future__ import annotations

import base64
import io
import sys
from itertools import pairwise
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bench.startup import running_app
from space.catalogue.search import Catalogue
from space.catalogue.text import detect_language
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
PAUSE = 1100  # milliseconds on which a reader's eye may rest


class Film:
    """What a page shows, frame by frame, as Chromium hands it out: one for each change, with its
    time.
    """

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
        """Writes an animated WebP, which browsers and the Hub play by themselves, and returns its
        size in bytes.
        """
        images = [Image.open(io.BytesIO(data)).convert("RGB") for _, data in self.frames]
        lasts = [
            max(20, round(1000 * (later - earlier)))
            for (earlier, _), (later, _) in pairwise(self.frames)
        ]
        images[0].save(
            path,
            "WEBP",
            save_all=True,
            append_images=images[1:],
            duration=[*lasts, 3000],
            loop=0,
            quality=50,
            method=4,
            kmax=80,
        )
        return path.stat().st_size


def press(page: Page, key: str) -> None:
    """Presses the button that has this text of space/texts.py, where it can be seen."""
    page.get_by_role("button", name=words(key), exact=True).locator("visible=true").last.click()


def go_to(page: Page, tab: str) -> None:
    """Opens a tab by the key of its name."""
    page.get_by_role("tab", name=words(tab), exact=True).click()
    page.wait_for_timeout(PAUSE)


def ask(page: Page, question: str) -> None:
    """Types a question as a person does, and waits for both answers."""
    page.locator(".question textarea:visible").press_sequentially(question, delay=45)
    page.keyboard.press("Enter")
    answered(page)


def answered(page: Page) -> None:
    """Waits until both answers have come to their ends."""
    page.locator(".card .words:visible").first.wait_for(timeout=60_000)
    page.wait_for_function("!document.querySelector('.card[aria-busy=\"true\"]')", timeout=60_000)
    page.wait_for_timeout(PAUSE)


def show(page: Page, selector: str) -> None:
    """Brings a part of the page into view, gently."""
    page.locator(selector).locator("visible=true").last.evaluate(
        "part => part.scrollIntoView({behavior: 'smooth', block: 'center'})"
    )
    page.wait_for_timeout(PAUSE)


def change(page: Page) -> None:
    """Asks what fine-tuning changed, and looks at some of the tokens."""
    press(page, "changed")
    page.locator(".changed .tokens:visible").wait_for(timeout=60_000)
    show(page, ".changed .reading")
    tokens = page.locator(".changed label.token:visible")
    for place in range(0, min(tokens.count(), 16), 3):
        # The middle of a token's first line: the middle of a whole one, on two lines, may be its
        # neighbour's.
        page.mouse.move(
            *tokens.nth(place).evaluate(
                "token => { const line = token.getClientRects()[0]; "
                "return [line.x + line.width / 2, line.y + line.height / 2]; }"
            )
        )
        page.wait_for_timeout(450)


def vote(page: Page, question: str) -> None:
    """Asks blindly, and votes for the answer that names its source."""
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
    """Plays the film: a question before and after, the records behind it, what changed, a
    follow-up, a vote, the scores.
    """
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
    """Takes the picture of the page in a hand: dark, narrow and in Portuguese."""
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
    """Records everything; returns 1 where the film is too large to be loaded with a page."""
    if not Path(CHROMIUM).exists():
        print(f"demo: there is no {CHROMIUM}; on Debian, apt-get install chromium", file=sys.stderr)
        return 1
    catalogue = Catalogue.open(ROOT / "space" / "sample" / "catalogue")
    english, portuguese = (
        [
            title
            for title in catalogue.titles(40)
            if detect_language(catalogue.search(title, 1)[0]["content"]) == code
        ]
        for code in ("en", "pt")
    )
    with running_app({}) as app, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        film = record(browser.new_page(viewport=SIZE), app.url, english)
        photograph(browser, app.url, portuguese[0])
        browser.close()
    size = film.save(FILM)
    print(
        f"demo: {FILM.relative_to(ROOT)}, {len(film.frames)} frames, "
        f"{film.frames[-1][0] - film.frames[0][0]:.0f} s, "
        f"{size / 1e6:.2f} MB; beside it page.png, changed.png, blind.png, evidence.png "
        "and phone.png"
    )
    return int(size >= LARGEST)


if __name__ == "__main__":
    sys.exit(main())
