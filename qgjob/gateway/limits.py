"""Rate limiting with token buckets. Pure: times are passed in, of a monotonic clock."""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import Final

MOST_CALLERS: Final = 10_000
_ROUNDING_S: Final = 1e-6
"""Who comes again when he was told to is let in, however the sums were rounded."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate per second, and a burst."""

    per_s: float
    burst: int


@dataclass(slots=True)
class Buckets:
    """A bucket for each caller; those of the callers that took most are remembered, `most` of them.

    A bucket is remembered as the moment at which it will be full again. Once it is, it need not be: an
    unknown caller's bucket is full.
    """

    rate: Rate
    most: int = MOST_CALLERS
    _full_at: dict[str, float] = field(default_factory=dict[str, float])

    def __len__(self) -> int:
        """How many callers are remembered."""
        return len(self._full_at)

    def take(self, caller: str, now: float, count: int = 1) -> float:
        """Take `count` tokens from a caller's bucket; 0, or the seconds to wait, and then nothing is taken.

        More than a bucket holds is taken out of a full one, which then owes the rest: else it could never be.
        """
        full_at = max(self._full_at.get(caller, now), now)
        needed = min(count, self.rate.burst)
        wait = full_at - now - (self.rate.burst - needed) / self.rate.per_s
        if wait > _ROUNDING_S:
            return wait
        self._full_at[caller] = full_at + count / self.rate.per_s
        if len(self._full_at) > self.most:
            self._forget(now)
        return 0.0

    def give_back(self, caller: str, count: int) -> None:
        """Give tokens back."""
        if caller in self._full_at:
            self._full_at[caller] -= count / self.rate.per_s

    def _forget(self, now: float) -> None:
        """Remember the half that is furthest from full: what is given to the others is least."""
        emptier = ((full_at, caller) for caller, full_at in self._full_at.items() if full_at > now)
        kept = heapq.nlargest(max(1, self.most // 2), emptier)
        self._full_at = {caller: full_at for full_at, caller in kept}


def retry_after(wait: float) -> int:
    """The header's value: whole seconds, at least one, after which it can be."""
    return max(1, math.ceil(wait - _ROUNDING_S))
