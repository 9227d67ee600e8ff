"""What a queue that knows nothing of builds would have done with the same jobs: first come, first served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heapreplace

from qgjob.demo.spans import Span


@dataclass(frozen=True, slots=True)
class Arrival:
    """A job as it came, and how long it occupied its slot when it really ran, the install left out."""

    at: float
    version: str
    took_s: float
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """The result of a replay."""

    installs: Mapping[str, int]
    """Made of each build."""
    ended_at: float
    """When the last job would have ended; when the first came, if there were none."""
    spans: tuple[Span, ...]

    @property
    def total_installs(self) -> int:
        """Made of all builds."""
        return sum(self.installs.values())


def first_come(
    arrivals: Iterable[Arrival], slots: int, install_s: Mapping[str, float], *, default_install_s: float = 0.0
) -> Replay:
    """Replay jobs on `slots` empty slots: each in its turn to the slot that is free first.

    The order is that of arrival, equal times in the order given. Of several free slots the one
    that waits longest is taken; one that holds another build installs the job's own first, which
    takes what `install_s` says of it. Raises ValueError without slots.
    """
    if slots < 1:
        raise ValueError("a replay needs at least one slot")
    queue = sorted(arrivals, key=lambda arrival: arrival.at)
    began = queue[0].at if queue else 0.0
    free = [(began, number) for number in range(slots)]
    heapify(free)
    holds: dict[int, str] = {}
    installs: Counter[str] = Counter()
    spans: list[Span] = []
    ended_at = began
    for job in queue:
        free_at, slot = free[0]
        start = max(free_at, job.at)
        if holds.get(slot) != job.version:
            holds[slot] = job.version
            installs[job.version] += 1
            installed = start + install_s.get(job.version, default_install_s)
            spans.append(Span(str(slot), job.version, "install", start, installed))
            start = installed
        end = start + job.took_s
        spans.append(Span(str(slot), job.version, "test", start, end, job.failed))
        ended_at = max(ended_at, end)
        heapreplace(free, (end, slot))
    return Replay(dict(installs), ended_at, tuple(spans))
