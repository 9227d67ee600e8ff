"""All jobs that the dashboard knows, bounded, and which of them changed."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from tui.store.installs import Installs
from tui.store.job import Job
from tui.store.runs import RunBook

if TYPE_CHECKING:
    from bus_schemas.events import AnyEvent
    from bus_schemas.requests import JobView

MAX_JOBS: Final = 105_000
_DROP_SHARE: Final = 20


class JobBook:
    """Jobs by id. When there are too many, those that ended longest ago are forgotten."""

    def __init__(self, max_jobs: int = MAX_JOBS) -> None:
        self._jobs: dict[str, Job] = {}
        self._max = max_jobs
        self._due: list[tuple[float, str]] = []
        self._sweep = 0
        self.runs = RunBook()
        self.installs = Installs()
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

    def hear(self, event: AnyEvent, seq: int, now: float) -> Job:
        """Take in an event."""
        job = self._jobs.get(event.job_id)
        if job is None:
            job = self._add(Job(event.job_id, event.org_id, event.run_id))
        job.hear(event, seq, now)
        if event.kind == "queued":
            name, meta = event.run_name or "", event.run_meta
            self.runs.tell(job.run_id, job.org_id, size=event.run_size, name=name, meta=meta)
        self._note(job)
        return job

    def see(self, view: JobView, now: float) -> bool:
        """Take in a job of a snapshot; returns whether it told anything new."""
        job = self._jobs.get(view.job_id)
        new = job is None
        if job is None:
            job = self._add(Job(view.job_id, view.org_id, view.run_id))
        before = (job.state, job.attempt, job.spec is None, job.updated_at)
        job.see(view, now)
        job.swept = self._sweep
        if new or before != (job.state, job.attempt, job.spec is None, job.updated_at):
            self._note(job)
            return True
        return False

    def begin_snapshot(self) -> None:
        """From here on, `unseen` tells which jobs no snapshot has spoken of."""
        self._sweep += 1

    def unseen(self) -> list[str]:
        """Jobs that have not ended, or of which little is known, and the snapshot left out."""
        return [
            job_id
            for job_id, job in self._jobs.items()
            if (not job.ended or job.spec is None) and job.swept != self._sweep
        ]

    def drop(self, job_id: str) -> None:
        """Forget a job that nobody knows any more."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            self.runs.drop(job)
            self.changed.add(job_id)

    def clear(self) -> None:
        """Forget everything: these are another system's jobs."""
        self.changed.update(self._jobs)
        self._jobs.clear()
        self._due.clear()
        self.runs.clear()
        self.installs.clear()

    def wake(self, now: float) -> None:
        """Let scheduled jobs whose time has come be queued ones, and a new day begin."""
        self.installs.begin_day(now, self._jobs.values())
        while self._due and self._due[0][0] <= now:
            _, job_id = heapq.heappop(self._due)
            job = self._jobs.get(job_id)
            if job is not None and job.due is not None and job.due <= now:
                job.settle(now)
                self.runs.count(job)
                self.changed.add(job_id)

    def take_changed(self) -> set[str]:
        """The ids that changed since the last call."""
        changed, self.changed = self.changed, set()
        return changed

    def _add(self, job: Job) -> Job:
        if len(self._jobs) >= self._max:
            self._forget_oldest()
        self._jobs[job.job_id] = job
        return job

    def _note(self, job: Job) -> None:
        self.changed.add(job.job_id)
        self.runs.count(job)
        self.installs.count(job)
        if job.due is not None:
            heapq.heappush(self._due, (job.due, job.job_id))

    def _forget_oldest(self) -> None:
        over = max(1, self._max // _DROP_SHARE)
        ended = heapq.nsmallest(
            over, (job for job in self._jobs.values() if job.ended), key=lambda job: job.ended_at or 0.0
        )
        for job in ended:
            self.drop(job.job_id)
        self.forgotten += len(ended)
