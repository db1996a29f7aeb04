"""space/page/html/about.py: the header's line says what is known, and no more."""

import pytest

from space.evidence import Evidence, read_evidence
from space.page.html.about import render_about
from tests.fake_engine import INFO
from tests.languages import visible_text
from tests.toy import TOY


def about(base="some/base", evidence=None, invented=False) -> str:
    return visible_text(render_about({**INFO, "base": base}, evidence or Evidence(), invented))


@pytest.mark.parametrize(
    ("base", "said"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "135 million parameters"),
        ("meta-llama/Llama-3.2-1.5B", "1.5 billion parameters"),
        ("mistralai/Mixtral-8x7B-v0.1", ""),
        ("shelftalk/tiny-llama-sample", ""),
    ],
)
def test_parameters_are_named_only_where_they_are_known(base, said):
    assert said in about(base) and (said or "parameters" not in about(base))


def test_what_was_learned_is_told_of_the_catalogue_that_was_learned():
    evidence = read_evidence(TOY / "adapter", TOY / "catalogue")
    told = about(evidence=evidence, invented=True)
    assert "2,400 products" in told and "learned 200 of them" in told
    other = Evidence(run=evidence.run, report={**evidence.report, "source": {"sha256": "other"}})
    assert "200 of them" not in about(evidence=other) and "invented" not in about(evidence=other)


def test_nothing_is_claimed_without_files_and_names_are_escaped():
    told = render_about({**INFO, "base": "<b>"}, Evidence(run={"config": 3}), True)
    assert "&lt;b&gt;" in told and "invented" not in told
