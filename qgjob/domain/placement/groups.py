"""A group's waiting jobs, by age and by length, and the slots that work on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from math import floor, log2
from typing import TYPE_CHECKING, Final

from bus_schemas.jobs import priority_class
from bus_schemas.subjects import PRIORITY_CLASSES

if TYPE_CHECKING:
    from qgjob.domain.placement.index import Index
    from qgjob.domain.placement.model import GroupKey, Job

_PER_OCTAVE: Final = 4
"""Lengths are told apart in steps of a quarter octave (19 %): estimates are no better."""
_LEVELS: Final = tuple(PRIORITY_CLASSES.index(priority_class(number)) for number in range(11))


class Queue:
    """The jobs of one group with one priority number. What has left is cleared when it comes up."""

    __slots__ = ("_ages", "_lengths", "known_s", "unknown", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.unknown = 0
        """How many of them have a test of which nothing is known."""
        self.known_s = 0.0
        """The expected seconds of the others."""
        self._ages: list[Job] = []
        self._lengths: dict[int | None, deque[Job]] = {}

    def push(self, job: Job) -> None:
        """A job waits."""
        heappush(self._ages, job)
        length = None if job.expected_s is None else _length(job.expected_s)
        alike = self._lengths.get(length)
        if alike is None:
            alike = self._lengths[length] = deque()
        alike.append(job)
        self._count(job, 1)

    def remove(self, job: Job) -> None:
        """A job that is gone waits here no more."""
        self._count(job, -1)
        if not self.waiting:
            self.known_s = 0.0
            self._ages.clear()
            self._lengths.clear()
        elif len(self._ages) > 64 and self.waiting * 4 < len(self._ages):
            self._compact()

    def oldest(self) -> Job:
        """The one that waits longest; one must wait."""
        ages = self._ages
        while ages[0].gone:
            heappop(ages)
        return ages[0]

    def by_length(self, mean_s: float, *, longest: bool) -> Job:
        """The oldest of about the longest, or of about the shortest; one must wait.

        `mean_s` is what a test takes of which nothing is known.
        """
        best, best_length = None, 0.0
        for length, jobs in list(self._lengths.items()):
            while jobs and jobs[0].gone:
                jobs.popleft()
            if not jobs:
                del self._lengths[length]
                continue
            worth = _length(mean_s) + 0.5 if length is None else length
            if best is None or (worth > best_length) == longest:
                best, best_length = jobs[0], worth
        return best or self.oldest()

    def by_age(self, count: int) -> list[Job]:
        """Some of the oldest, in turn, as far as they stand near the head."""
        self.oldest()
        return sorted(job for job in self._ages[: 4 * count] if not job.gone)[:count]

    def jobs(self) -> Iterator[Job]:
        """All that wait, in no order."""
        return iter({job.job_id: job for job in self._ages if not job.gone}.values())

    def _count(self, job: Job, by: int) -> None:
        self.waiting += by
        if job.expected_s is None:
            self.unknown += by
        else:
            self.known_s += by * job.expected_s

    def _compact(self) -> None:
        self._ages = [job for job in self._ages if not job.gone]
        heapify(self._ages)
        for length, jobs in list(self._lengths.items()):
            self._lengths[length] = deque(job for job in jobs if not job.gone)


class Group:
    """The waiting and released jobs of a group, and the slots bound to it.

    Only jobs that may start stand here: what is paused, delayed or over a limit is kept elsewhere.
    """

    __slots__ = (
        "busy",
        "ends_s",
        "index",
        "installs",
        "key",
        "labels",
        "levels",
        "number",
        "orphans",
        "out",
        "queues",
        "slots",
        "waiting",
    )

    def __init__(self, key: GroupKey, labels: frozenset[str], index: Index, number: int) -> None:
        self.key = key
        self.labels = labels
        self.index = index
        self.number = number
        """Its place among groups that are alike in all else: those known for longer are first."""
        self.queues: dict[int, Queue] = {}
        """By priority number; none is empty."""
        self.levels = [0, 0, 0]
        """How many jobs wait, by level."""
        self.waiting = 0
        self.out = 0
        self.orphans: set[str] = set()
        """Released jobs whose slot is lost: JetStream gives them to whoever is bound."""
        self.slots: set[str] = set()
        self.busy = 0
        """How many slots hold its jobs now."""
        self.ends_s = 0.0
        """The sum of the times at which those slots are expected to be done."""
        self.installs = 0

    @property
    def capability(self) -> str:
        """The labels that its jobs need, as text."""
        return self.key.capability

    def push(self, job: Job) -> None:
        """A job waits. It may have stood here before; with another priority it must be a new object."""
        job.gone = False
        queue = self.queues.get(job.priority)
        if queue is None:
            queue = self.queues[job.priority] = Queue()
        queue.push(job)
        self.waiting += 1
        self.levels[job.level] += 1
        self.index.changed[self.number] = self

    def remove(self, job: Job) -> None:
        """A job does not wait here any more; its places in the queue are cleared when they come up."""
        job.gone = True
        queue = self.queues[job.priority]
        queue.remove(job)
        if not queue.waiting:
            del self.queues[job.priority]
        self.waiting -= 1
        self.levels[job.level] -= 1
        self.index.changed[self.number] = self

    def hand_over(self, other: Group) -> None:
        """What waits here waits there from now on, where nothing waits yet."""
        other.queues, self.queues = self.queues, {}
        other.levels, self.levels = self.levels, [0, 0, 0]
        other.waiting, self.waiting = self.waiting, 0
        other.index.changed[other.number] = other
        self.index.changed[self.number] = self

    def top_level(self) -> int | None:
        """The most urgent level at which jobs wait; None when none do."""
        high, medium, low = self.levels
        return 0 if high else 1 if medium else 2 if low else None

    def top_queue(self, level: int | None = None) -> Queue | None:
        """The jobs with the most urgent number, of one level or of all."""
        best = max((n for n in self.queues if level is None or level_of(n) == level), default=None)
        return None if best is None else self.queues[best]

    def head(self) -> Job | None:
        """The job whose turn it is: most urgent, then longest waiting."""
        queue = self.top_queue()
        return queue.oldest() if queue else None

    def oldest(self) -> Job | None:
        """The job that waits longest, however urgent it is."""
        return min((queue.oldest() for queue in self.queues.values()), default=None)

    def first(self, count: int) -> list[Job]:
        """The first few jobs in turn, as far as they stand near the head."""
        found: list[Job] = []
        for number in sorted(self.queues, reverse=True):
            found.extend(self.queues[number].by_age(count - len(found)))
            if len(found) >= count:
                break
        return found

    def jobs(self, level: int | None = None) -> Iterator[Job]:
        """All jobs that wait, of one level or of all, in no order."""
        for number, queue in self.queues.items():
            if level is None or level_of(number) == level:
                yield from queue.jobs()

    def work_s(self, mean_s: float, levels: int = 3) -> float:
        """Expected seconds of tests that wait, of the most urgent `levels`; `mean_s` of an unknown one."""
        work = 0.0
        for number, queue in self.queues.items():
            if levels == 3 or level_of(number) < levels:
                work += queue.known_s + queue.unknown * mean_s
        return work

    def running_s(self, now: float) -> float:
        """Expected seconds until the slots that work on it are done, summed."""
        return max(0.0, self.ends_s - self.busy * now)

    def expected_end(self, now: float, mean_s: float) -> float | None:
        """When the slots bound to it are about to be through with all of it; None without any.

        `mean_s` is what a test is expected to take of which nothing is known.
        """
        if not self.slots:
            return None
        return now + (self.work_s(mean_s) + self.running_s(now)) / len(self.slots)

    def works(self, until: float, slots: int) -> None:
        """`slots` more (or, with -1, less) slots work on it, expected to be done then."""
        self.busy += slots
        self.ends_s = self.ends_s + slots * until if self.busy else 0.0


def level_of(priority: int) -> int:
    """0 for high, 1 for medium, 2 for low."""
    return _LEVELS[priority]


def _length(seconds: float) -> int:
    return floor(log2(max(seconds, 1e-3)) * _PER_OCTAVE)
