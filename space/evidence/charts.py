"""Charts as HTML with inline SVG, whose names and numbers are text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import NamedTuple

from space.texts import Html

POINTS = 240  # of a line, at most
STEPS = 4  # of an axis, about
UNITS = 1000  # of a stretched picture, each way

Point = tuple[float, float]


class Mark(NamedTuple):
    """One value with its name and label.

    `start` is where it came from, `low` and `high` are the ends of its interval.
    `kind` is the CSS class that colours it.
    """

    kind: str
    name: str
    value: float
    label: str
    start: float | None = None
    low: float | None = None
    high: float | None = None


def dots(marks: Sequence[Mark], ticks: Sequence[float]) -> Html:
    """Draw each mark as a name, a dot and a label."""

    def across(value: float) -> str:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return f"{100 * min(max(share, 0.0), 1.0):.1f}%"

    grid = '<line class="rule" x1="0" x2="100%" y1="10" y2="10"/>'
    for tick in ticks:
        kind = "grid" if tick or ticks[0] == 0 else "zero"
        grid += f'<line class="{kind}" x1="{across(tick)}" x2="{across(tick)}" y1="0" y2="20"/>'
    rows = "".join(
        f'<div class="dot {mark.kind}"><dt>{_escape(mark.name)}</dt><dd>'
        f'<svg aria-hidden="true" width="100%" height="20">{grid}{_interval(mark, across)}'
        f'<circle cx="{across(mark.value)}" cy="10" r="5"/></svg>'
        f"<b>{_escape(mark.label)}</b></dd></div>"
        for mark in marks
    )
    return Html(f'<dl class="dots">{rows}</dl>')


def _interval(mark: Mark, across: Callable[[float], str]) -> str:
    drawn = ""
    if mark.start is not None:
        drawn += _line("gain", across(mark.start), across(mark.value))
    if mark.low is not None and mark.high is not None:
        low, high = across(mark.low), across(mark.high)
        drawn += _line("whisker", low, high)
        for end in (low, high):
            drawn += f'<line class="whisker" x1="{end}" x2="{end}" y1="5" y2="15"/>'
    return drawn


def _line(kind: str, start: str, end: str) -> str:
    return f'<line class="{kind}" x1="{start}" x2="{end}" y1="10" y2="10"/>'


def _escape(text: str) -> str:
    return text if isinstance(text, Html) else escape(text)


def scale(ticks: Sequence[float], number: Callable[[float], str]) -> Html:
    """Write the numbers under dots()."""
    span = ticks[-1] - ticks[0]
    numbers = "".join(
        f'<span style="left: {100 * (tick - ticks[0]) / span:.1f}%">{_escape(number(tick))}</span>'
        for tick in ticks
    )
    return Html(f'<p class="scale" aria-hidden="true">{numbers}</p>')


def bars(marks: Sequence[Mark]) -> Html:
    """Draw each mark as a name, a bar and a label.

    Values are from 0 to 1.
    """
    rows = "".join(
        f'<div class="{mark.kind}"><dt>{_escape(mark.name)}</dt><dd>'
        '<svg aria-hidden="true" width="100%" height="8"><rect class="rule" width="100%" height="8"'
        f' rx="1"/><rect width="{100 * min(max(mark.value, 0.0), 1.0):.1f}%" height="8" rx="1"/>'
        f"</svg><b>{_escape(mark.label)}</b></dd></div>"
        for mark in marks
    )
    return Html(f'<dl class="bars">{rows}</dl>')


def heat(values: Sequence[Sequence[float | None]], most: float, wide: bool = False) -> Html:
    """Draw rows of cells, each as strong as its value against `most`.

    None and what would be invisible is left empty. It is hidden from a screen reader: words or a
    table beside it must say the same. A `wide` one is stretched.
    """
    columns = max((len(row) for row in values), default=0)
    cells = []
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            strength = min((value or 0.0) / most, 1.0) if most else 0.0
            if strength >= 0.02:
                cells.append(f'<rect x="{x}" y="{y}" fill-opacity="{strength:.2f}"/>')
    ratio = ' preserveAspectRatio="none"' if wide else ""
    return Html(
        f'<svg class="heat" aria-hidden="true" viewBox="0 0 {columns} {len(values)}"{ratio}>'
        f"{''.join(cells)}</svg>"
    )


def share(parts: Sequence[tuple[str, int]]) -> Html:
    """Draw a bar of (kind, count), each as wide as its share.

    It is hidden from a screen reader: words beside it must say the same.
    """
    bars = "".join(
        f'<i class="{kind}" style="flex-grow: {count}"></i>' for kind, count in parts if count
    )
    return Html(f'<span class="share" aria-hidden="true">{bars}</span>')


def plot(
    series: Mapping[str, Sequence[Point]],
    axes: tuple[str, str],
    number: Callable[[float], str],
    shape: str = "line",
) -> Html:
    """Draw {kind: points} with both axes from zero.

    It is hidden from a screen reader: words beside it must say what there is to see. `axes` are the
    names of x and y, `number` formats their numbers, and `shape` is "line", "dot"
    or, for a few large dots, "spot".
    """
    right, top = 0.0, 0.0
    for points in series.values():
        right = max([right, *(x for x, _ in points)])
        top = max([top, *(y for _, y in points)])
    right, up = right or 1.0, round_ticks(top)
    across = [tick for tick in round_ticks(right) if tick <= right * (1 + 1e-9)]
    top = up[-1]
    drawn = "".join(f'<path class="grid" d="M0 {UNITS * (1 - y / top):.0f}h{UNITS}"/>' for y in up)
    for kind, points in series.items():
        pairs = [f"{UNITS * x / right:.0f} {UNITS * (1 - y / top):.0f}" for x, y in points]
        if pairs:
            path = f"M{'L'.join(pairs)}" if shape == "line" else f"M{'h0M'.join(pairs)}h0"
            drawn += f'<path class="{shape} {kind}" d="{path}"/>'
    left = "".join(
        f'<span style="bottom: {100 * y / top:.1f}%">{_escape(number(y))}</span>' for y in up
    )
    below = "".join(
        f'<span style="left: {100 * x / right:.1f}%">{_escape(number(x))}</span>' for x in across
    )
    return Html(
        f'<p class="axis">{_escape(axes[1])}</p><div class="plot" aria-hidden="true">'
        f'<div class="up">{left}</div><svg viewBox="0 0 {UNITS} {UNITS}" '
        f'preserveAspectRatio="none">{drawn}</svg><div class="across">{below}</div></div>'
        f'<p class="axis end">{_escape(axes[0])}</p>'
    )


def thin(points: Sequence[Point]) -> list[Point]:
    """Reduce points to at most POINTS, each the mean of neighbours."""
    size = math.ceil(len(points) / POINTS)
    thinned = []
    for start in range(0, len(points), size or 1):
        group = points[start : start + size]
        x, y = (sum(values) / len(group) for values in zip(*group, strict=True))
        thinned.append((x, y))
    return thinned


def smooth(points: Sequence[Point]) -> list[Point]:
    """Move each point to the mean height of those around it."""
    reach = len(points) // 16
    heights = [y for _, y in points]
    smoothed = []
    for index, (x, _) in enumerate(points):
        near = heights[max(0, index - reach) : index + reach + 1]
        smoothed.append((x, sum(near) / len(near)))
    return smoothed


def round_ticks(high: float, low: float = 0.0) -> list[float]:
    """Choose a few round numbers that span `low` to `high`."""
    if high - low < 1e-12:
        return [low, low + 1.0]
    rough = (high - low) / STEPS
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(part for part in (1, 2, 2.5, 5, 10) if part * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]
