"""space/page/html/conversation.py: what a turn looks like as HTML, whatever was asked and said in
it.
"""

from space.page.html import conversation as turns
from tests.fake_engine import INFO, RECORDS
from tests.languages import visible_text
from tests.space.model.test_conversation import said

EVIL = '"><script>alert(1)</script> ${1+1} {{value}}'


def test_everything_from_outside_is_escaped():
    turn = said(EVIL, EVIL, EVIL, [{"uid": EVIL, "title": EVIL, "content": EVIL, "score": 1.0}])
    html = (
        turns.render_past(INFO, [turn])
        + turns.render_waiting(INFO, EVIL, 0)
        + turns.render_turn(INFO, turn, 0, last=True)
        + turns.render_records(turn)
    )
    assert "<script" not in html and 'data-asked="&quot;&gt;' in html


def test_only_the_last_turn_is_asked_again_or_edited_and_none_while_it_is_written():
    turn = said("What?", "a", "b", RECORDS)
    last, before, live = (
        turns.render_turn(INFO, turn, 3, last=True),
        turns.render_turn(INFO, turn, 3),
        turns.render_turn(INFO, turn, 3, writing=True, last=True),
    )
    assert [
        html.count('data-event="retry"') + html.count('data-event="edit"')
        for html in (last, before, live)
    ] == [2, 0, 0]
    assert [html.count('data-event="select" data-turn="3"') for html in (last, before, live)] == [
        1,
        1,
        0,
    ]
    assert [html.count('data-take="copy"') for html in (last, before, live)] == [2, 2, 0]
    assert [html.count("<details") > 1 for html in (last, before, live)] == [False, True, False]
    assert 'data-event="select"' not in turns.render_turn(
        INFO, said("What?", "a", ""), 0, last=True
    ), "there is nothing to explain"


def test_figures_and_what_was_special_stand_small_below():
    plain = said("What?", "a", "b")
    plain["figures"] |= {
        "base": {"tokens": 84, "seconds": 4.0},
        "tuned": {"tokens": 1200, "seconds": 60.0},
    }
    html = visible_text(turns.render_turn(INFO, plain, 0))
    feet = [
        visible_text(foot.split("</footer>")[0])
        for foot in turns.render_turn(INFO, plain, 0).split("<footer>")[1:]
    ]
    assert feet[0].startswith("84 tokens · 21.0/s") and feet[1].startswith("1,200 tokens"), (
        "in the foot, where the model was"
    )
    assert "84 tokens · 21.0/s · 4.0 s" in html and "1,200 tokens" in html and "seed" not in html
    drawn = said("What?", "a", "b", temperature=0.7, seed=12345, left_out=2, again=True)
    html = visible_text(turns.render_turn(INFO, drawn, 0))
    assert all(
        told in html
        for told in (
            "At temperature 0 the answer would be the same again",
            "seed 12345",
            "first 2 quest",
        )
    )
    assert "1.200 tokens · 20,0/s" in visible_text(turns.render_turn(INFO, plain, 0), "pt")


def test_the_records_are_folded_and_say_whose_they_are():
    assert 'class="name cited"' in turns.render_records(said("What?", "a", "so [1]", RECORDS))
    assert "kept from the question before" in visible_text(
        turns.render_records(said("What?", "a", "b", RECORDS, kept=True))
    )
    assert "No record" in visible_text(turns.render_records(said("What?", "a", "b")))


def test_a_title_that_may_be_meant_stands_above_the_cards_as_a_button():
    turn = said("What?", "a", "b", [])
    figures = {**turn["figures"], "suggested": 'Oak "Bench" <b>'}
    shown = turns.render_turn(INFO, {**turn, "figures": figures}, 0, last=True)
    escaped = "Oak &quot;Bench&quot; &lt;b&gt;"
    assert f'data-ask="{escaped}"' in shown and "<b>&quot;" not in shown
    assert shown.index('data-ask="') < shown.index('class="pair')
    assert 'data-ask="' not in turns.render_turn(INFO, turn, 0, last=True)
