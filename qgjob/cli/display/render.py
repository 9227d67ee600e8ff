"""Jobs, runs and agents as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from bus_schemas.events import Attempt
from bus_schemas.queries import JobView
from qgjob.cli.display.output import Output
from qgjob.clock import rfc3339
from qgjob.domain.durations import show_duration
from qgjob.domain.verdict import counts_of
from qgjob.domain.wording import shorten

_ORDER: Final = (
    "passed",
    "failed",
    "timed_out",
    "errored",
    "cancelled",
    "expired",
    "running",
    "preparing",
    "dispatched",
    "queued",
    "scheduled",
)


def counts_text(counts: Mapping[str, int]) -> str:
    """`3 passed, 1 failed`; states in the order of interest."""
    known = [f"{counts[state]} {state.replace('_', ' ')}" for state in _ORDER if counts.get(state)]
    return ", ".join(known) or "no jobs"


def where(attempt: Attempt | None) -> str:
    """The slot of an attempt."""
    return f"{attempt.agent}/{attempt.slot}" if attempt and attempt.agent else ""


def took(attempt: Attempt | None) -> str:
    """How long the test of an attempt ran."""
    return show_duration(attempt.duration_s) if attempt and attempt.duration_s is not None else ""


def last_attempt(job: JobView) -> Attempt | None:
    """The latest attempt of a job."""
    return job.attempts[-1] if job.attempts else None


def why(job: JobView) -> str:
    """The reason of a job's state in a few words."""
    text = job.message or (job.reason or "").replace("_", " ")
    if job.flaky:
        text = f"flaky: passed in attempt {len(job.attempts)}"
    return shorten(text, 120)


def jobs_table(out: Output, jobs: Iterable[JobView], *, wide: bool = False) -> None:
    """Jobs, one a row; `wide` names the run's properties too, for lists over many runs."""
    rows = list(jobs)
    columns = ["JOB", "STATE", *(["ORG", "VERSION", "PRIO"] if wide else []), "TEST", "SLOT", "TIME", "WHY"]
    out.table(
        columns,
        (
            [
                job.job_id,
                job.state,
                *([job.org_id, job.app_version_id, str(job.priority)] if wide else []),
                job.title,
                where(last_attempt(job)),
                took(last_attempt(job)),
                why(job),
            ]
            for job in rows
        ),
        states="STATE",
    )


def attempts_table(out: Output, attempts: Sequence[Attempt]) -> None:
    """The tries of one job."""
    out.table(
        ["#", "OUTCOME", "SLOT", "STARTED", "INSTALL", "TIME", "EXIT", "WHY"],
        (
            [
                str(attempt.number),
                attempt.outcome or "running",
                where(attempt),
                rfc3339(attempt.started_at) or "",
                show_duration(attempt.install_s or 0.0) if attempt.installed else "",
                took(attempt),
                "" if attempt.exit_code is None else str(attempt.exit_code),
                _why_attempt(attempt),
            ]
            for attempt in attempts
        ),
        states="OUTCOME",
    )


def files_table(out: Output, job: JobView) -> None:
    """The files of a shard, as its last attempt tells of them."""
    results = {file.file: file for file in job.attempts[-1].files} if job.attempts else {}
    rows = ((name, results.get(name)) for name in job.tests)
    out.table(
        ["FILE", "OUTCOME", "TIME"],
        (
            [
                name,
                "" if result is None else "flaky" if result.flaky else result.outcome,
                "" if result is None else show_duration(result.duration_s),
            ]
            for name, result in rows
        ),
        states="OUTCOME",
    )


def _why_attempt(attempt: Attempt) -> str:
    reason = attempt.message or (attempt.reason or "").replace("_", " ")
    times = "" if attempt.takeovers == 1 else f" {attempt.takeovers} times"
    taken_over = f"taken over{times}: whoever ran it was lost" if attempt.takeovers else ""
    return "; ".join(part for part in (reason, taken_over) if part)


def summary(jobs: Sequence[JobView]) -> str:
    """The result of a run, in one line."""
    flaky = sum(job.flaky for job in jobs)
    return counts_text(counts_of(jobs)) + (f" ({flaky} flaky)" if flaky else "")
