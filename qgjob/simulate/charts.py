"""Charts of waits: their distribution, and how they change over the time of a trace."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from qgjob.domain.durations import show_duration
from qgjob.simulate.canvas import Canvas, Point
from qgjob.simulate.engine import Execution

_STEPS_S: Final = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)
_WAIT_TICKS_S: Final = (0, 1, 10, 60, 600, 3600, 36_000, 259_200)
_BINS: Final = 120
_GRID: Final = "#e3e5ea"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line of a chart, in the chart's own units."""

    name: str
    colour: str
    points: Sequence[Point]


def time_ticks(span: float) -> list[float]:
    """Round moments from 0 on, some eight of them."""
    step = next((step for step in _STEPS_S if span / step <= 10), 86_400 * math.ceil(span / 86_400 / 10))
    return [step * place for place in range(int(span / step) + 1)]


def shares(executions: Iterable[Execution], level: str) -> list[Point]:
    """(seconds, share of the class's jobs that waited at most so long)."""
    waits = sorted(one.wait_s for one in executions if level in (one.job.level, "all"))
    step = max(1, len(waits) // 300)
    return [
        (wait, (place + 1) / len(waits))
        for place, wait in enumerate(waits)
        if place % step == 0 or place == len(waits) - 1
    ]


def waits_over_time(
    executions: Iterable[Execution], level: str | None, begin: float, span: float
) -> list[Point]:
    """(seconds since the begin, mean wait of those that arrived about then), of a class or of all."""
    sums, counts = [0.0] * _BINS, [0] * _BINS
    for one in executions:
        if level is None or one.job.level == level:
            place = min(_BINS - 1, int((one.job.arrival_s - begin) / span * _BINS))
            sums[place] += one.wait_s
            counts[place] += 1
    return [
        ((place + 0.5) * span / _BINS, sums[place] / counts[place]) for place in range(_BINS) if counts[place]
    ]


@dataclass(frozen=True, slots=True)
class Axis:
    """Where a chart is: its left upper corner and its size."""

    left: float
    top: float
    width: float
    height: float

    def draw_over_time(self, canvas: Canvas, title: str, curves: Sequence[Curve], span: float) -> None:
        """Curves of waits over time, on straight scales that begin at 0."""
        highest = max((wait for curve in curves for _, wait in curve.points), default=0.0) or 1.0
        self._frame(canvas, title)
        for wait in time_ticks(highest * 1.9)[:-1]:
            if wait <= highest:
                self._row(canvas, wait / highest, show_duration(wait) if wait else "0")
        for at in time_ticks(span):
            self._column(canvas, at / span, show_duration(at) if at else "0")
        for curve in curves:
            self._curve(canvas, curve, [(at / span, wait / highest) for at, wait in curve.points])
        self._names(canvas, curves, self.left + self.width - 12)

    def draw_shares(self, canvas: Canvas, title: str, curves: Sequence[Curve], longest: float) -> None:
        """Distributions of waits; seconds on a scale that gives every power of ten as much room."""
        end = math.log1p(longest) or 1.0
        self._frame(canvas, title)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            self._row(canvas, share, f"{share:.0%}")
        for wait in _WAIT_TICKS_S:
            if wait <= longest:
                self._column(canvas, math.log1p(wait) / end, _short(wait))
        for curve in curves:
            self._curve(canvas, curve, [(math.log1p(wait) / end, share) for wait, share in curve.points])
        if len(curves) > 1:
            self._names(canvas, curves, self.left + 10, left=True)

    def _frame(self, canvas: Canvas, title: str) -> None:
        canvas.text(self.left, self.top - 10, title, size=12, fill="#111")
        bottom = self.top + self.height
        canvas.line([(self.left, self.top), (self.left, bottom), (self.left + self.width, bottom)], "#999")

    def _row(self, canvas: Canvas, share: float, label: str) -> None:
        y = self.top + self.height * (1 - share)
        if share:
            canvas.line([(self.left, y), (self.left + self.width, y)], _GRID)
        canvas.text(self.left - 6, y + 4, label, size=9, fill="#666", anchor="end")

    def _column(self, canvas: Canvas, share: float, label: str) -> None:
        x, bottom = self.left + self.width * share, self.top + self.height
        if share:
            canvas.line([(x, self.top), (x, bottom)], _GRID)
        canvas.text(x, bottom + 15, label, size=9, fill="#666", anchor="middle")

    def _curve(self, canvas: Canvas, curve: Curve, shares: Sequence[Point]) -> None:
        points = [(self.left + self.width * x, self.top + self.height * (1 - y)) for x, y in shares]
        if len(points) == 1:
            points.append((points[0][0] + 1, points[0][1]))
        canvas.line(points, curve.colour, 1.6)

    def _names(self, canvas: Canvas, curves: Sequence[Curve], x: float, *, left: bool = False) -> None:
        for place, curve in enumerate(curves):
            y = self.top + 14 + 15 * place
            anchor = "start" if left else "end"
            canvas.text(x, y, curve.name, size=11, fill=curve.colour, anchor=anchor)


def _short(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds else "0"
