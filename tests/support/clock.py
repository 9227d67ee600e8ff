"""A clock for tests."""

from __future__ import annotations


class ManualClock:
    """A clock that stands still until it is told to go on."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        """Return the seconds since the epoch, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds by which the clock was advanced so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let this many seconds pass on both clocks; raises ValueError for a negative number."""
        if seconds < 0:
            raise ValueError("time does not run backwards; set_now() moves the wall clock alone")
        self._now += seconds
        self._monotonic += seconds

    def set_now(self, now: float) -> None:
        """Set the wall clock alone, as an administrator or NTP does: no time passes."""
        self._now = now
