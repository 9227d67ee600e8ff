"""The shadow: an online simulation of first come, first served (FCFS) over the same jobs and estimates.

The policy is measured against it. How long urgent and medium jobs would have waited under FCFS says how much
time there is to wait for a slot that has the build, and which jobs the policy makes wait too long.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final

from qgjob.domain.placement.waits import Waits

if TYPE_CHECKING:
    from qgjob.domain.placement.model import GroupKey, Job

_MAX_STARTS: Final = 256
"""How many starts one `advance` simulates at most: a long pause is made up for little by little."""
_MAX_BACKLOG: Final = 50_000
"""Of each queue: a backlog beyond that is not simulated, its waits tell nothing new."""

Labels = frozenset[str]


@dataclass(slots=True, eq=False)
class FcfsQueue:
    """The jobs of one capability under FCFS: those that would still wait, and the last waits."""

    labels: Labels
    jobs: tuple[deque[tuple[float, GroupKey, float]], ...] = field(
        default_factory=lambda: (deque(), deque(), deque())
    )
    """By level: the time of arrival, the group, and the expected seconds of the test."""
    waits: tuple[Waits, Waits, Waits] = field(default_factory=lambda: (Waits(), Waits(), Waits()))
    """By level."""

    def usual_wait_s(self, level: int, quantile: float, now: float) -> float | None:
        """A quantile of the last waits of a level, or how long its next job waits already if that is longer.

        None before any job has started.
        """
        usual_s, jobs = self.waits[level].quantile(quantile), self.jobs[level]
        if usual_s is None:
            return None
        return max(usual_s, now - jobs[0][0]) if jobs else usual_s


@dataclass(slots=True, eq=False)
class Shadow:
    """As many slots as the lab has: each takes the oldest job of the most urgent class that it can run.

    Slots are alike when they have the same of those labels that any job ever asked for.
    """

    queues: dict[str, FcfsQueue] = field(default_factory=dict[str, FcfsQueue])
    """By capability."""
    slots: dict[Labels, list[tuple[float, int, GroupKey | None]]] = field(default_factory=dict)  # pyright: ignore[reportUnknownVariableType]
    """A heap of the slots that are alike: when the slot is free, its number, and the group whose build it
    has."""
    required: Labels = frozenset()
    """The labels that any job asked for when the slots were resized last."""
    _last_number: int = 0

    def queue(self, capability: str, labels: Labels) -> FcfsQueue:
        """The queue of a capability, made when there is none."""
        queue = self.queues.get(capability)
        if queue is None:
            queue = self.queues[capability] = FcfsQueue(labels)
        return queue

    def on_arrival(self, job: Job, labels: Labels, expected_s: float) -> bool:
        """A job arrived that may start. Returns whether it asks for new labels: then `resize` is needed."""
        jobs = self.queue(job.group.capability, labels).jobs[job.level]
        if len(jobs) < _MAX_BACKLOG:
            jobs.append((job.arrived_at, job.group, expected_s))
        return not labels <= self.required

    def resize(self, slots: Iterable[Labels], now: float) -> None:
        """Have as many slots of each kind as the lab has; `slots` are the labels of each of its slots."""
        self.required = frozenset().union(*(queue.labels for queue in self.queues.values()))
        counts = Counter(labels & self.required for labels in slots)
        surplus = sorted(slot for kind in list(self.slots) for slot in self._take_surplus(kind, counts[kind]))
        for kind, count in counts.items():
            alike = self.slots.setdefault(kind, [])
            while len(alike) < count:
                if surplus:
                    heappush(alike, surplus.pop(0))
                else:
                    self._last_number += 1
                    heappush(alike, (now, self._last_number, None))

    def _take_surplus(self, kind: Labels, count: int) -> Iterator[tuple[float, int, GroupKey | None]]:
        alike = self.slots[kind]
        while len(alike) > count:
            yield heappop(alike)
        if not alike:
            del self.slots[kind]

    def advance(self, now: float, install_s: Callable[[str, str], float]) -> None:
        """Simulate the starts until now; `install_s(org, build)`: expected seconds of an install."""
        budget = _MAX_STARTS
        for kind, alike in self.slots.items():
            while alike[0][0] <= now and budget:
                queue, level = self._next_queue(kind)
                if queue is None:
                    break
                budget -= 1
                arrived_at, group, expected_s = queue.jobs[level].popleft()
                free_at, number, installed = alike[0]
                start = max(free_at, arrived_at)
                if installed is None or installed[1:] != group[1:]:
                    start += install_s(group.org_id, group.app_version_id)
                queue.waits[level].add(start - arrived_at)
                heapreplace(alike, (start + expected_s, number, group))

    def _next_queue(self, kind: Labels) -> tuple[FcfsQueue | None, int]:
        """The queue and level of the next job that a slot of these labels takes; None when there is none."""
        for level in range(3):
            oldest: FcfsQueue | None = None
            for queue in self.queues.values():
                jobs = queue.jobs[level]
                if (
                    jobs
                    and queue.labels <= kind
                    and (oldest is None or jobs[0][0] < oldest.jobs[level][0][0])
                ):
                    oldest = queue
            if oldest is not None:
                return oldest, level
        return None, 0
