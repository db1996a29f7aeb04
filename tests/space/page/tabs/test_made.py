"""space/page/tabs/made.py: how the adapter was made, as its own files tell it."""

from space.evidence import Evidence
from space.page.tabs.made import render_made
from tests.fake_engine import INFO
from tests.languages import visible_text


def test_a_precision_is_escaped_once():
    evidence = Evidence(run={"config": {"precision": "<nf4> & more"}})
    shown = render_made(evidence, {**INFO, "precision": "a&b"})
    assert "held in <NF4> & MORE" in visible_text(shown) and "held in A&B" in visible_text(shown)
