"""What an event makes of a job's document, and of its run's: pure, in the order of the stream.

An event that a document contains already changes nothing, so whatever is applied twice
converges. The end of an attempt carries the whole of it, so a history whose earlier links were
rolled up yields the same document as the full one.
"""

from __future__ import annotations

from typing import Final

from bus_schemas.events import (
    AnyEvent,
    Attempt,
    Cancelling,
    Ended,
    Preparing,
    Progress,
    Queued,
    Refused,
    Released,
    Retrying,
    Running,
    Started,
)
from bus_schemas.jobs import JobMessage
from bus_schemas.requests import JobState
from qgjob.store.documents import JobDoc, RunDoc

MAX_ATTEMPTS: Final = 256
"""How many attempts of a job are remembered: the most recent."""

_RANK: Final[dict[JobState, int]] = {
    "scheduled": 0,
    "queued": 0,
    "dispatched": 1,
    "preparing": 2,
    "running": 3,
}


def apply(doc: JobDoc | None, event: AnyEvent, seq: int, at: float) -> JobDoc | None:
    """Apply an event that the stream stored at place `seq` and time `at`.

    Returns the document, changed in place or new, or None when the event changes nothing: it is
    contained already, or it speaks of another organisation's or run's job of that name.
    """
    if doc is None:
        doc = JobDoc(event.job_id, event.run_id, event.org_id, attempt=event.attempt, order=seq)
        fresh = True
    elif seq <= doc.seq or event.org_id != doc.org_id or event.run_id != doc.run_id:
        return None
    else:
        fresh = False
    doc.seq = seq
    doc.updated_at = at
    if event.attempt > doc.attempt and not isinstance(event, Retrying):
        _begin_attempt(doc, event.attempt)
    current = event.attempt == doc.attempt and not doc.settled
    match event:
        case Queued():
            if doc.queued_at is None:  # a new leader may announce a job again
                _queued(doc, event, seq, at)
            if current and (fresh or _RANK.get(doc.state, 9) == 0):
                _wait(doc, event.not_before, at)
        case Released():
            if current and _RANK.get(doc.state, 9) < 1:
                doc.state = "dispatched"
        case Started():  # and TakenOver
            if current:
                _started(doc, event)
        case Preparing():
            if current:
                _forward(doc, "preparing")
                doc.message = event.message or doc.message
        case Running():
            if current:
                _running(doc, event)
        case Progress():
            if current:
                doc.message = event.message
        case Cancelling():
            if current:
                doc.reason = "cancelling"
                doc.message = event.reason
        case Retrying():
            if event.next_attempt > doc.attempt or fresh:
                _begin_attempt(doc, event.next_attempt)
                _wait(doc, event.not_before, at)
        case Ended():
            _ended(doc, event, at)
        case Refused():
            if current:
                doc.state = "cancelled"
                doc.settled = True
                doc.ended_at = at
                doc.reason = "refused"
                doc.message = event.message
    return doc


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
    return run


def waiting_job(message: JobMessage, at: float) -> JobDoc:
    """The document of a job that no event told of yet, from its message in the backlog."""
    spec = message.spec
    queued = Queued(
        org_id=spec.org_id,
        run_id=spec.run_id,
        job_id=spec.job_id,
        attempt=message.attempt,
        at=at,
        spec=spec,
        not_before=message.not_before,
    )
    doc = JobDoc(spec.job_id, spec.run_id, spec.org_id, attempt=message.attempt)
    apply(doc, queued, 1, at)
    doc.seq = doc.order = 0
    return doc


def promote(doc: JobDoc, now: float) -> bool:
    """Let a delayed job wait like the others once its time has come; whether that changed it."""
    if doc.state != "scheduled" or (doc.not_before is not None and doc.not_before > now):
        return False
    doc.state = "queued"
    return True


def _begin_attempt(doc: JobDoc, number: int) -> None:
    doc.attempt = number
    doc.settled = False
    doc.state = "queued"
    doc.not_before = None
    doc.ended_at = None
    doc.reason = None
    doc.message = None
    doc.flaky = False


def _wait(doc: JobDoc, not_before: float | None, at: float) -> None:
    doc.not_before = not_before
    doc.state = "scheduled" if not_before is not None and not_before > at else "queued"


def _forward(doc: JobDoc, state: JobState) -> None:
    if _RANK.get(doc.state, 9) < _RANK[state]:
        doc.state = state


def _remember(doc: JobDoc, attempt: Attempt) -> None:
    doc.attempts[attempt.number] = attempt
    if len(doc.attempts) > MAX_ATTEMPTS:
        del doc.attempts[min(doc.attempts)]


def _queued(doc: JobDoc, event: Queued, seq: int, at: float) -> None:
    spec = event.spec
    doc.app_version_id = spec.app_version_id
    doc.test = spec.test
    doc.position = spec.position
    doc.priority = spec.priority
    doc.target = spec.target
    doc.requires = spec.requires
    doc.runner = spec.runner
    doc.created_at = spec.created_at
    doc.queued_at = at
    doc.order = seq


def _started(doc: JobDoc, event: Started) -> None:
    doc.app_version_id = doc.app_version_id or event.app_version_id
    doc.state = event.phase
    doc.message = None
    attempt = Attempt(
        number=event.attempt,
        agent=event.agent,
        slot=event.slot,
        device=event.device,
        started_at=event.at,
        running_at=event.at if event.phase == "running" else None,
        takeovers=event.takeovers,
    )
    _remember(doc, attempt)


def _running(doc: JobDoc, event: Running) -> None:
    _forward(doc, "running")
    known = doc.attempts.get(event.attempt) or Attempt(number=event.attempt)
    changes = {"running_at": event.at, "installed": event.installed, "install_s": event.install_s}
    _remember(doc, known.model_copy(update=changes))


def _ended(doc: JobDoc, event: Ended, at: float) -> None:
    doc.app_version_id = doc.app_version_id or event.app_version_id
    result = event.result
    if result.number != event.attempt or result.outcome is None:
        result = result.model_copy(update={"number": event.attempt, "outcome": event.state})
    _remember(doc, result)
    if event.attempt < doc.attempt:
        return
    doc.settled = True
    if not event.final:
        doc.state = "queued"  # an event of its retry follows
        doc.not_before = None
        doc.reason = None
        doc.message = None
        return
    doc.state = event.state
    doc.ended_at = at
    doc.reason = result.reason
    doc.message = result.message
    failed_before = any(
        a.outcome in {"failed", "timed_out"} for n, a in doc.attempts.items() if n < event.attempt
    )
    doc.flaky = event.state == "passed" and failed_before
