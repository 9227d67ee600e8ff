"""The queue of one capability under first come, first served (FCFS), and how long its tests take."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from qgjob.domain.placement.waits import Waits

if TYPE_CHECKING:
    from qgjob.domain.placement.model import Job

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
_INSTALL_WEIGHT: Final = 0.01
"""The weight of one start in the average of what starts take for an install, at least."""


@dataclass(slots=True, eq=False)
class Lengths:
    """How long the last tests that ended took, and were expected to: means, in seconds.

    With tests that are expected to take much too long FCFS has a queue for ever.
    """

    expected_s: float = 0.0
    ran_s: float = 0.0
    ended: int = 0
    misjudged: bool = False
    """Whether tests take much less than expected altogether, or much longer."""

    def add(self, expected_s: float, ran_s: float) -> bool:
        """A test ended. Returns whether it shows that those so far were misjudged, or are not any more."""
        self.ended += 1
        weight = max(_RECENT_WEIGHT, 1.0 / self.ended)
        self.expected_s += weight * (expected_s - self.expected_s)
        self.ran_s += weight * (ran_s - self.ran_s)
        before, self.misjudged = self.misjudged, self._are_misjudged()
        return self.misjudged != before

    def real_s(self, expected_s: float) -> float:
        """How long tests of so many expected seconds take altogether."""
        return expected_s * self.ran_s / self.expected_s if self.misjudged else expected_s

    def _are_misjudged(self) -> bool:
        times = _RIGHT_AGAIN if self.misjudged else _MISJUDGED
        too_long = self.expected_s > times * self.ran_s
        return self.ended >= _MIN_RAN and (too_long or self.ran_s > times * self.expected_s > 0.0)


@dataclass(slots=True, eq=False)
class FcfsQueue:
    """The jobs of one capability under FCFS: those that would still wait, and the last waits."""

    labels: frozenset[str]
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
    begun: dict[Job, float] = field(default_factory=dict["Job", float])
    """Jobs that started here and have not ended in the lab, and how many seconds their tests were given."""
    ran_s: dict[Job, float] = field(default_factory=dict["Job", float])
    """Jobs that still wait here and have ended in the lab, and what their tests took."""
    owed_s: float = 0.0
    """How much longer the tests of those that started here took than they were given; negative: less long.
    Those that start next make up for it."""

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
        self.ran_s.pop(job, None)
        self.begun.pop(job, None)
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

    def start(self, level: int, install_s: float, starts_at: float, idle_s: float) -> float:
        """The next job of a level starts, after an install if one is needed (0: none). Returns for how long.

        Tests take as long as they turned out to take. What is not known yet is made up for by those that
        start later, unless the slot was idle: then it would only have been so for less or more of `idle_s`.
        """
        job, expected_s = self.jobs[level].popitem(last=False)
        self._reduce_work(level, expected_s)
        self.waits[level].add(starts_at - job.arrived_at)
        weight = max(_INSTALL_WEIGHT, 1.0 / sum(map(len, self.waits)))
        self.install_s += weight * (install_s - self.install_s)
        ran_s = self.ran_s.pop(job, None)
        if ran_s is None:
            ran_s = self.begun[job] = self.lengths.real_s(expected_s)
        owed_s = self.owed_s
        owed_s = max(0.0, owed_s - idle_s) if owed_s > 0.0 else min(0.0, owed_s + idle_s)
        takes_s = max(0.0, ran_s + owed_s)
        self.owed_s = owed_s - (takes_s - ran_s)
        return takes_s

    def end(self, job: Job, ran_s: float | None) -> None:
        """A job has ended in the lab; `ran_s`: what its test took, None when it is not known."""
        given_s = self.begun.pop(job, None)
        if ran_s is None:
            return
        if given_s is not None:
            self.owed_s += ran_s - given_s
        elif job in self.jobs[job.level]:
            self.ran_s[job] = ran_s

    def restart(self, waiting: Container[str]) -> None:
        """Forget the waits so far, and who does not wait any more."""
        self.waits = (Waits(), Waits(), Waits())
        self.begun.clear()
        self.ran_s.clear()
        self.owed_s = 0.0
        for level, jobs in enumerate(self.jobs):
            for job in [job for job in jobs if job.job_id not in waiting]:
                self._reduce_work(level, jobs.pop(job))

    def _reduce_work(self, level: int, expected_s: float) -> None:
        self.work_s[level] = self.work_s[level] - expected_s if self.jobs[level] else 0.0
