"""The last waits of a class of jobs, and their quantiles."""

from __future__ import annotations

from collections import deque
from typing import Final

KEPT: Final = 2048
"""How many of the last waits are kept."""
_EVERY: Final = 32
"""After how many further waits quantiles are taken anew."""


class Waits:
    """A sliding window of waits, in seconds from arrival to the start of the test."""

    __slots__ = ("_last", "_ordered", "_since")

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=KEPT)
        self._ordered: list[float] = []
        self._since = 0

    def __len__(self) -> int:
        return len(self._last)

    def add(self, seconds: float) -> None:
        """One more job started."""
        self._last.append(seconds)
        self._since += 1

    def quantile(self, share: float) -> float | None:
        """The wait that this share of the last jobs did not exceed; None before there are any."""
        if self._since >= _EVERY or (self._since and not self._ordered):
            self._ordered = sorted(self._last)
            self._since = 0
        ordered = self._ordered
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None
