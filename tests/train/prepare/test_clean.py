"""The rules of cleaning, each on texts of its own."""

from __future__ import annotations

import html
import time

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.prepare.clean import RULES, clean_text


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("Kerr&#8217;s best&#8211;selling", "Kerr\u2019s best\u2013selling"),
        ("Kerr&amp;#8217;s &amp;amp; co", "Kerr\u2019s & co"),
        ("AT&T, R&B; M&amp;M, Godley &Creme;", "AT&T, R&B M&M, Godley &Creme"),
        ("One.<br>Two<br />Three<BR/>Four", "One. Two Three Four"),
        ("<p>One.</p><p class='x'>Two.</p>", "One. Two."),
        ("<ul><li>One<li>Two</ul>", "One Two"),
        ('a <b>bo</b>ld <a href="x">lin</a>k<span>.</span>', "a bold link."),
        ("&lt;p&gt;One&lt;/p&gt;", "One"),
        ("&amp;lt;br&amp;gt;One", "One"),
        ("5 < 6 > 4", "5 < 6 > 4"),
        ("I <3 you, a<b and c>d, <Enter>", "I <3 you, a<b and c>d, <Enter>"),
        ("x &lt; y", "x < y"),
        (
            "before<!-- not\nthis -->after <script>not(this)</script>end<style>.a{}</style>",
            "before after end",
        ),
        (
            " \t one\u00a0two\r\nthree&nbsp;four\u2003five\x00\x07six ",
            "one two three four five six",
        ),
        (
            "cafe\u0301 soft\u00adhyphen zero\u200bwidth \ufeffbom \ud800lone",
            "caf\u00e9 softhyphen zerowidth bom lone",
        ),
        ("caf\u00c3\u00a9 &#xC3;&#xBC;ber \u00c2\u00a9", "caf\u00e9 \u00fcber \u00a9"),
        ("MANH\u00c3 \u00abIRM\u00c3\u00bb N\u00c3O", "MANH\u00c3 \u00abIRM\u00c3\u00bb N\u00c3O"),
        ("Well told.--This text refers to theHardcoveredition.", "Well told."),
        (
            "Old. --This text refers to an out of print or unavailable edition of this title.",
            "Old.",
        ),
        ("This text refers to a king.", "This text refers to a king."),
        ("", ""),
    ],
)
def test_clean(dirty, expected):
    assert clean_text(dirty) == expected
    assert clean_text(expected) == expected


@pytest.mark.parametrize(
    "text",
    ["-" * 100_000, " " * 100_000 + "x", "<br " * 25_000, "<p a=" + "= " * 50_000, "<!--" * 24_000],
)
def test_odd_text_is_cleaned_in_a_blink(text):
    started = time.process_time()
    clean_text(text)
    assert time.process_time() - started < 3  # a rule that is quadratic takes far longer


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [*"&#;xX19aé< \n", "amp", "lt", "notit", "AElig", "&#0", "quot;", "long" * 9]
        )
    ).map("".join)
)
def test_entities_are_undone_as_html_says(text):
    wanted = text
    for _ in range(3):
        wanted = html.unescape(wanted)
    unescaped = next(rule for rule in RULES if rule.name == "entities").apply
    given = pl.Series([text, "R&amp;B"])
    assert unescaped(given).to_list() == [wanted, "R&B"]
    assert given.to_list() == [text, "R&amp;B"], "a repair leaves what it was given as it was"
