"""Plots as inline SVG: as wide as their page, in its colours, light and dark, with text of one size on every screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

ROW, HEAD, FOOT = 19, 26, 40  # pixels: a mark's line, a group's title, the axis below
LEFT, RIGHT = (
    32.0,
    87.0,
)  # per cent of the width: where marks lie, between their names and their numbers
FRAME = (12.0, 86.0)  # per cent: a plot's left edge and width; its height is in pixels
HEIGHT = 260
UNITS = 1000  # of a stretched plot, each way


class Mark(NamedTuple):
    """One value of one column, with its interval where it has one, and as it is written beside it."""

    kind: str
    name: str
    value: float
    low: float | None
    high: float | None
    words: str


def marks(
    groups: Mapping[str, Sequence[Mark]], label: str, axis: str, zero: bool = False
) -> Markup:
    """Draws a line for each mark, by groups with a title; with `zero` the axis holds it and a line stands there."""
    every = [mark for group in groups.values() for mark in group]
    ends = [end for mark in every for end in (mark.value, mark.low, mark.high) if end is not None]
    steps = ticks(min([0.0, *ends]), max([0.0, *ends] if zero else [1.0, *ends]))

    def place(value: float) -> str:
        return f"{LEFT + (RIGHT - LEFT) * (value - steps[0]) / (steps[-1] - steps[0]):.2f}%"

    height = HEAD * len(groups) + ROW * len(every)
    drawn = [grid(step, place(step), height, zero) for step in steps]
    y = 0
    for title, group in groups.items():
        drawn.append(Markup('<text class="title" x="0" y="{}">{}</text>').format(y + 17, title))
        y += HEAD
        for mark in group:
            drawn.append(row(mark, y + ROW // 2, place))
            y += ROW
    middle = (LEFT + RIGHT) / 2
    drawn.append(
        Markup('<text class="axis" x="{}%" y="{}" text-anchor="middle">{}</text>').format(
            middle, height + 36, axis
        )
    )
    return svg(label, height + FOOT, drawn)


def grid(step: float, x: str, height: int, zero: bool) -> Markup:
    """Draws a line of the grid with its number; `zero` makes that at nought a strong one."""
    return Markup(
        '<line class="{}" x1="{x}" x2="{x}" y1="4" y2="{}"/><text class="tick" x="{x}" y="{}" '
        'text-anchor="middle">{}</text>'
    ).format("zero" if zero and not step else "grid", height, height + 16, number(step), x=x)


def row(mark: Mark, y: int, place) -> Markup:
    """Draws one mark: its name, its interval, its value and its words."""
    whisker = (
        Markup()
        if mark.low is None or mark.high is None
        else Markup('<line class="whisker" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(
            place(mark.low), place(mark.high), y=y
        )
    )
    return Markup(
        '<g class="{}"><title>{name}: {words}</title><text x="0" y="{}">{name}</text>{}<circle cx="{}" cy="{y}" '
        'r="4.5"/><text class="number" x="100%" y="{}" text-anchor="end">{words}</text></g>'
    ).format(
        mark.kind, y + 4, whisker, place(mark.value), y + 4, name=mark.name, words=mark.words, y=y
    )


def lines(
    series: Mapping[str, Sequence[tuple[float, float]]], label: str, axes: tuple[str, str]
) -> Markup:
    """Draws a line through the (x, y) of each kind; both axes begin at nought."""

    def path(points: Sequence[tuple[int, int]]) -> str:
        return "M" + "L".join(f"{x} {y}" for x, y in points)

    return plot(series, label, axes, path, "line")


def points(
    series: Mapping[str, Sequence[tuple[float, float]]],
    label: str,
    axes: tuple[str, str],
    size: str = "dot",
) -> Markup:
    """Draws a dot at each (x, y) of each kind; both axes begin at nought. `size` is "dot", or "spot" for a few."""
    return plot(series, label, axes, lambda places: "".join(f"M{x} {y}h0" for x, y in places), size)


def plot(series, label: str, axes: tuple[str, str], path, style: str) -> Markup:
    """Draws points by `path`, of places in a square of UNITS that is stretched to the plot; strokes keep their width."""
    across = ticks(0.0, max((x for pairs in series.values() for x, _ in pairs), default=1.0))
    up = ticks(0.0, max((y for pairs in series.values() for _, y in pairs), default=1.0))
    left, width = FRAME
    drawn = []
    for step in up:
        y = 8 + HEIGHT * (1 - step / up[-1])
        drawn.append(
            Markup(
                '<line class="grid" x1="{}%" x2="{}%" y1="{y:.1f}" y2="{y:.1f}"/><text class="tick" x="{}%" '
                'y="{:.1f}" text-anchor="end">{}</text>'
            ).format(left, left + width, left - 1, y + 4, number(step), y=y)
        )
    for step in across:
        drawn.append(
            Markup('<text class="tick" x="{:.2f}%" y="{}" text-anchor="middle">{}</text>').format(
                left + width * step / across[-1], HEIGHT + 24, number(step)
            )
        )
    shapes = Markup().join(
        Markup('<path class="{} {}" d="{}"/>').format(
            style,
            kind,
            path(
                [(round(UNITS * x / across[-1]), round(UNITS * (1 - y / up[-1]))) for x, y in pairs]
            ),
        )
        for kind, pairs in series.items()
        if pairs
    )
    drawn.append(
        Markup(
            '<svg x="{}%" y="8" width="{}%" height="{}" viewBox="0 0 {units} {units}" preserveAspectRatio="none" '
            'overflow="visible">{}</svg>'
        ).format(left, width, HEIGHT, shapes, units=UNITS)
    )
    drawn.append(
        Markup('<text class="axis" x="{}%" y="{}" text-anchor="middle">{}</text>').format(
            left + width / 2, HEIGHT + 44, axes[0]
        )
    )
    drawn.append(Markup('<text class="axis" x="0" y="-6">{}</text>').format(axes[1]))
    return svg(label, HEIGHT + 50, drawn, above=22)


def svg(label: str, height: int, drawn: Sequence[Markup], above: int = 0) -> Markup:
    """Returns the picture, `label` being what a person hears who does not see it."""
    return Markup(
        '<svg role="img" aria-label="{}" width="100%" height="{}"><svg y="{}" overflow="visible">{}</svg>'
        "</svg>"
    ).format(label, height + above, above, Markup("\n").join(drawn))


def ticks(low: float, high: float) -> list[float]:
    """Returns a few round numbers, from at most `low` to at least `high`."""
    found = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(
        low, high if high > low else low + 1
    )
    return [round(float(step), 9) for step in found]


def number(value: float) -> str:
    """Returns a number as an axis shows it."""
    return f"{value:,.0f}" if value == round(value) else f"{value:g}"
