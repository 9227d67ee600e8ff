"""The clock that is passed to whatever needs the time, so that tests can set it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of wall-clock and monotonic time."""

    def now(self) -> float:
        """Wall-clock time: seconds since the epoch, UTC. It may jump; use it in what others read."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; it never goes back. Use it for durations and deadlines."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> float:
        """Return the seconds since the epoch, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return the seconds of the machine's monotonic clock."""
        return time.monotonic()


def rfc3339(at: float | None) -> str | None:
    """Seconds since 1970 as `2026-01-31T12:00:00.123Z`; None stays None, as does what is no time."""
    if at is None:
        return None
    try:
        moment = datetime.fromtimestamp(at, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
