"""A store that throws keys away: when to look for that, and how long a rebuilt projection stays. Pure.

The store counts for all its databases, and does not tell whose keys went: another application's may go all
the time. So a rebuild has to end, and what was built is used for a while, longer each time.
"""

from __future__ import annotations

from typing import Final

from qgjob.backoff import Backoff

FIRST_S: Final = 2.0
LONGEST_S: Final = 300.0
"""What was built anew for evictions stays at least so long, whatever is evicted."""


class Evictions:
    """How many keys the store threw away, as far as it was looked at. Times are monotonic."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._pauses = Backoff(FIRST_S, LONGEST_S, settled_s=LONGEST_S)
        self._stays_s = 0.0
        self._stays_until = 0.0

    def rebuilt(self, now: float) -> None:
        """The projection was begun anew, or is not through with it."""
        self._stays_until = now + self._stays_s

    def due(self, now: float, *, rebuilding: bool) -> bool:
        """Whether to ask the store now."""
        if rebuilding:
            self.rebuilt(now)
        return self._count is None or (not rebuilding and now >= self._stays_until)

    def on_count(self, count: int, now: float) -> int:
        """Take in how many keys the store has thrown away; returns how many of them are new."""
        before, self._count = self._count, count
        if before is None or count <= before:
            return 0
        self._stays_s = self._pauses.after(now - self._stays_until)
        return count - before
