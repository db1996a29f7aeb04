"""The facts of an answer against its records: by hand, and against 100 answers marked by hand."""

import json
import re
import time
from pathlib import Path

import pytest

from space.evidence import check_facts

CATALOGUE = Path(__file__).parents[3] / "examples" / "catalogue"
MARKED = Path(__file__).with_name("marked_answers.jsonl")  # {contradicted}, <not mentioned>
WORDS = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
TENT = {
    "title": "Kestrel Tent, Green",
    "content": "A tent of nylon for two people. It weighs 1.5 kg and measures 20 by 25 cm packed. "
    "The poles are aluminium. Maren Oldcastle designed it in Truro in 2018.",
}
STOVE = {"title": "Merlin Stove", "content": "A brass stove. It weighs 300 g."}


def judged(answer, *records):
    """Facts that are not supported: their words, verdict and the record's value."""
    check = check_facts(answer, records or [TENT])
    found = []
    for fact in check.facts:
        if fact.verdict != "supported":
            found.append((answer[fact.start : fact.end], fact.verdict, fact.value))
    return found


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        ("The Kestrel Tent weighs 1.5 kg. [1]", []),
        ("It weighs 1,500 g, which is 1500 g. [1]", []),
        ("Pesa 1,5 kg. [1]", []),
        ("It weighs 511 g. [1]", [("511 g", "contradicted", "1.5 kg")]),
        ("It measures 20 by 30 cm. [1]", [("30 cm", "contradicted", "20, 25 cm")]),
        ("It is for three people. [1]", [("three", "contradicted", "two")]),
        ("It runs on 9 volts. [1]", [("9 volts", "unmentioned", "")]),
        ("The Kestrel Bench is of nylon. [1]", [("Bench", "contradicted", "Tent")]),
        ("The Kestrel bench is of nylon. [1]", [("bench", "contradicted", "Tent")]),
        ("The tent is red. [1]", [("red", "contradicted", "green")]),
        ("A barraca é verde, de algodão. [1]", [("algodão", "contradicted", "nylon, aluminium")]),
        ("The poles are steel. [1]", [("steel", "contradicted", "aluminium")]),
        ("The poles are metal. [1]", []),  # aluminium is one
        ("Maren Blackwood designed it. [1]", [("Blackwood", "contradicted", "Maren Oldcastle")]),
        ("It was designed in Lisbon. [1]", [("Lisbon", "contradicted", "Truro")]),
        ("It was designed in 2015. [1]", [("2015", "contradicted", "2018")]),
        ("It comes with a lamp. [1]", [("lamp", "unmentioned", "")]),
        ("The record does not say whether it has a lamp. [1]", []),
        ("It is the best!", []),
    ],
)
def test_facts_are_judged_by_the_record(answer, facts):
    assert judged(answer) == facts


def test_each_part_of_an_answer_is_judged_by_what_it_cites():
    both = "The tent weighs 1.5 kg [1], the stove 1.5 kg [2]."
    check = check_facts(both, [TENT, STOVE])
    wrong = [fact for fact in check.facts if fact.verdict == "contradicted"]
    assert [(fact.record, fact.value) for fact in wrong] == [(2, "300 g")]
    assert check.disproved == {both.index("[2]")} and check.records == (1, 2)
    after = "It weighs 1.5 kg. [2] It is green. [1]"  # a citation behind the full stop
    assert check_facts(after, [TENT, STOVE]).disproved == {after.index("[2]")}


def test_without_a_citation_the_record_that_is_named_judges():
    assert judged("The Merlin Stove weighs 1.5 kg.", TENT, STOVE) == [
        ("1.5 kg", "contradicted", "300 g")
    ]
    assert check_facts("It weighs 300 g.", [TENT, STOVE]).records == (1, 2)
    assert judged("It weighs 300 g and then [7].", TENT, STOVE) == []
    assert check_facts("It weighs 300 g.", []).facts == ()


def test_a_record_that_contradicts_itself_supports_both_values():
    record = {"title": "Lamp", "content": "It weighs 1 kg. The lamp weighs 2 kg."}
    assert judged("It weighs 1 kg or 2 kg. [1]", record) == []
    assert judged("It weighs 3 kg. [1]", record)[0][2] == "1 kg, 2 kg"


def test_no_text_breaks_it():
    for answer in (
        "",
        "[1]",
        "[1][1] . [1]",
        "הפנס שוקל 511 g [1]",
        "مصباح نحاسي يزن ٣ كغ [1]",
        "<script>alert(1)</script> **511 g** [1]",
        "ランプは真鍮です。5 kg [1]",
        "1.2.3.4 10/12/2020 ½ ² 9" + "9" * 400 + " kg [1]",
    ):
        check = check_facts(answer, [TENT])
        for fact in check.facts:
            assert 0 <= fact.start < fact.end <= len(answer)
    assert ("511 g", "contradicted", "1.5 kg") in judged("הפנס שוקל 511 g [1]")


def test_it_takes_little_time_however_long_the_answer_is():
    record = {"title": "Kestrel Tent", "content": (TENT["content"] + " ") * 200}
    start = time.perf_counter()
    check_facts("It weighs 511 g and has a red bench by Ana Lopes. [1] " * 2000, [record] * 5)
    assert time.perf_counter() - start < 5


def parse(marked: str) -> tuple[str, list[tuple[int, int]]]:
    """Return an answer and where its marks stand."""
    answer, spans, start = "", [], 0
    for sign in marked:
        if sign in "{<":
            start = len(answer)
        elif sign in "}>":
            spans.append((start, len(answer)))
        else:
            answer += sign
    return answer, spans


def words_in(answer: str, spans) -> set[int]:
    """Where the words start that stand in spans."""
    found = set()
    for word in WORDS.finditer(answer):
        if any(start <= word.start() < end for start, end in spans):
            found.add(word.start())
    return found


def test_marked_answers_are_judged_as_by_hand():
    records = {}
    for path in CATALOGUE.glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            records[record["uid"]] = record
    both = wrong = missed = 0
    for line in MARKED.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        answer, spans = parse(row["marked"])
        check = check_facts(answer, [records[uid] for uid in row["records"]])
        marked = words_in(answer, spans)
        unsupported = [fact for fact in check.facts if fact.verdict != "supported"]
        found = words_in(answer, [(fact.start, fact.end) for fact in unsupported])
        both += len(found & marked)
        wrong += len(found - marked)
        missed += len(marked - found)
    assert both / (both + wrong) >= 0.9 and both / (both + missed) >= 0.8
