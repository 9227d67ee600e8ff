"""The last waits of a class of jobs, and their quantiles."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final

WINDOW: Final = 2048
"""How many of the last waits are kept."""
_SORT_EVERY: Final = 32
"""After how many further waits they are sorted again: until then quantiles are of those before."""
_MAX_MERGED: Final = 128
"""So many further waits are merged into those that are sorted; more are sorted with all others."""


class Waits:
    """A sliding window of waits, in seconds from arrival to the start of the test."""

    __slots__ = ("_last", "_since_sorted", "_sorted")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=WINDOW + _MAX_MERGED)
        """Those of the window, behind those that were in it when they were sorted last."""
        self._sorted: list[float] = []
        self._since_sorted = 0

    def __len__(self) -> int:
        return min(WINDOW, len(self._last))

    def add(self, seconds: float) -> None:
        """A further job started."""
        self._last.append(seconds)
        self._since_sorted += 1

    def quantile(self, q: float) -> float | None:
        """The wait that this share (0 to 1) of the last jobs did not exceed; None when there are none."""
        if self._since_sorted >= _SORT_EVERY or (self._since_sorted and not self._sorted):
            self._sort()
        waits = self._sorted
        return waits[min(len(waits) - 1, int(len(waits) * q))] if waits else None

    def _sort(self) -> None:
        added, self._since_sorted = self._since_sorted, 0
        left = [self._last.popleft() for _ in range(len(self._last) - WINDOW)]
        if added > _MAX_MERGED:
            self._sorted = sorted(self._last)
            return
        for seconds in left:
            del self._sorted[bisect_left(self._sorted, seconds)]
        self._sorted += [self._last[-n] for n in range(1, added + 1)]
        self._sorted.sort()  # quick: all but the last few are in order
