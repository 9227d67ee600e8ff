"""What a lab really did, as a trace: to ask what it would have been with more slots, or other ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bus_schemas.queries import JobView
from qgjob.simulate.trace import TraceJob, by_arrival


def trace_of(jobs: Iterable[JobView]) -> list[TraceJob]:
    """Every attempt that ran its test is a job of the trace, by arrival; the first arrives at 0.

    A retry arrives when the attempt before it ended. Attempts that never got to their test (cancelled,
    install failed) are left out, for nobody knows how long it would have taken. A trace has one label a
    job: the target, or what is required if that is one label.
    """
    trace: list[TraceJob] = []
    for job in jobs:
        arrival = job.queued_at or job.created_at
        for attempt in job.attempts:
            if attempt.duration_s is not None:
                trace.append(
                    TraceJob(
                        arrival_s=arrival,
                        app_version_id=job.app_version_id,
                        test=job.title,
                        duration_s=round(attempt.duration_s, 3),
                        priority=job.priority,
                        target=job.target or (job.requires[0] if len(job.requires) == 1 else None),
                        org_id=job.org_id,
                    )
                )
            arrival = attempt.finished_at or arrival
    begin = min((job.arrival_s for job in trace), default=0.0)
    return by_arrival(replace(job, arrival_s=round(job.arrival_s - begin, 3)) for job in trace)
