"""Up to which job of the backlog the `queued` events are stored; the next reign announces only later ones."""

from __future__ import annotations

from collections import deque


class Watermark:
    """Jobs up to a sequence are announced once all events that were posted by then are stored."""

    def __init__(self, through: int) -> None:
        self.through = through
        """All jobs up to this sequence are announced."""
        self._steps: deque[tuple[int, int]] = deque()

    def advance(self, read: int, *, posted: int, stored: int) -> int:
        """Note how far jobs are read and how many events were posted and stored; returns `through`."""
        self._steps.append((read, posted))
        while self._steps and self._steps[0][1] <= stored:
            read, _ = self._steps.popleft()
            self.through = max(self.through, read)
        return self.through
