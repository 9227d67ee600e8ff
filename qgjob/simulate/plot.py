"""Draw simulations: what each slot did, coloured by build, and how long jobs waited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bus_schemas.subjects import PRIORITY_CLASSES
from qgjob.domain.durations import show_duration
from qgjob.errors import UsageError
from qgjob.simulate.canvas import Canvas, PngCanvas, SvgCanvas
from qgjob.simulate.charts import Axis, Curve, shares, time_ticks, waits_over_time
from qgjob.simulate.compare import Result
from qgjob.simulate.timeline import INSTALLING, colour, number_builds, segments, usage

MAX_TIMELINES: Final = 4
"""Of so many results the slots are drawn; the waits of all that have a line colour."""
WIDTH: Final = 1400
_LEFT: Final = 70
_INNER: Final = WIDTH - _LEFT - 30
_CELLS: Final = 2 * _INNER  # half a unit each: a pixel of the PNG
_USAGE: Final = 44
_CHART: Final = 200
_INSTALL: Final = "#20242c"
_IDLE: Final = "#f0f1f4"
_LINES: Final = ("#2563c9", "#d9542b", "#2a9d5c", "#8a4fc4", "#b58a12", "#c23b78", "#3a9fb5", "#666")
_CLASSES: Final = {"high": "#d0333f", "medium": "#d98e04", "low": "#1f8f86", "all": "#444"}


def draw(results: Sequence[Result], path: Path) -> None:
    """Write the picture, SVG or PNG by the file's name; raises `UsageError` when it cannot be written."""
    try:
        path.write_bytes(picture(results, png=path.suffix.lower() == ".png"))
    except OSError as error:
        raise UsageError(f"The picture {path} cannot be written: {error.strerror}.") from None


def picture(results: Sequence[Result], *, png: bool) -> bytes:
    """The slots of each result above each other, on one scale of time; the waits of all below."""
    shown = results[:MAX_TIMELINES]
    heights = [_panel_height(result) for result in shown]
    height = 46 + sum(heights) + 2 * (_CHART + 62)
    canvas: Canvas = PngCanvas(WIDTH, height) if png else SvgCanvas(WIDTH, height)
    begin = min(one.job.arrival_s for result in shown for one in result.executions)
    span = max(one.ended_s for result in results for one in result.executions) - begin or 1.0
    _legend(canvas, results)
    top = 46
    for result, tall in zip(shown, heights, strict=True):
        _panel(canvas, result, top, begin, span)
        top += tall
    _over_time(canvas, results, top + 30, begin, span)
    _distributions(canvas, results, top + _CHART + 62 + 30)
    return canvas.finish()


def _row(result: Result) -> float:
    return min(16.0, max(2.0, 420 / len(result.lab.lab.slots)))


def _panel_height(result: Result) -> int:
    return round(26 + _row(result) * len(result.lab.lab.slots) + 6 + _USAGE + 34)


def _legend(canvas: Canvas, results: Sequence[Result]) -> None:
    jobs = results[0].executions
    builds = number_builds(jobs)
    canvas.text(_LEFT, 24, f"{len(jobs):,} jobs of {len(builds):,} builds", size=16, fill="#111")
    x = _LEFT + 300.0
    few = list(builds.items())[:8] if len(builds) <= 8 else []
    keys = [("installing", _INSTALL), ("idle", _IDLE)]
    keys += [(name[-24:], colour(number)) for (_, name), number in few]
    for name, fill in keys:
        canvas.rectangle(x, 14, 14, 11, fill)
        canvas.text(x + 19, 24, name)
        x += 34 + 6.4 * len(name)
    if not few:
        for number in range(6):
            canvas.rectangle(x + 9 * number, 14, 9, 11, colour(number))
        canvas.text(x + 60, 24, "a colour for each build")


