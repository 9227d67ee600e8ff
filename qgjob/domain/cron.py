"""When a schedule is due next, reckoned as the server does. Pure.

The server tells it only with what it has repeated, and forgets that after an hour. Its rules: six fields
(second, minute, hour, day, month, weekday) on the clocks of a zone, so an hour that summer time repeats
counts twice and one that it skips not at all; of day and weekday both must fit when either is `*`, else one
of them. `@every` counts on from when the schedule was made.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import zoneinfo
from collections.abc import Mapping
from typing import Final, NamedTuple

_NAMED: Final[Mapping[str, str]] = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_MONTHS: Final[list[str]] = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_DAYS: Final[list[str]] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_BOUNDS: Final = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_DURATION: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|s|m|h)")
_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_YEARS: Final = 5


class _Fields(NamedTuple):
    """The values that fit, and whether a day of the month and of the week are any."""

    second: frozenset[int]
    minute: frozenset[int]
    hour: frozenset[int]
    day: frozenset[int]
    month: frozenset[int]
    weekday: frozenset[int]
    any_day: bool
    any_weekday: bool


def next_due(expression: str, zone: str | None, made_at: float, now: float) -> float | None:
    """The first time after `now` at which a schedule is due, in seconds since 1970.

    `made_at`: when the server stored it. None when that cannot be told: the expression is none, it is not
    due within five years, or nothing is known of its zone here.
    """
    if expression.startswith("@every "):
        every = _seconds(expression.removeprefix("@every "))
        if every is None:
            return None
        first = math.floor(made_at + 0.5) + every
        return first + every * max(0, math.floor((now - first) / every) + 1)
    try:
        fields = _fields(_NAMED.get(expression, expression))
        return _next(fields, zoneinfo.ZoneInfo(zone or "UTC"), now)
    except (ValueError, OverflowError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return None


def _seconds(text: str) -> float | None:
    """A duration as Go writes it, `1h30m`; the server takes those of a second and more."""
    parts = _DURATION.findall(text)
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    return total if total >= 1 and "".join(map("".join, parts)) == text else None


def _fields(expression: str) -> _Fields:
    words = expression.split()
    if len(words) != len(_BOUNDS):
        raise ValueError(expression)
    values = [_values(word, low, high) for word, (low, high) in zip(words, _BOUNDS, strict=True)]
    second, minute, hour, day, month, weekday = values
    return _Fields(second, minute, hour, day, month, weekday, _is_any(words[3]), _is_any(words[5]))


def _is_any(word: str) -> bool:
    return any(part.partition("/")[0] in {"*", "?"} and part[1:] in {"", "/1"} for part in word.split(","))


def _values(word: str, low: int, high: int) -> frozenset[int]:
    numbers: set[int] = set()
    for part in filter(None, word.split(",")):
        extent, slash, step = part.partition("/")
        first, hyphen, last = extent.partition("-")
        if first in {"*", "?"}:
            start, end = low, high
        else:
            start = _number(first, high)
            end = _number(last, high) if hyphen else high if slash else start
        if not low <= start <= end <= high or (slash and int(step) < 1):
            raise ValueError(word)
        numbers.update(range(start, end + 1, int(step) if slash else 1))
    return frozenset(numbers)


def _number(text: str, high: int) -> int:
    names: list[str] = _MONTHS if high == len(_MONTHS) else _DAYS if high == len(_DAYS) - 1 else []
    if text.lower() in names:
        return names.index(text.lower()) + (high == len(_MONTHS))
    return int(text)


def _next(fields: _Fields, zone: dt.tzinfo, now: float) -> float | None:
    """Go on from second to second, by larger steps where a larger field does not fit."""
    at = dt.datetime.fromtimestamp(math.floor(now) + 1, dt.UTC)
    last = at.year + _YEARS
    while True:
        local = at.astimezone(zone)
        if local.year > last:
            return None
        if local.month not in fields.month:
            at = _midnight(zone, local.year + local.month // 12, local.month % 12 + 1, 1)
        elif not _day_fits(fields, local):
            tomorrow = local.date() + dt.timedelta(days=1)
            at = _midnight(zone, tomorrow.year, tomorrow.month, tomorrow.day)
        elif local.hour not in fields.hour:
            at += dt.timedelta(seconds=3600 - 60 * local.minute - local.second)
        elif local.minute not in fields.minute:
            at += dt.timedelta(seconds=60 - local.second)
        elif local.second not in fields.second:
            at += dt.timedelta(seconds=1)
        else:
            return at.timestamp()


def _midnight(zone: dt.tzinfo, year: int, month: int, day: int) -> dt.datetime:
    return dt.datetime(year, month, day, tzinfo=zone).astimezone(dt.UTC)


def _day_fits(fields: _Fields, local: dt.datetime) -> bool:
    day, weekday = local.day in fields.day, local.isoweekday() % 7 in fields.weekday
    return (day and weekday) if fields.any_day or fields.any_weekday else (day or weekday)
