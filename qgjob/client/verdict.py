"""What the ends of jobs amount to: a run's state, its counts, and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Final

from bus_schemas.events import END_STATES
from bus_schemas.requests import JobState, JobView, RunState
from qgjob.errors import ExitCode

_CODES: Final[dict[JobState, ExitCode]] = {
    "passed": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "timed_out": ExitCode.FAILED,
    "cancelled": ExitCode.CANCELLED,
    "expired": ExitCode.CANCELLED,
    "errored": ExitCode.INFRASTRUCTURE,
}

#: The first of these that applies is a run's code.
_ORDER: Final = (
    ExitCode.INFRASTRUCTURE,
    ExitCode.NO_SLOT,
    ExitCode.FAILED,
    ExitCode.CANCELLED,
    ExitCode.OK,
)

_STARTED: Final[frozenset[JobState]] = frozenset({"preparing", "running", *END_STATES})


def verdict_of(jobs: Iterable[JobView], *, no_slot: Collection[str] = ()) -> ExitCode:
    """The exit code of jobs that have ended; those in `no_slot` were cancelled for want of a slot.

    A job that has not ended counts as none of them.
    """
    codes = {
        ExitCode.NO_SLOT if job.job_id in no_slot and job.state == "cancelled" else _CODES[job.state]
        for job in jobs
        if job.state in _CODES
    }
    return next((code for code in _ORDER if code in codes), ExitCode.OK)


def counts_of(jobs: Iterable[JobView]) -> dict[str, int]:
    """How many jobs are in which state; states without jobs are left out."""
    return dict(Counter(job.state for job in jobs))


def run_state_of(jobs: Collection[JobView]) -> RunState:
    """The state of a run with these jobs: how it ended once all have, by the order of the exit codes."""
    if not all(job.state in END_STATES for job in jobs):
        return "running" if any(job.state in _STARTED for job in jobs) else "queued"
    match verdict_of(jobs):
        case ExitCode.INFRASTRUCTURE:
            return "errored"
        case ExitCode.FAILED:
            return "failed"
        case ExitCode.CANCELLED:
            return "cancelled"
        case _:
            return "passed"
