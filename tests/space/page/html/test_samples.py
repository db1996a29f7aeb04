"""space/page/html/samples.py: answers chosen, sorted, searched and paged."""

import pytest

from space.evidence.files import Evidence, read_evidence
from space.page.html import samples
from tests.evidence import read_files, sample_line
from tests.languages import visible_text
from tests.toy import TOY


@pytest.fixture(scope="module")
def sample() -> Evidence:
    return read_evidence(TOY / "adapter", TOY / "catalogue")


def test_answers_of_an_older_adapter_without_scores_are_shown_and_not_judged(tmp_path, sample):
    old = read_files(
        tmp_path, samples_jsonl=f"{sample_line()}\n{sample_line(question='And Elm Vase?')}\n"
    )
    assert not samples.are_scored(old.samples) and samples.are_scored(sample.samples)
    shown = samples.show_page(old, old.samples, 0)
    assert "Oak Kettle" in shown and "Elm Vase" in shown and 'class="change"' not in shown
    assert "does not hold a score for each answer" in visible_text(samples.how_measured(old))
    for order in samples.ORDERS:
        assert samples.choose(old.samples, "all", "any", order, "") == list(old.samples)
    assert samples.choose(old.samples, "all", "wins", "asked", "") == []


def test_samples_are_chosen_sorted_searched_and_leafed_through(sample):
    every = sample.samples
    lost = samples.choose(every, "unseen", "losses", "losses", "")
    assert lost and all(each.set == "unseen" and each.change < 0 for each in lost)
    assert [each.change for each in lost] == sorted(each.change for each in lost)
    gains = samples.choose(every, "all", "any", "gains", "")
    assert len(gains) == len(every) and gains[0].change >= gains[-1].change
    found = samples.choose(every, "all", "any", "asked", "VIOLIN  lisbon")
    assert found and len(found) < len(every)
    assert not samples.choose(every, "all", "any", "asked", "no such words")
    assert (
        samples.count_pages(0) == 1
        and samples.count_pages(10) == 1
        and samples.count_pages(11) == 2
    )
    last = visible_text(samples.show_page(sample, every, samples.count_pages(len(every)) - 1))
    assert last.startswith(f"831 to {len(every)} of {len(every)}")
    assert "None is like that." in visible_text(samples.show_page(sample, [], 0))
