"""The orders in which a table can show its jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from qgjob.domain.lifecycle import BAD_ENDS
from tui.store.job import Job

Key = tuple[float | str, float | str, float, str]


def _latest(job: Job) -> Key:
    if job.at_work or job.ended:
        at = job.ended_at if job.ended else job.started_at
        return (0, -(at or job.since), job.spec.position if job.spec else 0, job.job_id)
    return (1 if job.active else 2, -job.priority, job.created_at, job.job_id)


def _at_work(job: Job) -> Key:
    if job.at_work:
        return (0, job.started_at or job.since, 0, job.job_id)
    if job.ended:
        return (3, -(job.ended_at or 0.0), 0, job.job_id)
    return (1 if job.active else 2, -job.priority, job.created_at, job.job_id)


def _newest(job: Job) -> Key:
    return (-job.created_at, job.spec.position if job.spec else 0, 0, job.job_id)


def _urgent(job: Job) -> Key:
    return (1 if job.ended else 0, -job.priority, job.created_at, job.job_id)


def _trouble(job: Job) -> Key:
    """What somebody should look at first: failures, then what is at work, what waits, what passed."""
    if job.state in BAD_ENDS:
        return (0, -(job.ended_at or 0.0), 0, job.job_id)
    if job.flaky:
        return (1, -(job.ended_at or 0.0), 0, job.job_id)
    if job.at_work:
        return (2, job.started_at or job.since, 0, job.job_id)
    rank = 3 if job.active else 5 if job.ended else 4
    return (rank, job.spec.position if job.spec else 0, 0, job.job_id)


def _test(job: Job) -> Key:
    return (job.test, job.created_at, 0, job.job_id)


def _build(job: Job) -> Key:
    return (job.app_version_id, job.test, 0, job.job_id)


def _longest(job: Job) -> Key:
    facts = job.find_attempt(job.attempt)
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
