"""train/config.py: defaults that depend on the base."""

from train.config import FitConfig


def test_the_learning_rate_follows_the_bases_size_unless_it_is_given():
    assert FitConfig().for_base(135_000_000).learning_rate == 1e-3
    assert FitConfig().for_base(7_000_000_000).learning_rate == 2e-4
    assert FitConfig(learning_rate=5e-4).for_base(135_000_000).learning_rate == 5e-4
