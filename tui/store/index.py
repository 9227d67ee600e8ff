"""The ids of the jobs that a filter lets through, in order, kept as jobs change."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tui.store.filter import JobFilter
from tui.store.job import FAILURES, Job
from tui.store.jobs import JobBook

Key = tuple[float | str, float | str, float, str]


def _latest(job: Job) -> Key:
    if job.active or job.ended:
        at = job.ended_at if job.ended else job.started_at
        return (0, -(at or job.since), job.spec.position if job.spec else 0, job.job_id)
    return (1, -job.priority, job.created_at, job.job_id)


def _at_work(job: Job) -> Key:
    if job.active:
        return (0, job.started_at or job.since, 0, job.job_id)
    if job.ended:
        return (2, -(job.ended_at or 0.0), 0, job.job_id)
    return (1, -job.priority, job.created_at, job.job_id)


def _newest(job: Job) -> Key:
    return (-job.created_at, job.spec.position if job.spec else 0, 0, job.job_id)


def _urgent(job: Job) -> Key:
    return (1 if job.ended else 0, -job.priority, job.created_at, job.job_id)


def _trouble(job: Job) -> Key:
    """What somebody should look at first: failures, then what is at work, what waits, what passed."""
    if job.state in FAILURES:
        return (0, -(job.ended_at or 0.0), 0, job.job_id)
    if job.flaky:
        return (1, -(job.ended_at or 0.0), 0, job.job_id)
    if job.active:
        return (2, job.started_at or job.since, 0, job.job_id)
    return (4 if job.ended else 3, job.spec.position if job.spec else 0, 0, job.job_id)


def _test(job: Job) -> Key:
    return (job.test, job.created_at, 0, job.job_id)


def _build(job: Job) -> Key:
    return (job.app_version_id, job.test, 0, job.job_id)


def _longest(job: Job) -> Key:
    facts = job.heard_of(job.attempt)
    took = facts.end.duration_s if facts is not None and facts.end is not None else 0.0
    return (-took, -(job.ended_at or 0.0), 0, job.job_id)


ORDERS: Final[dict[str, Callable[[Job], Key]]] = {
    "latest": _latest,
    "work": _at_work,
    "newest": _newest,
    "priority": _urgent,
    "trouble": _trouble,
    "test": _test,
    "build": _build,
    "longest": _longest,
}
"""How the table may be ordered: last started or ended; longest at work; last submitted; most urgent;
what went wrong; by test; by build; by how long it took."""

_BULK_SHARE: Final = 8


class JobIndex:
    """The rows of the job table. A new filter or order is worked in by `step`, a slice at a time."""

    def __init__(self, book: JobBook, *, within: Callable[[], Iterable[str]] | None = None) -> None:
        self._book = book
        self._within = within or (lambda: book)
        """The jobs that are looked at at all; `filter` must not let through others."""
        self._rows: list[tuple[Key, str]] = []
        self._key_of: dict[str, Key] = {}
        self._todo: list[str] = []
        self._narrowed: list[tuple[Key, str]] = []
        """The rows before, last first, of which a narrower filter lets some through."""
        self._before: tuple[object, ...] = ()
        """What stood there before: to free 100,000 entries takes longer than a letter may."""
        self._found: list[tuple[Key, str]] = []
        self.filter = JobFilter()
        self.order = "latest"

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> str:
        return self._rows[row][1]

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._key_of

    def __iter__(self) -> Iterator[str]:
        return (job_id for _, job_id in self._rows)

    @property
    def complete(self) -> bool:
        """Whether every job was looked at since the last change of filter or order."""
        return not self._todo and not self._narrowed

    def slice(self, start: int, stop: int) -> list[str]:
        """The ids of some rows."""
        return [job_id for _, job_id in self._rows[start:stop]]

    def row_of(self, job_id: str) -> int | None:
        """The row of a job, or None when it is not shown."""
        key = self._key_of.get(job_id)
        if key is None:
            return None
        row = bisect_left(self._rows, (key, job_id))
        return row if row < len(self._rows) and self._rows[row][1] == job_id else None

    def show(self, *, filter: JobFilter | None = None, order: str | None = None) -> None:  # noqa: A002
        """Begin again with another filter or order."""
        narrower = filter is not None and self.complete and not order and filter.narrows(self.filter)
        self.filter = self.filter if filter is None else filter
        self.order = order or self.order
        # Newest known first: what a reader wants on the first page is there after the first slice.
        self._before = (self._rows, self._key_of)
        self._todo, self._narrowed = ([], self._rows) if narrower else (list(self._within()), [])
        self._narrowed.reverse()
        self._rows = []
        self._key_of = {}
        self._found = []

    def step(self, budget: int = 4000) -> bool:
        """Look at some more jobs; returns whether rows were added."""
        if self.complete:
            return False
        before = len(self._rows)
        if self._narrowed:
            self._find(job_id for _, job_id in reversed(self._narrowed[-budget:]))
            del self._narrowed[-budget:]
        else:
            self._find(self._todo[-budget:])
            del self._todo[-budget:]
        if self.complete:
            self._before = ()
        # Merging costs as much as there are rows: so it is done the more rarely, the more there are.
        if self.complete or len(self._found) * 2 > before:
            self._settle()
        return len(self._rows) != before

    def update(self, job_ids: Iterable[str]) -> bool:
        """Let changed jobs come, go or move; returns whether any row moved."""
        key = ORDERS[self.order]
        moved: list[str] = []
        for job_id in job_ids:
            job = self._book.get(job_id)
            new = key(job) if job is not None and self.filter.matches(job) else None
            if new != self._key_of.get(job_id):
                moved.append(job_id)
        if not moved:
            return False
        self._settle()
        if len(moved) * _BULK_SHARE > len(self._rows):
            gone = set(moved)
            self._rows = [row for row in self._rows if row[1] not in gone]
            for job_id in moved:
                self._key_of.pop(job_id, None)
            self._find(moved)
            self._settle()
            return True
        for job_id in moved:
            old = self._key_of.pop(job_id, None)
            if old is not None:
                del self._rows[bisect_left(self._rows, (old, job_id))]
            job = self._book.get(job_id)
            if job is not None and self.filter.matches(job):
                self._key_of[job_id] = new_key = key(job)
                insort(self._rows, (new_key, job_id))
        return True

    def _find(self, job_ids: Iterable[str]) -> None:
        key = ORDERS[self.order]
        matches = self.filter.matcher
        for job_id in job_ids:
            job = self._book.get(job_id)
            if job is None or (matches is not None and not matches(job)) or job_id in self._key_of:
                continue
            self._key_of[job_id] = found = key(job)
            self._found.append((found, job_id))

    def _settle(self) -> None:
        if self._found:
            self._rows += self._found
            self._rows.sort()
            self._found = []
