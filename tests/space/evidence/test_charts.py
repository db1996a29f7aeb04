"""Charts: shapes lie where their numbers are, and whatever a name holds is text."""

import re

from space.evidence import charts
from space.evidence.files import Evidence
from space.page.html.findings import loss
from space.texts import Html

EVIL = "<img src=x onerror=alert(1)>"


def plain(value):
    return f"{value:g}"


def test_marks_lie_where_their_numbers_are():
    marks = [
        charts.Mark("base", "base", 0.0, "0"),
        charts.Mark("tuned", "tuned", 1.0, "1", low=0.5, high=1.0),
    ]
    drawn = charts.dots(marks, (0.0, 0.5, 1.0))
    assert re.findall(r'circle cx="([\d.]+)%', drawn) == ["0.0", "100.0"]
    assert drawn.count('class="whisker"') == 3 and 'class="whisker" x1="50.0%" x2="100.0%"' in drawn
    assert 'class="zero"' not in drawn and 'class="gain"' not in drawn
    signed = charts.dots([marks[1]._replace(start=0.25)], (-1.0, 0.0, 1.0))
    assert signed.count('class="zero" x1="50.0%"') == 1
    assert 'class="gain" x1="62.5%" x2="100.0%"' in signed
    assert 'style="left: 50.0%">0<' in charts.scale((-1.0, 0.0, 1.0), plain)


def test_a_line_and_dots_lie_where_their_numbers_are():
    drawn = charts.plot({"tuned": [(0, 0), (10, 1)]}, ("x", "y"), plain)
    assert 'd="M0 1000L1000 0"' in drawn and 'style="left: 100.0%">10<' in drawn
    series = {"tuned": [(5, 0.5)], "base": [(10, 1.0)]}
    drawn = charts.plot(series, ("x", "y"), plain, "dot")
    assert 'class="dot tuned" d="M500 500h0"' in drawn and 'class="dot base" d="M1000 0h0"' in drawn
    for empty in ({}, {"tuned": [], "base": []}, {"tuned": [(0, 0)]}):
        assert "nan" not in charts.plot(empty, ("x", "y"), plain)


def test_names_and_numbers_are_escaped_but_html():
    drawn = charts.dots([charts.Mark("base", EVIL, 0.5, EVIL)], (0.0, 1.0))
    drawn += charts.plot({"base": [(1, 1)]}, (EVIL, EVIL), lambda _: EVIL)
    drawn += charts.scale((0.0, 1.0), lambda _: EVIL)
    assert "<img" not in drawn and drawn.count("&lt;img") > 6
    assert "<dt><b>x</b></dt>" in charts.dots(
        [charts.Mark("base", Html("<b>x</b>"), 0.5, "1")], (0.0, 1.0)
    )


def test_a_scale_has_round_numbers_and_a_curve_may_be_flat():
    assert charts.round_ticks(640) == [0, 200, 400, 600, 800] and charts.round_ticks(0) == [0, 1]
    assert charts.round_ticks(0.9)[-1] >= 0.9
    assert charts.round_ticks(0.93)[-1] == 1.0 and charts.round_ticks(0.6, -0.31)[0] <= -0.31
    assert 0.0 in charts.round_ticks(0.6, -0.31)
    assert "NaN" not in loss(Evidence(history=((0, 0.0), (1, 0.0))))


def test_many_points_are_thinned_and_smoothed_to_means():
    points = [(float(x), float(x % 2)) for x in range(1000)]
    few = charts.thin(points)
    assert len(few) <= charts.POINTS and charts.thin([]) == []
    assert few[0] == (2.0, 0.4) and charts.thin(points[:3]) == points[:3]
    assert all(0.3 < y < 0.7 for _, y in charts.smooth(few))
