"""De-duplication, sampling and the split: the same in any order of the source."""

import numpy as np
import pytest

from train.prepare.clean import BOILERPLATE
from train.prepare.duplicates import (
    REASONS,
    assign_splits,
    connected_groups,
    find_duplicates,
    group_near_duplicates,
    mark_not_sampled,
    needs_uid,
    rehash,
)


def keys(titles, contents, stems=None, openings=None, characters=None):
    count = len(titles)
    return {
        "title_key": np.array(titles, np.uint64),
        "content_key": np.array(contents, np.uint64),
        "stem_key": np.array(stems if stems is not None else titles, np.uint64),
        "opening_key": np.array(openings if openings is not None else [0] * count, np.uint64),
        "characters": np.array(characters if characters is not None else [100] * count, np.uint32),
    }


def sided(made, share, held):
    return assign_splits(made["title_key"], group_near_duplicates(made), share, held)


def judged(titles, contents):
    return [REASONS[code] for code in find_duplicates(keys(titles, contents))]


def test_the_first_of_its_title_and_of_its_content_stays():
    assert judged([1, 1, 2, 3], [7, 8, 7, 9]) == ["", "duplicate_title", "duplicate_content", ""]


def test_a_dropped_record_is_nobodys_original():
    # The second has the first's content; so its title is still free, and its content too.
    assert judged([1, 2, 2], [7, 7, 8]) == ["", "duplicate_content", ""]
    assert judged([1, 1, 2], [7, 8, 8]) == ["", "duplicate_title", ""]


def test_a_content_of_many_titles_says_nothing_about_any():
    few, many = BOILERPLATE - 1, BOILERPLATE
    assert judged(range(few), [7] * few) == [""] + ["duplicate_content"] * (few - 1)
    assert judged(range(many), [7] * many) == ["boilerplate"] * many
    assert judged([1] * many, [7] * many) == [""] + ["duplicate_title"] * (
        many - 1
    )  # one title, said again and again


def test_nothing_is_judged_without_a_fault():
    assert judged([], []) == []
    assert np.array_equal(connected_groups([np.array([], np.uint64)]), [])


def test_near_duplicates_of_near_duplicates_are_one_group():
    first, second = (
        np.array([1, 1, 2, 3, 0, 0, 9], np.uint64),
        np.array([0, 5, 5, 6, 6, 0, 0], np.uint64),
    )
    labels = connected_groups([first, second])
    assert labels[0] == labels[1] == labels[2] and labels[3] == labels[4]
    assert len(set(labels.tolist())) == 4  # 0 is no number: the last two are alone


def test_a_long_chain_is_one_group():
    ends = np.arange(1, 2002, dtype=np.uint64)
    one, other = ends[:-1] // 2 + 1, ends[1:] // 2 + 5000
    shuffled = np.random.default_rng(0).permutation(len(one))
    assert len(set(connected_groups([one[shuffled], other[shuffled]]).tolist())) == 1


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_group_is_on_one_side_in_any_order(share):
    rng = np.random.default_rng(1)
    titles = rng.integers(1, 2**63, 4000, dtype=np.uint64)
    stems = titles // np.uint64(2**52) + np.uint64(1)  # about two thousand groups
    whole = keys(titles, titles, stems)
    unseen = sided(whole, share, np.zeros(4000, bool))
    assert abs(unseen.mean() - share) < 0.03
    for stem in set(stems.tolist()):
        assert len(set(unseen[stems == stem].tolist())) == 1
    turned = rng.permutation(4000)
    again = sided(
        {name: column[turned] for name, column in whole.items()}, share, np.zeros(4000, bool)
    )
    assert np.array_equal(again, unseen[turned])


def test_the_sources_own_unseen_set_is_unseen_but_for_what_is_near_the_others():
    held = np.array([False, False, True, True])
    assert sided(keys([1, 2, 3, 4], [1, 2, 3, 4], stems=[1, 2, 2, 4]), 0.5, held).tolist() == [
        0,
        0,
        0,
        1,
    ]


def test_a_limited_choice_is_spread_over_the_lengths_and_the_same_in_any_order():
    rng = np.random.default_rng(2)
    titles, characters = rng.integers(1, 2**63, 5000, dtype=np.uint64), rng.integers(20, 9000, 5000)
    whole, verdicts = keys(titles, titles, characters=characters), np.zeros(5000, np.uint8)
    verdicts[:100] = 1
    mark_not_sampled(whole, verdicts, 500)
    chosen = np.flatnonzero(verdicts == 0)
    assert len(chosen) == 500 and chosen.min() >= 100
    tenths = np.histogram(characters[chosen], np.quantile(characters[100:], np.linspace(0, 1, 11)))[
        0
    ]
    assert tenths.min() >= 48 and tenths.max() <= 52
    turned = rng.permutation(5000)
    again = np.zeros(5000, np.uint8)
    again[np.isin(turned, np.arange(100))] = 1
    mark_not_sampled({name: column[turned] for name, column in whole.items()}, again, 500)
    assert set(turned[again == 0].tolist()) == set(chosen.tolist())


@pytest.mark.parametrize(("count", "limit"), [(2, 1), (3, 2), (11, 10), (7, 7), (5, 50), (1, 1)])
def test_a_limit_is_met_exactly(count, limit):
    titles, verdicts = np.arange(1, count + 1, dtype=np.uint64), np.zeros(count, np.uint8)
    mark_not_sampled(keys(titles, titles), verdicts, limit)
    assert (verdicts == 0).sum() == min(count, limit)


def test_a_uid_is_made_where_there_is_none_or_an_earlier_one():
    assert needs_uid(np.array([5, 0, 5, 6, 0], np.uint64)).tolist() == [
        False,
        True,
        True,
        False,
        True,
    ]


def test_numbers_of_two_purposes_have_nothing_in_common():
    numbers = np.arange(20_000, dtype=np.uint64)
    one, other = rehash(numbers, "split") < 2**63, rehash(numbers, "sample") < 2**63
    assert 0.48 < (one == other).mean() < 0.52 and 0.48 < one.mean() < 0.52