def _panel(canvas: Canvas, result: Result, top: int, begin: float, span: float) -> None:
    row, slots = _row(result), len(result.lab.lab.slots)
    gap = 1.0 if row >= 6 else 0.0
    figures = result.summaries[0]
    bound = figures.makespan_s / (figures.makespan_lower_bound_s or 1.0)
    title = (
        f"{result.policy}, {result.lab.name}: {figures.installs:,} installs, "
        f"makespan {show_duration(figures.makespan_s)} ({bound:.3f} times its bound), "
        f"mean wait {show_duration(figures.wait_s['all'].mean)}"
    )
    canvas.text(_LEFT, top + 18, title, size=13, fill="#111")
    top += 26
    numbers = number_builds(result.executions)
    names = {number: f"{org} {version}" for (org, version), number in numbers.items()}
    cell = _INNER / _CELLS
    for slot in range(slots):
        canvas.rectangle(_LEFT, top + row * slot, _INNER, row - gap, _IDLE)
    for one in segments(result.executions, numbers, begin, span, _CELLS):
        installing = one.what == INSTALLING
        canvas.rectangle(
            _LEFT + one.begin * cell,
            top + row * one.slot,
            (one.end - one.begin) * cell,
            row - gap,
            _INSTALL if installing else colour(one.what),
            title="installing" if installing else names[one.what],
        )
    every = max(1, round(14 / row))
    for slot in range(0, slots, every):
        canvas.text(
            _LEFT - 8, top + row * slot + min(row, 12) - 2, f"slot {slot}", size=9, fill="#666", anchor="end"
        )
    _usage(canvas, result, top + round(row * slots) + 6, begin, span)
    bottom = top + round(row * slots) + 6 + _USAGE
    for at in time_ticks(span):
        x = _LEFT + _INNER * at / span
        canvas.line([(x, bottom), (x, bottom + 4)], "#999")
        canvas.text(x, bottom + 16, show_duration(at) if at else "0", size=10, fill="#666", anchor="middle")


def _usage(canvas: Canvas, result: Result, top: int, begin: float, span: float) -> None:
    slots = len(result.lab.lab.slots)
    columns = _INNER // 2
    testing, installing = usage(result.executions, begin, span, columns)
    canvas.rectangle(_LEFT, top, _INNER, _USAGE, _IDLE)
    for column in range(columns):
        tested, installed = (_USAGE * share[column] / slots for share in (testing, installing))
        x, width = _LEFT + _INNER * column / columns, _INNER / columns
        canvas.rectangle(x, top + _USAGE - tested, width, tested, "#7fa8d9")
        if installed:
            canvas.rectangle(x, top + _USAGE - tested - installed, width, installed, _INSTALL)
    canvas.text(_LEFT - 8, top + 10, "in use", size=9, fill="#666", anchor="end")
    canvas.text(_LEFT - 8, top + _USAGE, "0", size=9, fill="#666", anchor="end")


def _over_time(canvas: Canvas, results: Sequence[Result], top: int, begin: float, span: float) -> None:
    if len(results) == 1:
        curves = [
            Curve(level, _CLASSES[level], waits_over_time(results[0].executions, level, begin, span))
            for level in PRIORITY_CLASSES
        ]
        title = "mean wait of the jobs that arrived then, by class"
    else:
        curves = [
            Curve(name, fill, waits_over_time(result.executions, None, begin, span))
            for name, fill, result in _lines(results)
        ]
        title = "mean wait of the jobs that arrived then"
    axis = Axis(_LEFT, top, _INNER, _CHART)
    axis.draw_over_time(canvas, title, [curve for curve in curves if curve.points], span)


def _distributions(canvas: Canvas, results: Sequence[Result], top: int) -> None:
    levels = [
        level for level in PRIORITY_CLASSES if any(one.job.level == level for one in results[0].executions)
    ]
    if len(levels) > 1:
        levels.append("all")
    width = (_INNER - 50 * (len(levels) - 1)) // len(levels)
    longest = max(one.wait_s for result in results for one in result.executions)
    for place, level in enumerate(levels):
        curves = [
            Curve(name, _CLASSES[level] if len(results) == 1 else fill, shares(result.executions, level))
            for name, fill, result in _lines(results)
        ]
        axis = Axis(_LEFT + place * (width + 50), top, width, _CHART)
        axis.draw_shares(canvas, f"{level}: share that waited at most …", curves, longest)


def _lines(results: Sequence[Result]) -> list[tuple[str, str, Result]]:
    labs = len({result.lab.name for result in results}) > 1
    policies = len({result.policy for result in results}) > 1
    lines: list[tuple[str, str, Result]] = []
    for fill, result in zip(_LINES, results, strict=False):
        lab = result.lab.name.partition(":")[0]
        name = f"{result.policy}, {lab}" if labs and policies else lab if labs else result.policy
        lines.append((name, fill, result))
    return lines
