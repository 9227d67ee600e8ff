"""What each slot did, as pixels: a picture of thirty thousand jobs must not have thirty thousand shapes."""

from __future__ import annotations

import colorsys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from qgjob.simulate.engine import Execution

INSTALLING: Final = -1
"""Stands where a build's number would."""
_HUES: Final = 0.618034  # the golden ratio: neighbours in number are far apart in hue
_LIGHTNESS: Final = (0.52, 0.68, 0.40)


@dataclass(frozen=True, slots=True)
class Segment:
    """Columns in which a slot did mostly one thing."""

    slot: int
    begin: int
    end: int
    """The column behind the last."""
    what: int
    """The number of a build, or `INSTALLING`."""


def number_builds(executions: Iterable[Execution]) -> dict[tuple[str, str], int]:
    """A number for every build, in the order in which they first came."""
    numbers: dict[tuple[str, str], int] = {}
    for one in sorted(executions, key=lambda r: (r.job.arrival_s, r.job.build)):
        numbers.setdefault(one.job.build, len(numbers))
    return numbers


def colour(build: int) -> str:
    """The colour of the build with that number."""
    lightness = _LIGHTNESS[build % len(_LIGHTNESS)]
    red, green, blue = colorsys.hls_to_rgb(build * _HUES % 1.0, lightness, 0.62)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"


def segments(
    executions: Iterable[Execution],
    numbers: dict[tuple[str, str], int],
    begin: float,
    span: float,
    columns: int,
) -> Iterator[Segment]:
    """Slot by slot; a column in which a slot did several things shows what took most of it."""
    by_slot: defaultdict[int, list[Execution]] = defaultdict(list)
    for one in executions:
        by_slot[one.slot].append(one)
    scale = columns / span
    for slot in sorted(by_slot):
        cells: defaultdict[int, dict[int, float]] = defaultdict(dict)
        for one in by_slot[slot]:
            parts = (
                (one.taken_s, one.started_s, INSTALLING),
                (one.started_s, one.ended_s, numbers[one.job.build]),
            )
            for start, end, what in parts:
                for column, share in _columns_of((start - begin) * scale, (end - begin) * scale, columns):
                    cell = cells[column]
                    cell[what] = cell.get(what, 0.0) + share
        yield from _merge_columns(slot, cells)


def usage(
    executions: Iterable[Execution], begin: float, span: float, columns: int
) -> tuple[Sequence[float], Sequence[float]]:
    """How many slots were testing, and how many installing, in each column on average."""
    testing, installing = [0.0] * columns, [0.0] * columns
    scale = columns / span
    for one in executions:
        for start, end, into in (
            (one.taken_s, one.started_s, installing),
            (one.started_s, one.ended_s, testing),
        ):
            for column, share in _columns_of((start - begin) * scale, (end - begin) * scale, columns):
                into[column] += share
    return testing, installing


def _columns_of(start: float, end: float, columns: int) -> Iterator[tuple[int, float]]:
    """The columns that an interval touches, and how much of each."""
    for column in range(max(0, int(start)), min(columns, int(end) + 1)):
        share = min(end, column + 1) - max(start, column)
        if share > 0:
            yield column, share


def _merge_columns(slot: int, cells: dict[int, dict[int, float]]) -> Iterator[Segment]:
    begin = end = 0
    current: int | None = None
    for column in sorted(cells):
        cell = cells[column]
        what = max(cell, key=lambda key: (cell[key], key))
        if sum(cell.values()) < 0.5:
            continue  # mostly idle
        if what == current and column == end:
            end += 1
            continue
        if current is not None:
            yield Segment(slot, begin, end, current)
        begin, end, current = column, column + 1, what
    if current is not None:
        yield Segment(slot, begin, end, current)
