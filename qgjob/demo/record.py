"""The record of a demo: its jobs, kept up to date by their events, and how often each of them ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from bus_schemas.events import AnyEvent, Attempt, Ended
from bus_schemas.queries import JobView
from qgjob.client.models import LiveEvent, Submitted
from qgjob.client.watching.fold import apply_event
from qgjob.demo.plan import Push
from qgjob.domain.lifecycle import TERMINAL


class Record:
    """What happened in the demo so far; append-only."""

    def __init__(self, expected_jobs: int) -> None:
        self.expected_jobs = expected_jobs
        self.runs: dict[str, Push] = {}
        """What was submitted, by run, in this order."""
        self.ends: Counter[str] = Counter()
        """Results that count, by job: each must have one."""
        self.complete = True
        """False when events may have been missed, so that `ends` may be too small."""
        self._jobs: dict[str, JobView] = {}
        self._seen: set[int] = set()
        self._early: dict[str, list[AnyEvent]] = {}

    def on_submitted(self, push: Push, submitted: Submitted) -> None:
        """A push was submitted; events of it that came earlier are applied now."""
        self.runs[submitted.run_id] = push
        for job in submitted.jobs:
            self._jobs[job.job_id] = job
            for event in self._early.pop(job.job_id, ()):
                self._fold(event)

    def on_event(self, live: LiveEvent) -> None:
        """Something happened; an event that came before adds nothing."""
        if live.seq in self._seen:
            return
        self._seen.add(live.seq)
        event = live.event
        if isinstance(event, Ended) and event.final:
            self.ends[event.job_id] += 1
        if event.job_id in self._jobs:
            self._fold(event)
        else:
            self._early.setdefault(event.job_id, []).append(event)

    def on_resync(self, views: Iterable[JobView]) -> None:
        """Take in a snapshot of the jobs, since events may have been missed."""
        self.complete = False
        for view in views:
            known = self._jobs.get(view.job_id)
            if known is None or known.state not in TERMINAL:
                self._jobs[view.job_id] = view

    @property
    def jobs(self) -> list[JobView]:
        """All jobs that were submitted, in the order in which they came."""
        return list(self._jobs.values())

    @property
    def ended(self) -> int:
        """How many have ended."""
        return sum(job.state in TERMINAL for job in self._jobs.values())

    @property
    def over(self) -> bool:
        """Whether every push was submitted and every job has ended."""
        return len(self._jobs) == self.expected_jobs and self.ended == self.expected_jobs

    @property
    def installs(self) -> Counter[str]:
        """Installs made, by build."""
        return Counter(version for version, attempt in self.attempts() if attempt.installed)

    def attempts(self) -> list[tuple[str, Attempt]]:
        """Every attempt, with the build it was of."""
        return [(job.app_version_id, attempt) for job in self._jobs.values() for attempt in job.attempts]

    def _fold(self, event: AnyEvent) -> None:
        view = apply_event(self._jobs[event.job_id], event)
        if view is not None:
            self._jobs[event.job_id] = view
