"""Line charts as SVG text: axes with units, each line labelled where it ends. Colours come from the page's style."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 62, 168, 32, 52
LABEL_GAP = 17  # between two labels, so that none covers another
TICKS = 5

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One series. `style` is a class of the page; `dots` shows each point; `steps` draws it as a staircase.

    The label stands where the line ends, or at the point numbered `label_at`; with `label_left` before it.
    """

    label: str
    points: Sequence[Point]
    style: str
    dots: bool = False
    steps: bool = False
    label_at: int = -1
    label_left: bool = False


@dataclass(frozen=True, slots=True)
class Goal:
    """A wanted value: a point when `x` and `y` are given, else a line across the chart."""

    label: str
    x: float | None
    y: float


@dataclass(slots=True)
class Chart:
    """What `svg` draws."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    log_x: bool = False
    y_top: float | None = None

    def svg(self) -> str:
        xs = [x for line in self.lines for x, _ in line.points] + [g.x for g in self.goals if g.x is not None]
        ys = [y for line in self.lines for _, y in line.points] + [g.y for g in self.goals]
        y_ticks = ticks(self.y_top or max(ys))
        x_ticks = sorted({x for line in self.lines for x, _ in line.points}) if self.log_x else ticks(max(xs))
        across = _scale(x_ticks[0], x_ticks[-1], LEFT, WIDTH - RIGHT, log=self.log_x)
        up = _scale(0.0, y_ticks[-1], HEIGHT - BOTTOM, TOP)
        parts = [
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(self.title)}">',
            *_axes(x_ticks, y_ticks, across, up),
            *self._axis_labels(),
        ]
        for goal in self.goals:
            parts += _goal(goal, across, up)
        labels = _apart([(up(line.points[line.label_at][1]), line) for line in self.lines])
        for line, at in labels:
            parts += _line(line, across, up)
            x = across(line.points[line.label_at][0]) + (-8 if line.label_left else 8)
            side = "end" if line.label_left else "start"
            parts.append(
                f'<text class="{line.style} label" x="{x:.1f}" y="{at + 4:.1f}" text-anchor="{side}">'
                f"{html.escape(line.label)}</text>"
            )
        return "\n".join([*parts, "</svg>"])

    def _axis_labels(self) -> list[str]:
        middle, below = (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10
        across, up = html.escape(self.x_label), html.escape(self.y_label)
        return [
            f'<text class="axis" x="{middle:.0f}" y="{below}" text-anchor="middle">{across}</text>',
            f'<text class="axis" x="{LEFT - 50}" y="{TOP - 16}">{up}</text>',
        ]


def ticks(top: float) -> list[float]:
    """0 and up to `top` or just above it, in steps a person counts in."""
    rough = max(top, 1e-9) / TICKS
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough)
    return [step * number for number in range(math.ceil(top / step - 1e-9) + 1)]


def _scale(low: float, high: float, first: float, last: float, *, log: bool = False) -> Callable[[float], float]:
    span = (math.log(high / low) if log else high - low) or 1.0

    def place(value: float) -> float:
        share = (math.log(value / low) if log else value - low) / span
        return first + share * (last - first)

    return place


def _axes(
    x_ticks: Sequence[float], y_ticks: Sequence[float], across: Callable[[float], float], up: Callable[[float], float]
) -> list[str]:
    parts = []
    for value in y_ticks:
        y = up(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,g}</text>')
    for value in x_ticks:
        x = across(value)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 5}"/>'
        )
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle">{value:,g}</text>'
        )
    return parts


def _line(line: Line, across: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    places = [(across(x), up(y)) for x, y in line.points]
    if line.steps:
        places = [place for a, b in pairwise(places) for place in (a, (b[0], a[1]))] + places[-1:]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [f'<polyline class="{line.style}" points="{path}"/>']
    if line.dots:
        for (_, value), (x, y) in zip(line.points, places, strict=True):
            parts.append(f'<circle class="{line.style}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
            parts.append(
                f'<text class="{line.style} value" x="{x:.1f}" y="{y - 9:.1f}" text-anchor="middle">{value:,.0f}</text>'
            )
    return parts


def _goal(goal: Goal, across: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    y = up(goal.y)
    if goal.x is None:
        return [
            f'<line class="goal" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>',
            f'<text class="goal" x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}">{html.escape(goal.label)}</text>',
        ]
    x = across(goal.x)
    return [
        f'<circle class="goal" cx="{x:.1f}" cy="{y:.1f}" r="5"/>',
        f'<text class="goal" x="{x:.1f}" y="{y - 11:.1f}" text-anchor="middle">{html.escape(goal.label)}</text>',
    ]


def _apart(ends: list[tuple[float, Line]]) -> list[tuple[Line, float]]:
    """The lines with the height of their labels, moved down where two would touch."""
    placed: list[tuple[Line, float]] = []
    lowest = -math.inf
    for at, line in sorted(ends, key=lambda end: end[0]):
        lowest = max(at, lowest + LABEL_GAP)
        placed.append((line, lowest))
    return placed
