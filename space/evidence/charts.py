"""Charts as HTML and inline SVG: in the page's colours, as wide as there is room, with their numbers as text beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from space.texts import Html, decimal, html

POINTS = 240  # of a curve, at most
TICKS = 4  # steps of an axis, about
UNITS = 1000  # of a stretched picture, each way


class Row(NamedTuple):
    """One value from 0 to 1 with its name; where it came from, and the ends of its interval, where there are any."""

    kind: str
    name: Html
    value: float
    start: float | None = None
    low: float | None = None
    high: float | None = None


def dots(rows: Sequence[Row]) -> Html:
    """Returns a line for each value: its name, a dot on a scale from 0 to 1, and the number."""
    drawn = "".join(
        f'<div class="dot {row.kind}"><dt>{row.name}</dt><dd><svg aria-hidden="true" width="100%" height="20">'
        f'{_gain(row)}{_whisker(row)}<circle cx="{_across(row.value)}" cy="10" r="5"/></svg>'
        f"<b>{html('number', number=decimal(f'{row.value:.2f}'))}</b></dd></div>"
        for row in rows
    )
    scale = "".join(
        f"<span>{html('number', number=decimal(step))}</span>" for step in ("0", "0.5", "1")
    )
    return Html(f'<dl class="dots">{drawn}</dl><p class="scale" aria-hidden="true">{scale}</p>')


def _across(value: float) -> str:
    return f"{100 * min(max(value, 0.0), 1.0):.1f}%"


def _gain(row: Row) -> str:
    return "" if row.start is None else _line("gain", row.start, row.value)


def _whisker(row: Row) -> str:
    if row.low is None or row.high is None:
        return ""
    ends = "".join(
        f'<line class="whisker" x1="{_across(end)}" x2="{_across(end)}" y1="5" y2="15"/>'
        for end in (row.low, row.high)
    )
    return _line("whisker", row.low, row.high) + ends


def _line(kind: str, start: float, end: float) -> str:
    return f'<line class="{kind}" x1="{_across(start)}" x2="{_across(end)}" y1="10" y2="10"/>'


def share(parts: Sequence[tuple[str, int]]) -> Html:
    """Returns a bar of (kind, count), as wide each as its share; what it shows must stand beside it in words."""
    return Html(
        '<span class="share" aria-hidden="true">'
        + "".join(
            f'<i class="{kind}" style="flex-grow: {count}"></i>' for kind, count in parts if count
        )
        + "</span>"
    )


def curve(points: Sequence[tuple[float, float]], names: tuple[Html, Html], said: Html) -> Html:
    """Returns a line through (x, y), both axes from nought, as it was measured and smoothed; `names` are the axes', and `said`
    says what there is to see."""
    few = thinned(points)
    right, up = max(x for x, _ in few) or 1, ticks(max(y for _, y in few))
    across = [tick for tick in ticks(right) if tick <= right]
    paths = "".join(
        f'<path class="{kind}" d="{_path(line, right, up[-1])}"/>'
        for kind, line in (("raw", few), ("smooth", smoothed(few)))
    )
    lines = "".join(
        f'<path class="grid" d="M0 {UNITS * (1 - y / up[-1]):.0f}h{UNITS}"/>' for y in up
    )
    left = "".join(f'<span style="bottom: {100 * y / up[-1]:.1f}%">{_tick(y)}</span>' for y in up)
    below = "".join(f'<span style="left: {100 * x / right:.1f}%">{_tick(x)}</span>' for x in across)
    return Html(
        f'<figure class="curve"><figcaption>{said}</figcaption><p class="axis">{names[1]}</p>'
        f'<div class="plot" aria-hidden="true"><div class="up">{left}</div>'
        f'<svg viewBox="0 0 {UNITS} {UNITS}" preserveAspectRatio="none">{lines}{paths}</svg>'
        f'<div class="across">{below}</div></div><p class="axis end">{names[0]}</p></figure>'
    )


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns at most POINTS points, each the mean of neighbours."""
    size = math.ceil(len(points) / POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        tuple(sum(values) / len(group) for values in zip(*group, strict=True)) for group in groups
    ]


def smoothed(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points, each at the mean height of those around it."""
    reach = len(points) // 16
    heights = [y for _, y in points]
    around = [heights[max(0, place - reach) : place + reach + 1] for place in range(len(points))]
    return [(x, sum(near) / len(near)) for (x, _), near in zip(points, around, strict=True)]


def ticks(highest: float) -> list[float]:
    """Returns a few round numbers from 0 to at least `highest`."""
    if highest < 1e-12:
        return [0.0, 1.0]
    rough = highest / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(part for part in (1, 2, 2.5, 5, 10) if part * power >= rough * (1 - 1e-9))
    return [place * step for place in range(math.ceil(highest / step - 1e-9) + 1)]


def _tick(value: float) -> Html:
    if value == int(value):
        return html("number", number=int(value))
    return html("number", number=decimal(f"{value:.3g}"))


def _path(points: Sequence[tuple[float, float]], right: float, top: float) -> str:
    return "M" + "L".join(f"{UNITS * x / right:.0f} {UNITS * (1 - y / top):.0f}" for x, y in points)
