"""report.html: one file that needs no other, true to the numbers, in which texts stay texts."""

import json
import re
from html.parser import HTMLParser

import pytest

from tests.scored import HOSTILE, line, lines, metrics_of, scored, write_run
from train.evaluate import page, report
from train.evaluate.samples import read_samples
from train.run import Run


class Parsed(HTMLParser):
    """A page's tags and attributes; raises where an element is left open or closed twice."""

    EMPTY = frozenset(("meta", "circle", "line", "path", "br"))

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.open = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.EMPTY and not self.get_starttag_text().endswith("/>"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag, tag


def shown(run):
    """The run's report, from its files."""
    record, about, metrics = (
        json.loads((run / name).read_text())
        for name in ("adapter/run.json", "evaluation.json", "metrics.json")
    )
    return page.report_page(Run(run), record, about, metrics, read_samples(Run(run)))


SETS = [
    *lines(count=12),
    *lines("a vase", 12, "unseen"),
    *(each | {"sources": ["s1", each["uid"]]} for each in lines("It is blue. [2]", 6, "grounded")),
    *(
        each | {"evidence": ""}
        for each in lines("The catalogue has nothing by that name.", 6, "absent")
    ),
    *lines("oak", 6, "summary"),
]


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    return shown(write_run(tmp_path_factory.mktemp("runs") / "lamps", SETS))


def test_it_says_what_is_not_usual_of_the_lora(tmp_path, html):
    run = write_run(tmp_path / "lamps", SETS, rank_stabilized=True, init="eva")
    assert (
        "rank-stabilized, begun by EVA, on all linear layers" in shown(run)
        and "rank-stabilized" not in html
    )
    assert report.rare_options({}) == "", "an older run says nothing of it"


def test_it_is_one_file_that_asks_nobody_for_anything(html):
    parsed = Parsed(html)
    assert not {"script", "link", "img", "iframe", "object", "base", "form"} & set(parsed.tags)
    assert not [
        value
        for name, value in parsed.attributes
        if name in ("src", "href", "action", "onload", "onerror")
    ]
    assert (
        "url(" not in html
        and "@import" not in html
        and "http://" not in html
        and "https://" not in html
    )
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in parsed.attributes


def test_it_says_what_was_done_and_what_came_of_it(html):
    metrics = metrics_of(SETS)
    for words in (
        "What tuning changed: lamps",
        "shop.json (sha256 ab)",
        "40 kept of 50 lines; dropped: 10 junk",
        "rank 4",
        "CPU, 3 seconds, at most 4.0 GiB of memory",
        "10 items is among the 30 records",
        "Before and after",
        "Loss while training",
        "Length against score",
        "Changed most for the worse",
    ):
        assert words in html, words
    assert "Right on grounded: base 0 of 6, first record found 0 of 6, tuned 6 of 6." in html
    for name, scores in metrics.items():
        change = scores["difference"]["rougeL"]
        assert f"{change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]" in html, name
    assert (
        html.index("What is shown, and what is not")
        < html.index("The scores")
        < html.index("Pairs of answers")
    )


def test_whatever_was_said_does_nothing(tmp_path):
    hostile = {
        "question": f"What is {HOSTILE}?",
        "title": HOSTILE,
        "uid": f"u{HOSTILE}",
        "sources": [HOSTILE],
        "evidence": f"{HOSTILE}: {HOSTILE}",
        "retrieved": HOSTILE,
    }
    samples = [
        line("seen", "u", f'"><img src=x onerror=alert(1)>{place}', HOSTILE, f"{HOSTILE} {place}")
        | hostile
        for place in range(3)
    ]
    run = write_run(tmp_path / "<script>alert(2)<", samples)
    report = json.loads((run / "catalogue/report.json").read_text())
    report["source"]["name"] = f"{HOSTILE}.json"
    (run / "catalogue/report.json").write_text(json.dumps(report))
    text = shown(run)
    parsed = Parsed(text)
    assert "script" not in parsed.tags and "img" not in parsed.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 10


def test_the_best_and_the_worst_are_those_and_no_pair_is_both():
    letters = "abcdefghij"
    samples = [
        line(
            "seen",
            f"u{place}",
            " ".join(letters[: 10 - place]),
            " ".join(letters[:place]),
            " ".join(letters),
        )
        for place in range(1, 10)
    ]
    items = scored(samples)
    best, worst = page.extreme_pairs(items, "base", "tuned")
    assert [each.item.uid for each in best] == ["u9", "u8", "u7", "u6", "u5"]
    assert [each.item.uid for each in worst] == ["u1", "u2", "u3", "u4"]
    assert (
        best[0].difference == pytest.approx(-worst[0].difference) and best[0].before < best[0].after
    )
    assert page.extreme_pairs(items[:1], "base", "tuned")[1] == []


def test_portuguese_is_close_by_its_whole_words():
    values = {"rougeL": 0.5}, {"rougeL": 0.4, "rougeL_unicode": 0.0}
    assert [page.closeness(each) for each in values] == [0.5, 0.0]


@pytest.mark.parametrize(
    "samples",
    [
        [line("seen", "u1", "", "")],
        [line("seen", "u1", "", "", "")],
        [line("seen", f"u{n}", "x", "x", "x") for n in range(3)],
    ],
    ids=["one item, empty answers", "all empty", "all the same"],
)
def test_little_and_empty_and_identical_has_its_page(tmp_path, samples):
    text = shown(write_run(tmp_path / "run", samples))
    assert Parsed(text).tags and "nan" not in re.sub(
        r"<style>.*?</style>", "", text, flags=re.S
    ).lower().replace("finance", "")


def test_a_run_that_does_not_say_its_memory_has_its_page(tmp_path):
    run = write_run(tmp_path / "run", lines(count=4))
    record = json.loads((run / "adapter/run.json").read_text())
    del record["memory"]
    (run / "adapter/run.json").write_text(json.dumps(record))
    assert "CPU, 3 seconds<" in shown(run)
