"""Measure the page in a real browser: usable, first words, layout shifts, Stop."""

from __future__ import annotations

import itertools
import tempfile
import time
from pathlib import Path
from statistics import median

from gradio_client import Client

from bench.figures import Figure, Options, Outcome, Skipped
from bench.startup import SAMPLE, Started, need_sample, running_app, served
from space.catalogue import Catalogue
from space.texts import words

CHROMIUM = Path("/usr/bin/chromium")
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
]
ROUNDS = 7
# Records layout shifts that no input caused, slow key presses, and each change of the answers.
WATCH = """
window.seen = {shift: 0, keys: [], steps: [], first: 0, begun: 0};
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (!entry.hadRecentInput) seen.shift += entry.value;
})).observe({type: "layout-shift", buffered: true});
new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (entry.name === "keydown") seen.keys.push(entry.duration);
})).observe({type: "event", durationThreshold: 16, buffered: true});
addEventListener("keydown", (event) => {
  if (event.key === "Enter") Object.assign(seen, {begun: performance.now(), first: 0, steps: []});
}, true);
new MutationObserver(() => {
  const busy = [...document.querySelectorAll('.stage .card[aria-busy="true"]')];
  if (busy.length !== 2 || !busy.some((card) => card.querySelector(".words"))) return;
  seen.first ||= performance.now();
  const tokens = busy.map((card) => parseInt(card.querySelector("footer")?.innerText) || 0);
  const last = seen.steps[seen.steps.length - 1];
  if (!last || last[0] !== tokens[0] || last[1] !== tokens[1]) seen.steps.push(tokens);
}).observe(document, {subtree: true, childList: true, characterData: true});
"""


def measure(options: Options) -> Outcome:
    """Open the sample's page several times, ask, type while it answers, and stop it."""
    if not CHROMIUM.exists():
        raise Skipped(f"there is no {CHROMIUM}")
    if not options.tiny:
        need_sample()
        with running_app({}) as app:
            return visit(app, Catalogue.open(SAMPLE / "catalogue").titles(ROUNDS + 1), ROUNDS)
    from bench.shapes import make_adapter, make_base, make_catalogue

    with tempfile.TemporaryDirectory() as folder:
        base, run = make_base(Path(folder, "base"), tiny=True), Path(folder, "run")
        make_catalogue(run, 60)
        with running_app(served(base, run, make_adapter(run, base))) as app:
            return visit(app, Catalogue.open(run / "catalogue").titles(2), 1)


def visit(app: Started, titles: list[str], rounds: int) -> Outcome:
    """Measure `rounds` visits after a first one that is not counted."""
    from playwright.sync_api import sync_playwright

    seen: dict[str, list[float]] = {}
    visitors = [Client(app.url, verbose=False) for _ in range(2)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGS)
        for number in range(rounds + 1):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            found = once(page, visitors, app.url, titles[number % len(titles)])
            if number == 0:  # the first visit warms the caches up
                continue
            for name, value in found.items():
                seen.setdefault(name, []).append(value)
        browser.close()
    middle = {name: median(values) for name, values in seen.items()}
    return Outcome(
        [
            Figure("page usable after the server answered", middle["usable"], "s", high=2),
            Figure("first words on screen after Enter", middle["first"], "s", high=0.5),
            Figure("first words on screen after Enter, slowest", max(seen["first"]), "s"),
            Figure("columns apart, at most, while both grow", max(seen["apart"]), "tokens", high=1),
            Figure("changes of the page that an answer takes", middle["steps"]),
            Figure("slowest key press while both stream", max(seen["keys"]), "ms", high=100),
            Figure("cumulative layout shift, largest", max(seen["shift"]), high=0.05),
            Figure(
                "from Stop to the next visitor in line, who has the model",
                middle["freed"],
                "s",
                high=0.2,
            ),
            Figure("from Stop to buttons that work again", middle["stopped"], "s"),
            Figure("from Stop and Enter to the next first words", middle["next"], "s", high=0.7),
        ],
        {name: [round(value, 4) for value in values] for name, values in seen.items()},
    )


def once(page, visitors: list[Client], url: str, title: str) -> dict[str, float]:
    """Measure one visit in seconds, shifts and milliseconds.

    Two more visitors then hand each other the model.
    """
    page.add_init_script(WATCH)
    page.goto(url, wait_until="commit")
    box, ask = (
        page.locator(".question textarea").first,
        page.get_by_role("button", name=words("ask"), exact=True).first,
    )
    begun = time.perf_counter()
    box.wait_for()
    box.fill(f"What is {title}?")
    usable = time.perf_counter() - begun
    ask.wait_for()
    page.wait_for_timeout(800)
    box.press("Enter")
    page.wait_for_function("seen.first")
    first = page.evaluate("(seen.first - seen.begun) / 1000")
    page.keyboard.type("and what else is there to know", delay=15)
    page.wait_for_function("!document.querySelector('.card[aria-busy=\"true\"]')")
    steps = page.evaluate("seen.steps")
    # Until the first of the two answers is complete.
    together = itertools.takewhile(
        lambda pair: pair[1][0] > pair[0][0] and pair[1][1] > pair[0][1], itertools.pairwise(steps)
    )
    apart = max((abs(base - tuned) for _, (base, tuned) in together), default=0)
    box.fill(f"Tell me about {title}.")
    box.press("Enter")
    page.wait_for_function("seen.first")
    begun = time.perf_counter()
    page.get_by_role("button", name=words("stop"), exact=True).first.click()
    page.wait_for_function("!document.querySelector('.card[aria-busy=\"true\"]')")
    stopped = time.perf_counter() - begun
    box.fill(f"Describe {title}.")
    box.press("Enter")
    page.wait_for_function("seen.first")
    found = {
        "usable": usable,
        "first": first,
        "freed": freed(visitors, title),
        "stopped": stopped,
        "next": page.evaluate("(seen.first - seen.begun) / 1000"),
        "apart": apart,
        "steps": len(steps),
        "shift": page.evaluate("seen.shift"),
        "keys": max(page.evaluate("seen.keys") or [0.0]),
    }
    page.close()
    return found


def freed(visitors: list[Client], title: str) -> float:
    """Measure the seconds from one visitor's Stop until the next in the queue has the model."""
    first, second = (
        visitor.submit(f"What is {title}?", api_name="/answer") for visitor in visitors
    )
    while len(first.outputs()) < 2:
        time.sleep(0.001)
    begun = time.perf_counter()
    first.cancel()
    while not second.outputs():
        time.sleep(0.001)
    seconds = time.perf_counter() - begun
    second.result()
    return seconds
