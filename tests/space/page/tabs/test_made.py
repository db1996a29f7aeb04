"""space/page/tabs/made.py: how the adapter was made, as its own files tell it."""

from space.evidence import Evidence, read_evidence
from space.page.tabs.made import render_made
from tests.fake_engine import INFO
from tests.languages import visible_text
from tests.toy import TOY


def test_a_precision_is_escaped_once():
    evidence = Evidence(run={"config": {"precision": "<nf4> & more"}})
    shown = render_made(evidence, {**INFO, "precision": "a&b"})
    assert "held in <NF4> & MORE" in visible_text(shown) and "held in A&B" in visible_text(shown)


def test_how_the_sample_was_made():
    sample = read_evidence(TOY / "adapter", TOY / "catalogue")
    shown = visible_text(render_made(sample, INFO))
    for words in (
        "2,400 kept of 3,200 lines read",
        "337: without content",
        "LoRA of rank 32 and alpha 64",
        "0.0035",
        "CPU, 2 cores",
        "torch",
        "the contents’ own principal sentences",
        "mit",
        "To decide anything about people.",
    ):
        assert words in shown, words
    assert "2.400 mantidos de 3.200" in visible_text(render_made(sample, INFO), "pt")
    usual = "rank-stabilized" in shown or "EVA" in shown
    ways = Evidence(
        run=sample.run | {"config": sample.run["config"] | {"rank_stabilized": True, "init": "eva"}}
    )
    assert not usual and all(
        words in visible_text(render_made(ways, INFO))
        for words in ("rank-stabilized: alpha over", "begun by EVA")
    )
    assert "iniciados por EVA" in visible_text(render_made(ways, INFO), "pt")
    other = Evidence(run=sample.run, report=sample.report | {"kept": 1})
    assert "without content" not in visible_text(render_made(other, INFO)), (
        "another catalogue's report says nothing of this one"
    )
