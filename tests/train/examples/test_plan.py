"""What training shows: the same share of each kind, and no more than the optimizer sees."""

import pytest

from train.config import FitConfig
from train.examples.plan import TrainingPlan


def plan(learned=50, phrasings=4, **changes):
    config = FitConfig(base="x", **{"epochs": 4, "batch_size": 4, **changes})
    return TrainingPlan(config, learned, phrasings)


@pytest.mark.parametrize("steps", [1, 7, 30, 90])
def test_max_steps_takes_the_same_share_of_each_kind(steps):
    everything, cut = plan(), plan(max_steps=steps)
    total = sum(everything.counts.values())
    assert sum(cut.counts.values()) == min(4 * steps, total)
    for kind, count in cut.counts.items():
        assert abs(count - everything.counts[kind] * min(1, 4 * steps / total)) <= 1


def test_steps_that_show_everything_change_nothing():
    assert plan(max_steps=10_000).counts == plan().counts
    assert list(plan(max_steps=10_000).questions) == list(plan().questions) == list(range(200))


def test_a_record_is_seen_once_in_a_phrasing_that_is_asked():
    for changes in ({}, {"max_steps": 7}, {"epochs": 1}, {"epochs": 9, "max_steps": 20}):
        made = plan(phrasings=min(4, changes.get("epochs", 4)), **changes)
        asked = {made.locate(question) for question in made.questions}
        seen = list(made.seen())
        assert seen and set(seen) <= asked
        assert len({index for index, _ in seen}) == len(seen)
