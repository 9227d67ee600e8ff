"""Applies an event to a run's document, given what `qgjob.domain.history` made of the job's. Pure."""

from __future__ import annotations

from bus_schemas.events import AnyEvent, Queued, about
from bus_schemas.jobs import JobMessage
from bus_schemas.queries import JobState
from qgjob.domain.history import JobDoc, apply
from qgjob.store.documents import RunDoc


def apply_to_run(
    run: RunDoc | None,
    event: AnyEvent,
    seq: int,
    *,
    before: tuple[JobState, bool] | None,
    job: JobDoc,
) -> RunDoc | None:
    """Apply to a run what an event made of one of its jobs.

    `before`: the job's state and whether it had begun, None for a new one; `job`: the document
    afterwards. None when the run is another organisation's.
    """
    if run is None:
        run = RunDoc(event.run_id, event.org_id)
    elif run.org_id != event.org_id:
        return None
    run.seq = seq
    state_before, begun_before = before or (None, False)
    run.count(state_before, job.state)
    run.begun += int(job.begun) - int(begun_before)
    if job.ended_at is not None:
        run.ended_at = max(run.ended_at or 0.0, job.ended_at)
    if isinstance(event, Queued):
        created = event.spec.created_at
        run.created_at = created if run.created_at is None else min(run.created_at, created)
        run.size = max(run.size, event.run_size)
        run.name = event.run_name or run.name
        run.meta = event.run_meta or run.meta
    return run


def waiting_job(message: JobMessage, at: float) -> JobDoc:
    """The document of a job that no event told of yet, from its message in the backlog."""
    spec = message.spec
    queued = Queued(
        **about(spec, message.attempt, at),
        spec=spec,
        not_before=message.not_before,
    )
    doc = JobDoc(spec.job_id, spec.run_id, spec.org_id, attempt=message.attempt)
    apply(doc, queued, 1, at)
    doc.seq = doc.order = 0
    return doc
