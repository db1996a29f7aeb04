"""report.html and compare.html in a real browser: light, dark and on a phone; nothing is fetched,
nothing runs.
"""

import json

import pytest

from tests.browser.test_page import chromium, pytestmark  # noqa: F401
from tests.scored import HOSTILE, lines, write_run
from train.evaluate import compare, page
from train.evaluate.samples import read_samples
from train.run import Run


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Both pages, of runs whose every text tries to do something."""
    folder = tmp_path_factory.mktemp("pages")
    samples = [
        *(
            each | {"question": f"{HOSTILE}<img src=x onerror=alert(1)> {each['uid']}"}
            for each in lines(HOSTILE, 12)
        ),
        *lines(name="grounded", count=8),
        *lines("a" * 400, 4, "summary"),
    ]
    runs = [
        write_run(folder / name, samples, rank=rank) for name, rank in (("first", 4), ("later", 8))
    ]
    record, about, metrics = (
        json.loads((runs[0] / name).read_text())
        for name in ("adapter/run.json", "evaluation.json", "metrics.json")
    )
    (folder / "report.html").write_text(
        page.report_page(Run(runs[0]), record, about, metrics, read_samples(Run(runs[0])))
    )
    (folder / "compare.html").write_text(compare.compare_page(compare.compare(runs)))
    return folder


@pytest.mark.parametrize("name", ["report.html", "compare.html"])
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (390, "light")])
def test_it_is_read_on_every_screen(chromium, written, name, width, scheme):  # noqa: F811
    shown = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked, said = [], []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    shown.goto((written / name).as_uri())
    assert asked == [(written / name).as_uri()] and not said
    assert shown.evaluate("document.documentElement.scrollWidth") <= width, (
        "the page scrolls sideways"
    )
    dark = shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(25, 21, 17)"
    assert dark == (scheme == "dark")
    boxes = shown.locator("figure svg").evaluate_all(
        "all => all.map(svg => svg.getBoundingClientRect().width)"
    )
    assert boxes and all(150 < box <= width for box in boxes)
    texts = shown.locator("figure :is(dt, b, .scale span, .plot span, .axis)").evaluate_all(
        "all => all.map(text => getComputedStyle(text).fontSize)"
    )
    assert texts and {*texts} <= {"12px", "13px"}, "text in a plot keeps its size on a phone"
    assert shown.get_by_role("heading", name="What is shown, and what is not").is_visible()
    shown.locator("summary").first.focus()
    shown.keyboard.press("Enter")
    assert shown.locator("details").first.get_attribute("open") is not None
    shown.close()
