"""The ids of the jobs that a filter lets through, in order, kept as jobs change."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Final

from tui.store.filter import JobFilter
from tui.store.job import Job
from tui.store.jobs import JobBook
from tui.store.orders import ORDERS, Key
from tui.store.sizes import compacted

_BULK_SHARE: Final = 8

Row = tuple[Key, str]


class JobIndex:
    """The rows of the job table. A new filter or order is worked in by `step`, a slice at a time.

    All jobs are kept in order, those that the filter lets through beside them: another filter needs
    neither keys nor sorting, and its first rows are the right ones from the first slice on.
    """

    def __init__(self, book: JobBook, *, run_id: str | None = None) -> None:
        self._book = book
        self._run_id = run_id
        """Jobs of other runs are not looked at."""
        self._all: list[Row] = []
        self._key_of: dict[str, Key] = {}
        self._removed = 0
        """How many ids went since the keys were put into a dict of their own size."""
        self._rows: list[Row] = self._all
        """Those that the filter lets through; without one, the list of all itself."""
        self._unsorted: list[str] = []
        """Jobs that have not been put in order yet, those to be looked at first at the end."""
        self._unmerged: list[Row] = []
        """Rows that have not been merged into the others yet."""
        self._unfiltered: list[Row] = []
        """Rows in order, of which those from `_seen` on have not been through the filter yet."""
        self._filtered_until = 0
        self._retired: tuple[object, ...] = ()
        """What stood there before: to free 100,000 entries takes longer than a key may."""
        self.filter = JobFilter()
        self.order = "latest"

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> str:
        return self._rows[row][1]

    def __contains__(self, job_id: str) -> bool:
        return self.row_of(job_id) is not None

    def __iter__(self) -> Iterator[str]:
        return (job_id for _, job_id in self._rows)

    @property
    def complete(self) -> bool:
        """Whether every job was looked at since the last change of filter or order."""
        return not self._unsorted and not self._unfiltered

    def row_of(self, job_id: str) -> int | None:
        """The row of a job, or None when it is not shown."""
        key = self._key_of.get(job_id)
        return None if key is None else _position(self._rows, (key, job_id))

    def show(self, *, filter: JobFilter | None = None, order: str | None = None) -> None:  # noqa: A002
        """Begin again: with another filter, another order, or from what is known now."""
        narrower = filter is not None and self.complete and filter.narrows(self.filter)
        anew = filter is None or order is not None or bool(self._unsorted)
        self.filter = self.filter if filter is None else filter
        self.order = order or self.order
        if anew:
            self._retired = (self._all, self._key_of)
            self._unsorted = self._job_ids()
            self._all, self._key_of, self._removed = [], {}, 0
            self._unmerged = []
            self._restart_filter([])
        else:
            self._restart_filter(self._rows if narrower else self._all)

    def step(self, budget: int = 4000) -> bool:
        """Look at some more jobs; returns whether rows were added."""
        if self.complete:
            return False
        before = len(self._rows)
        if self._unsorted:
            some = self._unsorted[-budget:]
            del self._unsorted[-budget:]
            self._add_keys(some)
            # Merging costs as much as there are rows: so it is done the more rarely, the more there are.
            if not self._unsorted or len(self._unmerged) * 2 > len(self._all):
                self._merge_found()
            if not self._unsorted:
                self._retired = ()
        else:
            self._append_matching(self._unfiltered[self._filtered_until : self._filtered_until + budget])
            self._filtered_until += budget
            if self._filtered_until >= len(self._unfiltered):
                self._unfiltered, self._filtered_until = [], 0
        return len(self._rows) != before

    def update(self, job_ids: Iterable[str]) -> bool:
        """Let changed jobs come, go or move; returns whether any row moved."""
        key = ORDERS[self.order]
        self._merge_found()
        moved: list[tuple[str, Key | None]] = []
        changed = False
        for job_id in job_ids:
            job = self._job(job_id)
            new = key(job) if job is not None else None
            old = self._key_of.get(job_id)
            if new != old:
                moved.append((job_id, new))
            elif job is not None and old is not None and self.filter:
                changed |= self._refilter(job, (old, job_id))
        if len(moved) * _BULK_SHARE > len(self._all):
            self._move_many([job_id for job_id, _ in moved])
        else:
            for job_id, new in moved:
                self._move(job_id, new)
        if self._removed * 4 > len(self._all):
            self._key_of = compacted(self._key_of)
            self._removed = 0
        return changed or bool(moved)

    # --- Which jobs ----------------------------------------------------------------------------

    def _job_ids(self) -> list[str]:
        # The newest last, and so first: what a reader wants is there after the first slice.
        if self._run_id is None:
            return list(self._book)
        run = self._book.runs.get(self._run_id)
        return sorted(run.job_ids) if run is not None else []

    def _job(self, job_id: str) -> Job | None:
        job = self._book.get(job_id)
        return None if job is None or self._run_id not in {None, job.run_id} else job

    # --- Filtering -----------------------------------------------------------------------------

    def _restart_filter(self, rows: list[Row]) -> None:
        """Let rows that are in order through the filter, from here on and by slices."""
        if self.filter:
            self._unfiltered, self._filtered_until = rows.copy(), 0
            self._rows = []
        else:
            self._unfiltered, self._filtered_until = [], 0
            self._rows = self._all

    def _append_matching(self, rows: Iterable[Row]) -> None:
        matches = self.filter.matcher
        get = self._book.get
        current = self._key_of.get
        for row in rows:
            job = get(row[1])
            # One that moved meanwhile is in its new place, or will come there.
            if job is not None and current(row[1]) is row[0] and (matches is None or matches(job)):
                self._rows.append(row)

    def _refilter(self, job: Job, row: Row) -> bool:
        """Let a job that stays in its place come or go."""
        if self._not_filtered_yet(row):
            return False  # it will come by
        place = _position(self._rows, row)
        fits = self.filter.matches(job)
        if fits == (place is not None):
            return False
        if place is None:
            insort(self._rows, row)
        else:
            del self._rows[place]
        return True

    def _not_filtered_yet(self, row: Row) -> bool:
        """Whether a place has not been through the filter yet."""
        return self._filtered_until < len(self._unfiltered) and row >= self._unfiltered[self._filtered_until]

    # --- Moving --------------------------------------------------------------------------------

    def _move(self, job_id: str, new: Key | None) -> None:
        old = self._key_of.get(job_id)
        if old is not None:
            _remove(self._all, (old, job_id))
            if self._rows is not self._all:
                _remove(self._rows, (old, job_id))
        if new is None:
            del self._key_of[job_id]
            self._removed += 1
            return
        row = (new, job_id)
        self._key_of[job_id] = new
        insort(self._all, row)
        if self._rows is self._all:
            return
        if self._not_filtered_yet(row):
            insort(self._unfiltered, row, lo=self._filtered_until)
        elif (job := self._book.get(job_id)) is not None and self.filter.matches(job):
            insort(self._rows, row)

    def _move_many(self, job_ids: list[str]) -> None:
        """Sort once instead of moving each."""
        gone = set(job_ids)
        self._all = [row for row in self._all if row[1] not in gone]
        for job_id in job_ids:
            self._key_of.pop(job_id, None)
        self._add_keys(job_ids)
        self._all += self._unmerged
        self._all.sort()
        self._unmerged = []
        self._restart_filter(self._all)
        self._append_matching(self._unfiltered)  # so many changed that this costs little more
        self._unfiltered = []

    def _add_keys(self, job_ids: Iterable[str]) -> None:
        key = ORDERS[self.order]
        for job_id in job_ids:
            job = self._job(job_id)
            if job is not None and job_id not in self._key_of:
                self._key_of[job_id] = found = key(job)
                self._unmerged.append((found, job_id))

    def _merge_found(self) -> None:
        """Merge what was found while jobs are put in order."""
        if not self._unmerged:
            return
        self._all += self._unmerged
        self._all.sort()
        if self._rows is not self._all:
            self._append_matching(self._unmerged)
            self._rows.sort()
        self._unmerged = []


def _position(rows: list[Row], row: Row) -> int | None:
    place = bisect_left(rows, row)
    return place if place < len(rows) and rows[place][1] == row[1] else None


def _remove(rows: list[Row], row: Row) -> None:
    place = _position(rows, row)
    if place is not None:
        del rows[place]
