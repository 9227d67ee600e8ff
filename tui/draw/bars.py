"""Bars and charts out of block characters."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

_ACROSS: Final = " ▏▎▍▌▋▊▉█"
_UP: Final = " ▁▂▃▄▅▆▇█"


def bar(value: float, maximum: float, width: int) -> str:
    """A bar of eighths of a cell, without padding; something that is not nothing is always seen."""
    if maximum <= 0 or value <= 0 or width <= 0:
        return ""
    eighths = max(1, min(width * 8, round(min(1.0, value / maximum) * width * 8)))
    full, part = divmod(eighths, 8)
    return "█" * full + (_ACROSS[part] if part else "")


def rule(value: float, maximum: float, width: int) -> str:
    """A bar as a heavy line, in halves of a cell: rows of them below each other stay apart."""
    if maximum <= 0 or value <= 0 or width <= 0:
        return ""
    halves = max(1, min(width * 2, round(min(1.0, value / maximum) * width * 2)))
    return "━" * (halves // 2) + "╸" * (halves % 2)


def spark(values: Sequence[float], width: int, maximum: float | None = None) -> str:
    """A chart one row high, the newest value at the right edge."""
    return area(values, width, 1, maximum)[0] if width > 0 else ""


def area(values: Sequence[float], width: int, height: int, maximum: float | None = None) -> list[str]:
    """A chart `height` rows high, from the top; the newest value at the right edge.

    Zero is an empty column, anything above it shows.
    """
    shown = list(values[-width:]) if width > 0 else []
    top = max(shown, default=0.0) if maximum is None else maximum
    levels = [
        0
        if top <= 0 or value <= 0
        else max(1, min(height * 8, ceil(min(1.0, value / top) * height * 8 - 1e-9)))
        for value in shown
    ]
    levels = [0] * (width - len(levels)) + levels
    return [
        "".join(_UP[max(0, min(8, level - row * 8))] for level in levels) for row in reversed(range(height))
    ]


def nice_maximum(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten: a scale that does not jump with every value."""
    if value <= 1:
        return 1.0
    power = 10.0
    while power * 10 <= value:
        power *= 10
    if value <= 10:
        power = 1.0
    for factor in (1, 2, 5, 10):
        if value <= factor * power:
            return factor * power
    return value
