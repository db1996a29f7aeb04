"""space/page/html/cards.py: what the answers and the records look like as HTML, whatever is in
them.
"""

from space.page.html import cards
from space.texts import html
from tests.fake_engine import INFO, RECORDS

EVIL = '<script>alert(1)</script> & "x" ${1+1} {{value}}'


def test_everything_from_outside_is_escaped():
    info = {key: f"<i>{key}</i>" for key in INFO}
    record = {"uid": EVIL, "title": EVIL, "content": EVIL * 9, "score": 1.0}
    shown = cards.render_pair(info, EVIL, EVIL) + cards.render_records([record], {1})
    assert "<script" not in shown and "<i>" not in shown
    assert shown.count("&lt;script&gt;") >= 5


def test_citations_count_only_where_a_record_stands():
    assert cards.find_citations("so [2], [1] and [2]; not [0], [4], [x] or [1000]", 3) == {1, 2}
    assert cards.find_citations("so [1]", 0) == set()
    shown = cards.render_pair(INFO, "", "right [1], wrong [4]", sources=3)
    assert '<mark class="cite">[1]</mark>' in shown and "wrong [4]" in shown


def test_a_citation_of_no_record_is_shown_as_no_source():
    for text in ("so it is [4]", "so [0]", "so [1000]"):
        assert cards.find_citations(text, 3) == set() and "<mark" not in cards.render_pair(
            INFO, "", text, sources=3
        )
        assert "cited" not in cards.render_records(RECORDS, cards.find_citations(text, 3))
    assert "<mark" not in cards.render_pair(INFO, "", "nothing was read [1]", sources=0)


def test_only_the_cited_records_are_marked():
    shown = cards.render_records(RECORDS, {2}).split("<li ")[1:]
    assert ["cited" in card for card in shown] == [False, True, False]
    assert [f"[{number}]" in card for number, card in enumerate(shown, start=1)] == [True] * 3


def test_a_long_record_opens_and_a_short_one_stands_open():
    first, second = cards.render_records(RECORDS[:2]).split("<li ")[1:]
    assert "<details>" in first and RECORDS[0]["content"].split("nine")[0] in first
    assert "<details>" not in second and RECORDS[1]["content"] in second


def test_the_states_of_the_cards():
    idle, waiting, stopped = (
        cards.render_pair(INFO),
        cards.render_pair(INFO, "", "", writing=True),
        cards.render_pair(INFO, "", ""),
    )
    busy = 'aria-busy="true"'
    assert busy not in idle and waiting.count(busy) == 2 and html("waiting") in waiting
    assert busy not in stopped and html("wordless") in stopped


def test_each_card_names_its_models():
    shown = cards.render_pair({**INFO, "adapter_revision": None})
    base, tuned = shown.split("<article ")[1:]
    assert "shelftalk/tiny-llama-sample @ 5f2c9e7<" in base and "adapter" not in base
    assert "shelftalk/tiny-llama-sample @ 5f2c9e7" in tuned and "+ shelftalk/shop-adapter<" in tuned
    assert base.count("NF4, cpu") == tuned.count("NF4, cpu") == 1


def test_a_finished_answer_is_checked_against_its_records():
    answer = "A steel lantern that burns for nine hours [1]. <b>Not</b> for camping [2]."
    shown = cards.render_pair(INFO, answer, "No lamp [7].", 3, records=RECORDS)
    base, tuned = shown.split("<article ")[1:]
    assert '<span class="fact contradicted">steel</span>' in base and "record 1: brass" in base
    assert (
        '<span class="fact unmentioned">camping</span>' in base and "&lt;b&gt;Not&lt;/b&gt;" in base
    )
    assert base.count("<button") == 2 and base.count("<s>") == 1, "the first is disproved"
    assert "in records 1 and 2" in base and "nos registros 1 e 2" in base
    assert "<button" not in tuned and "in the records" in tuned


def test_an_answer_that_is_being_written_is_not_checked():
    shown = cards.render_pair(INFO, "", "A steel lantern [1]", 3, records=RECORDS, writing=True)
    assert 'class="fact' not in shown and '<mark class="cite">[1]</mark>' in shown
    assert shown.count('<p class="count"></p>') == 2, "the line's room is kept"
    assert 'class="count' not in cards.render_pair(INFO, "", "A steel lantern", 0)
