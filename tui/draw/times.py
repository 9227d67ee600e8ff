"""Durations and moments, short enough for a column."""

from __future__ import annotations

import time


def span(seconds: float | None) -> str:
    """A duration in at most five characters: `0.4s`, `42s`, `3m07`, `2h05`, `3d4h`."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}"
    days = whole // 86_400
    exact = f"{days}d{whole % 86_400 // 3600}h"
    return exact if len(exact) <= 5 else f"{min(days, 9999)}d"


def age(seconds: float) -> str:
    """A duration in whole seconds: what changes once a second at most."""
    return span(float(int(seconds))).replace(".0s", "s") if seconds < 10 else span(float(int(seconds)))


def window(seconds: int) -> str:
    """What a chart covers: `42 s`, `3.5 min`, `2.3 h`."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds} s"


def moment(at: float) -> str:
    """The time of day, where the reader is."""
    return time.strftime("%H:%M:%S", time.localtime(at))


def count(number: int) -> str:
    """A number with its thousands set apart."""
    return f"{number:,}"


def short_count(number: float) -> str:
    """A number in at most four characters: `999`, `1.2k`, `45k`, `3.4M`."""
    if number < 1000:
        return f"{number:.0f}"
    for unit in ("k", "M", "G"):
        number /= 1000
        if number < 9.95:
            return f"{number:.1f}{unit}"
        if number < 999.5:
            return f"{number:.0f}{unit}"
    return "lots"
