"""All jobs that the dashboard knows, bounded, and which of them changed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tui.store.job import Job
from tui.store.oldest import Evictable
from tui.store.runs import RunBook
from tui.store.sizes import compacted
from tui.store.today import Today

if TYPE_CHECKING:
    from bus_schemas.events import AnyEvent
    from bus_schemas.queries import JobView

MAX_JOBS: Final = 100_000
_SCAN_SHARE: Final = 20
"""One look over all jobs finds that part of them which ended first."""
_SCAN_BUDGET: Final = 4000


class JobBook:
    """Jobs by id. When there are too many, one is forgotten for each that comes: that which ended first."""

    def __init__(self, max_jobs: int = MAX_JOBS) -> None:
        self._jobs: dict[str, Job] = {}
        self._max = max_jobs
        self._scan_finds = max(1, max_jobs // _SCAN_SHARE)
        self._oldest = Evictable(self._scan_finds)
        """Those to be forgotten next."""
        self._scan_from = max_jobs - self._scan_finds
        """Only with so many jobs is it worth looking for the oldest again."""
        self._removed = 0
        """How many went since the jobs were put into a dict of their own size."""
        self._due: list[tuple[float, str]] = []
        self._snapshot_number = 0
        self._since_gap: set[str] | None = None
        """Those that came since something may have been missed; None: nothing may have been."""
        self.runs = RunBook()
        self.today = Today()
        self.changed: set[str] = set()
        """Ids that changed, came or went since somebody last took them."""
        self.forgotten = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[str]:
        return iter(self._jobs)

    def get(self, job_id: str) -> Job | None:
        """A job, or None."""
        return self._jobs.get(job_id)

    def apply_event(self, event: AnyEvent, seq: int, now: float) -> Job:
        """Take in an event."""
        job = self._jobs.get(event.job_id)
        if job is None:
            job = self._add(Job(event.job_id, event.org_id, event.run_id))
        job.apply_event(event, seq, now)
        if event.kind == "queued":
            name, meta = event.run_name or "", event.run_meta
            self.runs.update(job.run_id, job.org_id, size=event.run_size, name=name, meta=meta)
        self._mark_changed(job)
        return job

    def apply_view(self, view: JobView, now: float) -> bool:
        """Take in a job of a snapshot; returns whether it told anything new.

        What came since a gap is new as well: older ones that fell into the gap may lie behind it.
        """
        job = self._jobs.get(view.job_id)
        new = job is None
        if job is None:
            job = self._add(Job(view.job_id, view.org_id, view.run_id))
        before = (job.state, job.attempt, job.spec is None, job.updated_at)
        job.apply_view(view, now)
        job.snapshot_number = self._snapshot_number
        if new or before != (job.state, job.attempt, job.spec is None, job.updated_at):
            self._mark_changed(job)
            return True
        return self._since_gap is not None and job.job_id in self._since_gap

    def begin_gap(self) -> None:
        """Something may have been missed just now."""
        if self._since_gap is None:
            self._since_gap = set()

    def end_gap(self) -> None:
        """All that was missed has been read."""
        self._since_gap = None

    def begin_snapshot(self) -> None:
        """From here on, `missing_from_snapshot` tells which jobs no snapshot has spoken of."""
        self._snapshot_number += 1

    def missing_from_snapshot(self) -> list[str]:
        """Jobs that have not ended, or of which little is known, and the snapshot left out."""
        return [
            job_id
            for job_id, job in self._jobs.items()
            if (not job.ended or job.spec is None) and job.snapshot_number != self._snapshot_number
        ]

    def drop(self, job_id: str) -> None:
        """Forget a job that nobody knows any more."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            if self._since_gap is not None:
                self._since_gap.discard(job_id)
            self._removed += 1
            self.runs.drop(job)
            self.changed.add(job_id)

    def clear(self) -> None:
        """Forget everything: these are another system's jobs."""
        self.changed.update(self._jobs)
        self._jobs.clear()
        self._since_gap = None if self._since_gap is None else set()
        self._oldest.clear()
        self._scan_from = self._max - self._scan_finds
        self._due.clear()
        self.runs.clear()
        self.today.clear()

    def promote_due(self, now: float) -> None:
        """Let scheduled jobs whose time has come be queued ones, and a new day begin."""
        self._scan_ahead()
        self.today.begin_day(now, self._jobs.values())
        while self._due and self._due[0][0] <= now:
            _, job_id = heapq.heappop(self._due)
            job = self._jobs.get(job_id)
            if job is not None and job.due is not None and job.due <= now:
                job.derive_state(now)
                self.runs.count(job)
                self.changed.add(job_id)

    def take_changed(self) -> set[str]:
        """The ids that changed since the last call."""
        changed, self.changed = self.changed, set()
        return changed

    def _add(self, job: Job) -> Job:
        if len(self._jobs) >= self._max:
            self._evict()
        self._jobs[job.job_id] = job
        if self._since_gap is not None:
            self._since_gap.add(job.job_id)
        return job

    def _mark_changed(self, job: Job) -> None:
        self.changed.add(job.job_id)
        self.runs.count(job)
        self.today.count(job)
        if job.due is not None:
            heapq.heappush(self._due, (job.due, job.job_id))

    def _evict(self) -> None:
        """Forget the job that ended longest ago; those that have not ended stay, however many they are."""
        if not self._oldest and (self._oldest.scanning or len(self._jobs) >= self._scan_from):
            if not self._oldest.scanning:
                self._begin_scan()
            self._scan(len(self._jobs))
        while self._oldest and len(self._jobs) >= self._max:
            job = self._jobs.get(self._oldest.take())
            if job is not None and job.ended:  # it may live again since it was found
                self.drop(job.job_id)
                self.forgotten += 1

    def _scan_ahead(self) -> None:
        """Find those that will be forgotten, some at a time, before there is need of them."""
        if self._oldest.scanning:
            self._scan(_SCAN_BUDGET)
        elif len(self._oldest) < self._scan_finds // 2 and len(self._jobs) >= self._scan_from:
            self._begin_scan()

    def _begin_scan(self) -> None:
        if self._removed * 4 > len(self._jobs):
            self._jobs = compacted(self._jobs)
            self._removed = 0
        self._oldest.begin(self._jobs)

    def _scan(self, budget: int) -> None:
        self._oldest.step(self._jobs, budget)
        if not self._oldest.scanning:
            found = len(self._oldest)
            # Where few have ended, not at every job that comes.
            self._scan_from = max(
                self._max - self._scan_finds, len(self._jobs) + self._scan_finds // 2 - found
            )
