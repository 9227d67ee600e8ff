"""The shadow: an online simulation of first come, first served (FCFS) over the same jobs and estimates.

The policy is measured against it. How long urgent and medium jobs would have waited under FCFS says how much
time there is to wait for a slot that has the build, and which jobs the policy makes wait too long.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING, Final

from qgjob.domain.placement.waits import Waits

if TYPE_CHECKING:
    from qgjob.domain.placement.model import GroupKey, Job

_MAX_STARTS: Final = 256
"""How many starts one `advance` simulates at most: a long pause is made up for little by little."""
_MAX_BACKLOG: Final = 50_000
"""Of each queue: a backlog beyond that is not simulated, its waits tell nothing new."""
_MISJUDGED: Final = 2.0
"""Tests that take less than one in so many of their expected seconds, or more than so many times as long, are
misjudged,"""
_RIGHT_AGAIN: Final = 1.25
"""until it is less than so many times: where it is about the same all the time, nothing changes."""
_MIN_RAN: Final = 20
"""Fewer ends say nothing about that."""
_RECENT_WEIGHT: Final = 0.02
"""The weight of one end in it, at least."""
_LONG_WEIGHT: Final = 0.002
"""The same where tests are not misjudged, but take a little less or more than expected altogether,"""
_PRIOR_ENDS: Final = 100.0
"""which counts as if so many ended before that took as long as expected."""
_INSTALL_WEIGHT: Final = 0.01
"""The weight of one start in the average of what starts take for an install, at least."""

Labels = frozenset[str]


@dataclass(slots=True, eq=False)
class _Means:
    """What the last tests that ended were expected to take, and what they took: means, in seconds."""

    weight: float
    """The weight of one end, at least."""
    expected_s: float = 0.0
    ran_s: float = 0.0
    ended: int = 0

    def add(self, expected_s: float, ran_s: float) -> None:
        """A test ended."""
        self.ended += 1
        weight = max(self.weight, 1.0 / self.ended)
        self.expected_s += weight * (expected_s - self.expected_s)
        self.ran_s += weight * (ran_s - self.ran_s)


@dataclass(slots=True, eq=False)
class Lengths:
    """How long tests take and were expected to.

    A few per cent decide how long a queue is in a busy lab: at a load of 0.95 jobs wait twice as long as at
    0.9. With tests that take too long FCFS has a queue for ever.
    """

    recent: _Means = field(default_factory=lambda: _Means(_RECENT_WEIGHT))
    long: _Means = field(default_factory=lambda: _Means(_LONG_WEIGHT))
    misjudged: bool = False
    """Whether tests take much less than expected altogether, or much longer."""

    def add(self, expected_s: float, ran_s: float) -> bool:
        """A test ended. Returns whether it shows that those so far were misjudged, or are not any more."""
        self.recent.add(expected_s, ran_s)
        self.long.add(expected_s, ran_s)
        before, self.misjudged = self.misjudged, self._are_misjudged()
        if self.misjudged == before:
            return False
        self.long = _Means(_LONG_WEIGHT)
        return True

    def real_s(self, expected_s: float) -> float:
        """How long tests of so many expected seconds take altogether."""
        if self.misjudged:
            return expected_s * self.recent.ran_s / self.recent.expected_s
        long = self.long
        if not long.expected_s:
            return expected_s
        ended = min(long.ended, 1.0 / long.weight)
        ratio = (ended * long.ran_s / long.expected_s + _PRIOR_ENDS) / (ended + _PRIOR_ENDS)
        return expected_s * ratio

    def _are_misjudged(self) -> bool:
        times, last = _RIGHT_AGAIN if self.misjudged else _MISJUDGED, self.recent
        too_long = last.expected_s > times * last.ran_s
        return last.ended >= _MIN_RAN and (too_long or last.ran_s > times * last.expected_s > 0.0)


@dataclass(slots=True, eq=False)
class FcfsQueue:
    """The jobs of one capability under FCFS: those that would still wait, and the last waits."""

    labels: Labels
    lengths: Lengths = field(default_factory=Lengths)
    jobs: tuple[OrderedDict[Job, float], ...] = field(
        default_factory=lambda: (OrderedDict(), OrderedDict(), OrderedDict())
    )
    """By level: the jobs in their order, and the expected seconds of the test of each."""
    waits: tuple[Waits, Waits, Waits] = field(default_factory=lambda: (Waits(), Waits(), Waits()))
    """By level."""

    aside: dict[Job, float] = field(default_factory=dict["Job", float])
    """Those whose turn came while they might not start, until they may. One that starts before that is not
    compared: how long it waits is what people set."""
    work_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    """By level: the expected seconds of the tests that would still wait."""
    install_s: float = 0.0
    """What the last starts took for an install, on average: 0 where the slot had the build."""

    def usual_wait_s(self, level: int, quantile: float, now: float, slots: int) -> float | None:
        """How long a job of a level usually waits: a quantile of the last waits, and of those to come.

        None before any job has arrived. In a backlog no low job starts for hours: what it will have waited by
        then is known all the same.
        """
        usual_s = self.waits[level].quantile(quantile)
        if not self.jobs[level]:
            return usual_s
        return max(usual_s or 0.0, self._coming_wait_s(level, quantile, now, slots))

    def _coming_wait_s(self, level: int, quantile: float, now: float, slots: int) -> float:
        """A quantile of the waits of those in the queue and of the last that started, by the queue alone.

        Whoever is in the queue will wait for those ahead. The waits from the first to the last are taken to
        change evenly; nothing more urgent is expected to arrive.
        """
        jobs = self.jobs[level]
        ahead = sum(len(queue) for queue in self.jobs[: level + 1])
        ahead_s = self.lengths.real_s(sum(self.work_s[: level + 1])) + ahead * self.install_s
        first_s = now - next(iter(jobs)).arrived_at
        last_s = now - next(reversed(jobs)).arrived_at + ahead_s / max(1, slots)
        longer = (1.0 - quantile) * (len(jobs) + len(self.waits[level])) / len(jobs)
        return max(first_s, last_s - (last_s - first_s) * min(1.0, longer))

    def enqueue(self, job: Job, expected_s: float) -> None:
        """A job arrived that may start."""
        jobs = self.jobs[job.level]
        if len(jobs) < _MAX_BACKLOG:
            jobs[job] = expected_s
            self.work_s[job.level] += expected_s

    def withdraw(self, job: Job) -> None:
        """A job will not start, if it would still wait here."""
        expected_s = self.jobs[job.level].pop(job, None)
        if expected_s is not None:
            self._reduce_work(job.level, expected_s)
        else:
            self.withdraw_aside(job)

    def withdraw_aside(self, job: Job) -> bool:
        """A job starts, or will not, if it was set aside. Returns whether it was."""
        return self.aside.pop(job, None) is not None

    def set_aside(self, level: int) -> None:
        """The next job of a level may not start for now: those behind it do not wait for it."""
        job, expected_s = self.jobs[level].popitem(last=False)
        self._reduce_work(level, expected_s)
        if len(self.aside) < _MAX_BACKLOG:
            self.aside[job] = expected_s

    def take_back(self, is_kept_back: Callable[[Job], bool]) -> None:
        """Those set aside that may start by now are the next of their level."""
        for job in [job for job in reversed(self.aside) if not is_kept_back(job)]:
            expected_s = self.jobs[job.level][job] = self.aside.pop(job)
            self.jobs[job.level].move_to_end(job, last=False)
            self.work_s[job.level] += expected_s

    def start(self, level: int, install_s: float, starts_at: float) -> None:
        """The next job of a level starts, after an install if one is needed (0: none)."""
        job, expected_s = self.jobs[level].popitem(last=False)
        self._reduce_work(level, expected_s)
        self.waits[level].add(starts_at - job.arrived_at)
        weight = max(_INSTALL_WEIGHT, 1.0 / sum(map(len, self.waits)))
        self.install_s += weight * (install_s - self.install_s)

    def restart(self, waiting: Container[str]) -> None:
        """Forget the waits so far, and who does not wait any more."""
        self.waits = (Waits(), Waits(), Waits())
        for level, jobs in enumerate(self.jobs):
            for job in [job for job in jobs if job.job_id not in waiting]:
                self._reduce_work(level, jobs.pop(job))

    def _reduce_work(self, level: int, expected_s: float) -> None:
        self.work_s[level] = self.work_s[level] - expected_s if self.jobs[level] else 0.0


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

    def on_ended(self, expected_s: float, ran_s: float, waiting: Container[str], now: float) -> None:
        """A test ended; `waiting`: the ids of the jobs that wait.

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
                job, expected_s = next(iter(queue.jobs[level].items()))
                group = job.group
                if is_kept_back is not None and is_kept_back(job):
                    queue.set_aside(level)
                    continue
                free_at, number, installed = alike[0]
                needs_install = installed is None or installed[1:] != group[1:]
                takes_s = install_s(group.org_id, group.app_version_id) if needs_install else 0.0
                starts_at = max(free_at, job.arrived_at) + takes_s
                queue.start(level, takes_s, starts_at)
                heapreplace(alike, (starts_at + self.lengths.real_s(expected_s), number, group))

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
