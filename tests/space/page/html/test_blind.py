"""space/page/html/blind.py: before the vote nothing in an answer names its model."""

import pytest

from space.page.html.blind import hide_marks, render_pair, render_revealed, render_score
from space.page.votes import Ballot, Tally
from space.texts import html
from tests.fake_engine import INFO


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("It weighs 3 kg [1]. It is red [2].", "It weighs 3 kg. It is red."),
        ("It weighs 3 kg [1, 2][3]", "It weighs 3 kg"),
        ("It weighs 3 kg [1", "It weighs 3 kg"),
        (" [1]", ""),
        ("## **Lamp**\n`of oak`", "Lamp\nof oak"),
        ("3 * 4 [cm] and a_b", "3 * 4 [cm] and a_b"),
    ],
)
def test_marks_are_hidden(text, shown):
    assert hide_marks(text) == shown


def test_citations_show_with_the_names():
    ballot = Ballot("What?", answers={"base": "[1]", "tuned": "A <b>lamp</b> [1]."}, sources=1)
    pair, revealed = render_pair(ballot), render_revealed(ballot, INFO)
    assert "[1]" not in pair and "A &lt;b&gt;lamp&lt;/b&gt;." in pair and html("wordless") in pair
    assert revealed.count('<mark class="cite">[1]</mark>') == 2


def test_the_verdict_goes_when_the_next_pair_is_asked():
    voted = Ballot("What?", ended=True)
    voted.vote("a")
    own = Tally(tuned=1)
    assert html("blind_score_next") in render_score(None, own)
    assert html("blind_score_idle") in render_score(None, Tally())
    shown = render_score(voted, own)
    assert html("blind_score_next") not in shown and html("blind_score_idle") not in shown
