"""How long the jobs waited that began last."""

from __future__ import annotations

from typing import Final

KEPT: Final = 1000


class Waits:
    """Waits by job, the latest; hearing of one again changes nothing."""

    def __init__(self) -> None:
        self._waits: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._waits)

    def record(self, job_id: str, seconds: float) -> None:
        """A job began after waiting so long."""
        self._waits[job_id] = max(0.0, seconds)
        if len(self._waits) > KEPT:
            del self._waits[next(iter(self._waits))]

    def quantile(self, share: float) -> float | None:
        """The wait that a share of them did not exceed, 0.5 being the median; None while there are none."""
        if not self._waits:
            return None
        ordered = sorted(self._waits.values())
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
