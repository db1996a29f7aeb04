"""space/page/html/changed.py: what the picture of a change says and how it is built, whatever is in
the tokens.
"""

import math
from html.parser import HTMLParser

import pytest

from space.page.html import changed
from space.texts import html
from tests.languages import visible_text


def token(text: str, base: float, tuned: float, *others: tuple[str, float]) -> dict:
    return {
        "token": text,
        "base_logprob": math.log(base),
        "tuned_logprob": math.log(tuned),
        "alternatives": [{"token": other, "logprob": math.log(chance)} for other, chance in others],
    }


class Page(HTMLParser):
    """The elements of a piece of HTML, and the text that stands in its tokens but not in their
    details.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.elements, self.shown = [], [], ""
        self.feed(text)
        assert not self.open, "an element is not closed"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.elements.append((tag, attributes))
        if tag not in ("input", "br"):
            self.open.append((tag, attributes.get("class") or ""))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        names = [f"{tag}.{name}" for tag, name in self.open]
        aside = {"span.detail", "span.spoken", "i.break"}
        if any(name.startswith("label.token") for name in names) and not aside & set(names):
            self.shown += data


def radios(shown: str) -> list[dict]:
    return [attributes for tag, attributes in Page(shown).elements if tag == "input"]


def looks(shown: str) -> list[tuple[str, str | None]]:
    return [
        (attributes["class"], attributes.get("style"))
        for tag, attributes in Page(shown).elements
        if tag == "label"
    ]


TEXTS = [
    "<script>alert(1)</script>",
    "</s>",
    "<|eot_id|>",
    "[INST]",
    '" onmouseover="x',
    "&amp; ${1+1} {{value}} {count}",
    "שלום",
    " مرحبا",
    "👩‍👧",
    "日",
    "\n",
    "  ",
    "\ufffd",
]


def test_every_token_is_text_and_nothing_else():
    shown = changed.render_changes(
        [token(text, 0.001, 0.9, *((other, 0.1) for other in TEXTS)) for text in TEXTS], "x"
    )
    page = Page(shown)
    assert page.shown == "".join(TEXTS)
    assert {tag for tag, _ in page.elements} == {
        "section",
        "h2",
        "p",
        "b",
        "bdi",
        "div",
        "fieldset",
        "legend",
        "label",
        "input",
        "span",
        "small",
        "i",
    }
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    # An answer from right to left begins at the right, and no token turns the words around it.
    assert ("fieldset", {"class": "tokens", "dir": "auto"}) in page.elements
    # Each token in its own detail, with all of its alternatives; and the most changed in the
    # sentence, in two languages.
    assert shown.count("<bdi>") == len(TEXTS) * (len(TEXTS) + 1) + 2


def test_a_token_says_by_its_class_which_way_and_by_its_style_how_far():
    shown = changed.render_changes(
        [
            token("a", 0.0009, 0.9),
            token("b", 0.5, 0.6),
            token("c", 0.9, 0.09),
            token("d", 0.9, 1e-9),
        ],
        "x",
    )
    assert looks(shown) == [
        ("token up", "--by:1.00"),
        ("token", None),
        ("token down", "--by:0.33"),
        ("token down", "--by:1.00"),
    ]


def test_one_radio_button_a_token_and_the_most_changed_is_chosen():
    shown = changed.render_changes(
        [
            token("a", 0.1, 0.2),
            token(" oak", 0.001, 0.98, (" wood", 0.41), ("", 0.05)),
            token(".", 0.9, 0.9),
        ],
        "of-an-answer",
    )
    buttons = radios(shown)
    assert [button["name"] for button in buttons] == ["of-an-answer"] * 3
    assert ["checked" in button for button in buttons] == [False, True, False]
    name = shown.split('<span class="spoken">')[2].split("</span><span aria-hidden")[0]
    assert visible_text(name) == (
        "oak: 0.1% before fine-tuning, 98% after, 980 times likelier. The base’s own choices: "
        "wood 41%, (the end) 5%"
    )
    assert visible_text(name, "pt") == (
        "oak: 0,1% antes do ajuste fino, 98% depois, 980 vezes mais provável. As escolhas da base: "
        "wood 41%, (o fim) 5%"
    )


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (
            [token("a", 0.1, 0.2), token(" oak", 0.001, 0.98), token(".", 0.9, 0.9)],
            "Fine-tuning made 2 of 3 tokens likelier; most of all “oak”, from 0.1% to 98%.",
        ),
        (
            [token("a", 0.9, 0.0001), token(" oak", 0.01, 0.98)],
            "Fine-tuning made 1 of 2 tokens likelier and 1 less likely; most of all it raised “oak”, from 1% to 98%.",  # noqa: E501
        ),
        (
            [token("]", 1e-9, 0.3), token("oak", 1e-5, 0.9), token("x", 1e-12, 0.1)],
            "Fine-tuning made 3 of 3 tokens likelier; most of all “oak”, from 0.001% to 90%.",
        ),
        (
            [token("<b>", 0.9, 0.002), token(" oak", 0.9, 0.98)],
            "Fine-tuning made 1 of 2 tokens less likely and none likelier; most of all it lowered “<b>”, from 90% to 0.2%.",  # noqa: E501
        ),
        (
            [token("a", 0.8, 0.9), token(" oak", 0.9, 0.8)],
            "Fine-tuning left all 2 tokens about as likely as they were.",
        ),
        ([token("a", 0.8, 0.9)], "Fine-tuning left the only token about as likely as it was."),
        (
            [token("\n", 0.01, 0.9)],
            "Fine-tuning made 1 of 1 tokens likelier; most of all “(line break)”, from 1% to 90%.",
        ),
    ],
)
def test_the_sentence_says_what_the_picture_shows(tokens, text):
    shown = changed.describe_changes(tokens)
    assert visible_text(shown) == text
    assert "<b><b>" not in shown
    picture = looks(changed.render_changes(tokens, "x"))
    ups, downs = (sum(direction in name for name, _ in picture) for direction in ("up", "down"))
    if "made" in text:
        assert text.startswith(f"Fine-tuning made {ups or downs} of {len(tokens)}")


def test_facts_come_before_the_citation_and_the_opening_words():
    tokens = [
        token("It", 0.001, 0.9),
        token(" weighs", 0.01, 0.9),
        token(" ", 0.5, 0.6),
        token("8", 0.02, 0.98),
        token("20", 0.2, 0.9),
        token(" g", 0.8, 0.9),
        token(".", 0.9, 0.9),
        token(" [", 1e-9, 0.99),
        token("1", 0.9, 0.99),
        token("]", 0.9, 0.99),
    ]
    records = [{"title": "Brass Lamp", "content": "A lamp of brass. It weighs 820 g."}]
    facts = changed.find_fact_tokens(tokens, records)
    assert [tokens[index]["token"] for index in facts] == ["8", "20", " g"]
    said = visible_text(changed.describe_changes(tokens, facts))
    assert said.startswith(
        "Facts. Fine-tuning made 2 of 3 tokens likelier; most of all “8”, from 2% to 98%. "
    )
    assert "Form. Fine-tuning made 3 of 7 tokens likelier; most of all “[”" in said
    shown = radios(changed.render_changes(tokens, "x", "", records))
    assert ["checked" in each for each in shown].index(True) == 3


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1.0, "over 99.9%"),
        (0.9996, "over 99.9%"),
        (0.998, "99.8%"),
        (0.994, "99%"),
        (0.41, "41%"),
        (0.0996, "10%"),
        (0.094, "9.4%"),
        (0.0012, "0.12%"),
        (0.00052, "0.05%"),
        (0.0000101, "0.001%"),
        (1e-9, "under 0.001%"),
    ],
)
def test_a_probability_has_as_many_digits_as_say_something(share, text):
    assert visible_text(changed.format_chance(math.log(share))) == text


@pytest.mark.parametrize(
    ("factor", "text"),
    [
        (1.4, "about as likely"),
        (1 / 1.4, "about as likely"),
        (1.6, "1.6 times likelier"),
        (9.96, "10 times likelier"),
        (987, "990 times likelier"),
        (45_678, "46,000 times likelier"),
        (1e30, "over a million times likelier"),
        (1 / 3, "3.0 times less likely"),
        (1e-30, "over a million times less likely"),
    ],
)
def test_how_many_times_likelier(factor, text):
    assert visible_text(changed.format_times(math.log(factor))) == text


def test_it_says_when_the_models_still_read():
    waiting = changed.render_waiting()
    assert 'aria-busy="true"' in waiting and html("changed_waiting") in waiting
    assert 'aria-busy="true"' not in changed.render_changes([token("a", 0.1, 0.2)], "x")
