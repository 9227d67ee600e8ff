"""A group's waiting jobs, by age and by length, and the slots that work on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from heapq import heapify, heappop, heappush
from math import floor, log2
from typing import TYPE_CHECKING, Final

from bus_schemas.jobs import priority_class
from bus_schemas.subjects import PRIORITY_CLASSES

if TYPE_CHECKING:
    from qgjob.domain.placement.model import Build, GroupKey, Job

_PER_OCTAVE: Final = 4
"""Lengths are in steps of a quarter octave (19 %): estimates are no better."""
_LEVELS: Final = tuple(PRIORITY_CLASSES.index(priority_class(number)) for number in range(11))
_NUMBERS: Final = tuple(
    tuple(number for number in range(10, -1, -1) if _LEVELS[number] == level) for level in range(3)
)
"""By level: its priority numbers, the most urgent first."""


class Queue:
    """The jobs of one group with one priority number. Jobs that have left are dropped when they come up."""

    __slots__ = ("_ages", "_lengths", "known_s", "unknown", "waiting")

    def __init__(self) -> None:
        self.waiting = 0
        self.unknown = 0
        """How many jobs have no expected duration."""
        self.known_s = 0.0
        """The expected seconds of the others."""
        self._ages: list[Job] = []
        self._lengths: dict[int | None, deque[Job]] = {}

    def push(self, job: Job) -> None:
        """Let a job wait."""
        heappush(self._ages, job)
        length = None if job.expected_s is None else _length(job.expected_s)
        alike = self._lengths.get(length)
        if alike is None:
            alike = self._lengths[length] = deque()
        alike.append(job)
        self._count(job, 1)

    def remove(self, job: Job) -> None:
        """Take out a job that is marked as gone."""
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
        """The oldest of about the longest jobs, or of about the shortest; one must wait.

        `mean_s`: seconds of a job without an expected duration.
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
        """About the oldest `count`, oldest first, as far as they are near the head of the heap."""
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
    """The waiting jobs of a group, its jobs in flight, and the slots bound to it.

    Only jobs that may start wait here: what is blocked, delayed or over a limit is kept elsewhere.
    """

    __slots__ = (
        "_oldest",
        "_work_s",
        "build",
        "busy",
        "capability",
        "changed",
        "ends_s",
        "in_flight",
        "installs",
        "key",
        "labels",
        "levels",
        "number",
        "orphans",
        "queues",
        "slots",
        "waiting",
    )

    def __init__(
        self, key: GroupKey, labels: frozenset[str], changed: dict[int, Group] | None, number: int
    ) -> None:
        self.key = key
        self.capability = key.capability
        """The labels that its jobs need, as text."""
        self.build: Build = key[1:]
        self.labels = labels
        self.changed = changed
        """Where it is noted, by number, that its ranks may be wrong now; None: it is not ranked."""
        self.number = number
        """Ranks it among groups that are alike in all else: those known for longer are first."""
        self.queues: dict[int, Queue] = {}
        """By priority number; none is empty."""
        self.levels = [0, 0, 0]
        """How many jobs wait, by level."""
        self.waiting = 0
        self.in_flight = 0
        """How many of its jobs are released and not ended."""
        self.orphans: set[str] = set()
        """Released jobs whose slot is lost: JetStream gives them to whoever is bound."""
        self.slots: set[str] = set()
        self.busy = 0
        """How many slots hold its jobs now."""
        self.ends_s = 0.0
        """The sum of the times at which those slots are expected to be done."""
        self.installs = 0
        self._oldest: Job | None = None
        """The job that waits longest; None: it has to be looked for."""
        self._work_s: dict[int, tuple[float, float]] = {}
        """By `levels`: what `work_s` returned last, behind the mean with which it did."""

    def push(self, job: Job) -> None:
        """Let a job wait. It may have waited here before; with another priority it must be a new object."""
        job.gone = False
        queue = self.queues.get(job.priority)
        if queue is None:
            queue = self.queues[job.priority] = Queue()
        queue.push(job)
        self.waiting += 1
        self.levels[job.level] += 1
        if self._oldest is not None and job < self._oldest:
            self._oldest = job
        self._mark_changed()

    def remove(self, job: Job) -> None:
        """Take out a job; its entries in the queue are dropped when they come up."""
        job.gone = True
        queue = self.queues[job.priority]
        queue.remove(job)
        if not queue.waiting:
            del self.queues[job.priority]
        self.waiting -= 1
        self.levels[job.level] -= 1
        if job is self._oldest:
            self._oldest = None
        self._mark_changed()

    def move_jobs_to(self, other: Group) -> None:
        """Move the waiting jobs to a group without any."""
        other.queues, self.queues = self.queues, {}
        other.levels, self.levels = self.levels, [0, 0, 0]
        other.waiting, self.waiting = self.waiting, 0
        other._oldest, self._oldest = self._oldest, None
        other._mark_changed()
        self._mark_changed()

    def _mark_changed(self) -> None:
        self._work_s.clear()
        if self.changed is not None:
            self.changed[self.number] = self

    def top_level(self) -> int | None:
        """The most urgent level at which jobs wait; None when none do."""
        return top_level_of(self.levels)

    def top_queue(self, level: int | None = None) -> Queue | None:
        """The jobs with the most urgent number, of one level or of all."""
        if level is None:
            level = self.top_level()
        for number in () if level is None else _NUMBERS[level]:
            if number in self.queues:
                return self.queues[number]
        return None

    def queues_of(self, level: int) -> list[Queue]:
        """The jobs of a level, the most urgent number first."""
        return [self.queues[number] for number in _NUMBERS[level] if number in self.queues]

    def head(self) -> Job | None:
        """The most urgent job, of these the one that waits longest; None when none waits."""
        queue = self.top_queue()
        return queue.oldest() if queue else None

    def oldest(self) -> Job | None:
        """The job that waits longest, however urgent it is; None when none waits."""
        if self._oldest is None:
            self._oldest = min((queue.oldest() for queue in self.queues.values()), default=None)
        return self._oldest

    def first(self, count: int) -> list[Job]:
        """About the first `count` jobs by priority and age, as far as they are near the heads."""
        jobs: list[Job] = []
        for number in sorted(self.queues, reverse=True):
            jobs.extend(self.queues[number].by_age(count - len(jobs)))
            if len(jobs) >= count:
                break
        return jobs

    def jobs(self, level: int | None = None) -> Iterator[Job]:
        """All jobs that wait, of one level or of all, in no order."""
        for number, queue in self.queues.items():
            if level is None or level_of(number) == level:
                yield from queue.jobs()

    def work_s(self, mean_s: float, levels: int = 3) -> float:
        """Expected seconds of the waiting tests of the `levels` most urgent levels.

        `mean_s`: seconds of a job without an expected duration.
        """
        known = self._work_s.get(levels)
        if known is not None and known[0] == mean_s:
            return known[1]
        work = 0.0
        for number, queue in self.queues.items():
            if levels == 3 or level_of(number) < levels:
                work += queue.known_s + queue.unknown * mean_s
        self._work_s[levels] = mean_s, work
        return work

    def running_s(self, now: float) -> float:
        """Expected seconds until the slots that work on it are done, summed."""
        return max(0.0, self.ends_s - self.busy * now)

    def expected_end(self, now: float, mean_s: float) -> float | None:
        """When the slots bound to it are expected to be through with all of it; None without any.

        `mean_s`: seconds of a job without an expected duration.
        """
        if not self.slots:
            return None
        return now + (self.work_s(mean_s) + self.running_s(now)) / len(self.slots)

    def count_worker(self, free_at: float, by: int) -> None:
        """A slot that is expected to be done at `free_at` works on it (`by` 1), or does not any more (-1)."""
        self.busy += by
        self.ends_s = self.ends_s + by * free_at if self.busy else 0.0


