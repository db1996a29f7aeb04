"""space/page/kept.py: what a browser kept comes back, and what is forged or old does not."""

import copy
import json

import pytest

from space.page.kept import FORMAT, STORED_LIMIT, TURN_LIMIT, pack, unpack
from tests.fake_engine import RECORDS
from tests.space.model.test_conversation import said


def turns() -> list[dict]:
    first = said("What?", "a [1]", "b **c**", RECORDS, seed=7, temperature=0.7, again=True)
    versions = [said("And?", "c", "d", limit=200), said("And?", "e", "f", stopped=True)]
    return [first, {**versions[1], "versions": versions, "version": 1}]


def test_a_conversation_comes_back_as_it_was():
    assert unpack(pack(turns())) == turns()
    assert unpack(pack([])) == []


def changed(change) -> str:
    stored = json.loads(pack(turns()))
    change(stored)
    return json.dumps(stored)


@pytest.mark.parametrize(
    "change",
    [
        lambda stored: stored.update(format=FORMAT - 1),
        lambda stored: stored.update(turns={}),
        lambda stored: stored["turns"][0].pop("base"),
        lambda stored: stored["turns"][0].update(base=None),
        lambda stored: stored["turns"][0].update(more="x"),
        lambda stored: stored["turns"][0].update(question=["x"]),
        lambda stored: stored["turns"][0].update(use_sources=1),
        lambda stored: stored["turns"][0].update(max_new_tokens=True),
        lambda stored: stored["turns"][0]["figures"].update(seed="7"),
        lambda stored: stored["turns"][0]["figures"].update(temperature=10**400),
        lambda stored: stored["turns"][0]["figures"].update(temperature=float("nan")),
        lambda stored: stored["turns"][0]["figures"]["base"].update(tokens=10**20),
        lambda stored: stored["turns"][0]["sources"][0].update(score="high"),
        lambda stored: stored["turns"][0]["sources"].append("record"),
        lambda stored: stored["turns"][1].update(version=2),
        lambda stored: stored["turns"][1].update(version=-1),
        lambda stored: stored["turns"][1]["versions"].append(copy.deepcopy(stored["turns"][1])),
        lambda stored: stored.update(turns=stored["turns"] * TURN_LIMIT),
    ],
)
def test_what_is_forged_or_of_an_older_version_is_dropped(change):
    assert unpack(changed(change)) == []


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "7", '"x"', "[" * 100_000, "x" * (STORED_LIMIT + 1), None, 7, ["x"]],
)
def test_what_is_no_conversation_is_dropped(text):
    assert unpack(text) == []


def test_marks_of_prompts_and_lone_surrogates_do_not_come_back():
    text = changed(lambda stored: stored["turns"][0].update(base="a\ufdd0b\ud800c"))
    assert unpack(text)[0]["base"] == "abc"


def test_the_newest_turns_are_kept_where_not_all_have_room():
    long = [said(f"q{index}", "a" * 10_000, "b") for index in range(50)]
    kept = unpack(pack(long))
    assert 25 < len(kept) < 50 and kept[-1]["question"] == "q49"
    assert pack([said("q", "a" * STORED_LIMIT, "b")]) == ""
    assert len(unpack(pack([said("q", "a", "b")] * 150))) == TURN_LIMIT
