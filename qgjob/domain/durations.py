"""Durations as people write them."""

from __future__ import annotations

import re

from qgjob.errors import UsageError

_UNITS = {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
_FORM = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)?\Z")


def parse_duration(text: str) -> float:
    """Seconds from `90`, `90s`, `15m`, `2h`, `1d`; raises `UsageError` for anything else."""
    match = _FORM.match(text.strip())
    seconds = float(match.group(1)) * _UNITS[match.group(2) or ""] if match else 0.0
    if seconds <= 0 or seconds > 7 * 86_400:
        raise UsageError(
            f"{text!r} is not a duration.", hint="Write 90, 90s, 15m or 2h: more than 0, at most 7d."
        )
    return seconds


def show_duration(seconds: float) -> str:
    """`0.4s`, `12s`, `3m05s`, `2h10m`: two units at most."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"
