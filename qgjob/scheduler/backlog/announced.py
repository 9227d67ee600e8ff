"""Up to where jobs were announced, followed in steps: much may be announced for long."""

from __future__ import annotations

from collections import deque


class Announced:
    """What was read up to a place is announced once as many events are stored as were posted by then."""

    def __init__(self, through: int) -> None:
        self.through = through
        """All jobs up to this sequence are announced."""
        self._steps: deque[tuple[int, int]] = deque()

    def step(self, read: int, *, posted: int, stored: int) -> int:
        """Note how far jobs are read and how many events were posted and stored; returns `through`."""
        self._steps.append((read, posted))
        while self._steps and self._steps[0][1] <= stored:
            read, _ = self._steps.popleft()
            self.through = max(self.through, read)
        return self.through
