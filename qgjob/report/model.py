"""The data of a report, and what its formats derive from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bus_schemas.cases import CaseRecord, CaseReport
from bus_schemas.events import FileResult
from bus_schemas.queries import JobView, RunView
from qgjob.domain.lifecycle import FAILURES, TERMINAL

_NAMED: Final = 5

Reports = Mapping[int, CaseReport]
"""What the test reports of a job say, by attempt."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A screenshot to be shown."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run, or a single job, with what is known of it now."""

    title: str
    jobs: Sequence[JobView]
    run: RunView | None = None
    at: float = 0.0
    """When it was looked at, seconds since 1970."""
    cases: Mapping[str, Sequence[CaseRecord]] = field(default_factory=dict[str, Sequence[CaseRecord]])
    """By job, of its last attempt."""
    reports: Mapping[str, Reports] | None = None
    """By job, of all attempts; None where they were not asked for."""
    unread: str = ""
    """Why some of these are not there, as a sentence without its full stop."""
    logs: Mapping[str, str] = field(default_factory=dict[str, str])
    """The end of the output, by job."""
    pictures: Mapping[str, Sequence[Picture]] = field(default_factory=dict[str, Sequence[Picture]])
    attachments: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """Paths of downloaded files by job."""

    @property
    def counts(self) -> Counter[str]:
        """Jobs by state."""
        return Counter(job.state for job in self.jobs)

    @property
    def open(self) -> int:
        """How many jobs have not ended."""
        missing = self.run.size - len(self.jobs) if self.run else 0
        return max(0, missing) + sum(job.state not in TERMINAL for job in self.jobs)

    @property
    def missing(self) -> str:
        """Which jobs of a run that is not over have not ended, as a sentence without its full stop."""
        size = self.run.size if self.run else len(self.jobs)
        waited = [job for job in self.jobs if job.state not in TERMINAL]
        named = ", ".join(f"{job.title} ({job.state})" for job in waited[:_NAMED])
        more = self.open - min(len(waited), _NAMED)
        others = f" and {more} more" if more and named else ""
        return f"{self.open} of {size} jobs have not ended" + (f": {named}{others}" if named else "")

    @property
    def flaky(self) -> int:
        """How many passed after a failure."""
        return sum(job.flaky for job in self.jobs)

    @property
    def verdict(self) -> str:
        """The verdict on the whole, in a word."""
        if self.open:
            return "not over"
        if self.run is not None:
            return self.run.state
        return self.jobs[0].state if self.jobs else "empty"


def job_seconds(job: JobView) -> float:
    """How long the test of the last attempt ran."""
    return max((job.attempts[-1].duration_s or 0.0) if job.attempts else 0.0, 0.0)


def wait_seconds(job: JobView) -> float | None:
    """From its arrival to the start of its first test; None when that is not known."""
    first = next((a for a in job.attempts if a.started_at is not None), None)
    if first is None or job.queued_at is None:
        return None
    return max(0.0, (first.running_at or first.started_at or 0.0) - job.queued_at)


def file_results(job: JobView) -> dict[str, list[tuple[int, FileResult]]]:
    """Of a shard, the results of each file by attempt number, the latest attempt first.

    Only files that a report told of are in it; of a job that is no shard there are none.
    """
    results: dict[str, list[tuple[int, FileResult]]] = {}
    if job.tests:
        for attempt in reversed(job.attempts):
            for result in attempt.files:
                results.setdefault(result.file, []).append((attempt.number, result))
    return results


def failure_reason(job: JobView) -> str:
    """Why a job did not pass, in one line: its message, else its reason, exit code or state."""
    last = job.attempts[-1] if job.attempts else None
    for text in (job.message, last.message if last else None, job.reason, last.reason if last else None):
        if text:
            return " ".join(text.split())
    if last is not None and last.exit_code is not None:
        return f"exit code {last.exit_code}"
    return job.state


def worst_first(jobs: Sequence[JobView]) -> list[JobView]:
    """Failures first, then what the lab did, then what passed only at last, then the rest, by place."""

    def rank(job: JobView) -> tuple[int, int]:
        if job.state in FAILURES:
            return 0, job.position
        if job.state in TERMINAL and job.state != "passed":
            return 1, job.position
        if job.state not in TERMINAL:
            return 2, job.position
        return (3 if job.flaky else 4), job.position

    return sorted(jobs, key=rank)
