"""The shadow: an online simulation of first come, first served (FCFS) over the same jobs and estimates.

The policy is measured against it. How long urgent and medium jobs would have waited under FCFS says how much
time there is to wait for a slot that has the build, and which jobs the policy makes wait too long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final

from qgjob.domain.placement.fcfs_queue import FcfsQueue, Lengths

if TYPE_CHECKING:
    from qgjob.domain.placement.model import GroupKey, Job

_MAX_STARTS: Final = 256
"""How many starts one `advance` simulates at most: a long pause is made up for little by little."""
Labels = frozenset[str]


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
    lengths: Lengths = field(default_factory=Lengths)
    required: Labels = frozenset()
    """The labels that any job asked for when the slots were resized last."""
    _able: dict[Labels, list[FcfsQueue]] = field(default_factory=dict[Labels, list[FcfsQueue]])
    """By the labels of a slot: the queues whose jobs it can run."""
    _unused: set[Labels] = field(default_factory=set[Labels])
    """Kinds of slots for which no job would wait, until one arrives."""
    _last_number: int = 0

    def queue(self, capability: str, labels: Labels) -> FcfsQueue:
        """The queue of a capability, made when there is none."""
        queue = self.queues.get(capability)
        if queue is None:
            queue = self.queues[capability] = FcfsQueue(labels, self.lengths)
            self._able.clear()
        return queue

    def forget(self, capability: str) -> None:
        """Nothing is simulated of a capability any more."""
        del self.queues[capability]
        self._able.clear()

    def on_arrival(self, job: Job, labels: Labels, expected_s: float) -> bool:
        """A job arrived that may start. Returns whether it asks for new labels: then `resize` is needed."""
        self.queue(job.group.capability, labels).enqueue(job, expected_s)
        self._unused.difference_update([kind for kind in self._unused if labels <= kind])
        return not labels <= self.required

    def resize(self, slots: Mapping[Labels, int], now: float) -> None:
        """Have as many slots of each kind as the lab has; `slots`: how many have these labels."""
        self.required = frozenset().union(*(queue.labels for queue in self.queues.values()))
        counts = Counter[Labels]()
        for labels, count in slots.items():
            counts[labels & self.required] += count
        self._able.clear()
        self._unused.clear()
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

    def compare(self, expected_s: float, ran_s: float, waiting: Container[str], now: float) -> None:
        """A test took `ran_s` of which `expected_s` were expected; `waiting`: the ids of the jobs that wait.

        Where it shows that the tests so far were misjudged FCFS begins anew, with what waits now.
        """
        if not self.lengths.add(expected_s, ran_s):
            return
        for queue in self.queues.values():
            queue.restart(waiting)
        for kind, alike in self.slots.items():
            self.slots[kind] = [(min(free_at, now), number, group) for free_at, number, group in alike]
            heapify(self.slots[kind])
        self._unused.clear()

    def take_back(self, is_kept_back: Callable[[Job], bool]) -> None:
        """Other jobs are kept back than before."""
        for queue in self.queues.values():
            queue.take_back(is_kept_back)
        self._unused.clear()

    def advance(
        self,
        now: float,
        install_s: Callable[[str, str], float],
        is_kept_back: Callable[[Job], bool] | None = None,
    ) -> None:
        """Simulate the starts until now; `install_s(org, build)`: expected seconds of an install.

        `is_kept_back`: whether a job may not start now.
        """
        budget = _MAX_STARTS
        for kind, alike in self.slots.items():
            if kind in self._unused:
                continue
            while alike[0][0] <= now and budget:
                queue, level = self._next_queue(kind)
                if queue is None:
                    self._unused.add(kind)
                    break
                budget -= 1
                job = next(iter(queue.jobs[level]))
                group = job.group
                if is_kept_back is not None and is_kept_back(job):
                    queue.set_aside(level)
                    continue
                free_at, number, installed = alike[0]
                needs_install = installed is None or installed[1:] != group[1:]
                install = install_s(group.org_id, group.app_version_id) if needs_install else 0.0
                idle_s = max(0.0, job.arrived_at - free_at)
                starts_at = max(free_at, job.arrived_at) + install
                ends_at = starts_at + queue.start(level, install, starts_at, idle_s)
                heapreplace(alike, (ends_at, number, group))

    def _next_queue(self, kind: Labels) -> tuple[FcfsQueue | None, int]:
        """The queue and level of the next job that a slot of these labels takes; None when there is none."""
        able = self._able.get(kind)
        if able is None:
            able = self._able[kind] = [queue for queue in self.queues.values() if queue.labels <= kind]
        for level in range(3):
            oldest: FcfsQueue | None = None
            oldest_at = 0.0
            for queue in able:
                if not queue.jobs[level]:
                    continue
                arrived_at = next(iter(queue.jobs[level])).arrived_at
                if oldest is None or arrived_at < oldest_at:
                    oldest, oldest_at = queue, arrived_at
            if oldest is not None:
                return oldest, level
        return None, 0