class GroupsByOrg(dict["GroupKey", Group]):
    """Groups by key, those of an organisation at hand."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[str, dict[GroupKey, None]] = {}

    def __setitem__(self, key: GroupKey, group: Group) -> None:
        super().__setitem__(key, group)
        self._of.setdefault(key.org_id, {})[key] = None

    def __delitem__(self, key: GroupKey) -> None:
        super().__delitem__(key)
        keys = self._of[key.org_id]
        del keys[key]
        if not keys:
            del self._of[key.org_id]

    def drop(self, key: GroupKey) -> None:
        """Take out a group, if it is here."""
        if key in self:
            del self[key]

    def keys_of(self, org: str | None) -> list[GroupKey]:
        """The keys of an organisation's groups; None: of all."""
        return list(self if org is None else self._of.get(org, ()))


def top_level_of(levels: Sequence[int]) -> int | None:
    """The most urgent level at which jobs wait of those that are counted by level; None when none do."""
    high, medium, low = levels
    return 0 if high else 1 if medium else 2 if low else None


def level_of(priority: int) -> int:
    """0 for high, 1 for medium, 2 for low."""
    return _LEVELS[priority]


def _length(seconds: float) -> int:
    return floor(log2(max(seconds, 1e-3)) * _PER_OCTAVE)
