"""What an event makes of a job's view: the same for waiting, the dashboard and anybody's own code."""

from __future__ import annotations

from typing import Any, Final

from bus_schemas.events import (
    END_STATES,
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
    TakenOver,
)
from bus_schemas.requests import JobState, JobView

_ORDER: Final[dict[JobState, int]] = {
    "scheduled": 0,
    "queued": 1,
    "dispatched": 2,
    "preparing": 3,
    "running": 4,
}


def new_view(event: Queued) -> JobView:
    """The view of a job that just entered the backlog."""
    spec = event.spec
    return JobView(
        job_id=spec.job_id,
        run_id=spec.run_id,
        org_id=spec.org_id,
        app_version_id=spec.app_version_id,
        test=spec.test,
        position=spec.position,
        state=_waiting(event.not_before, event.at),
        priority=spec.priority,
        target=spec.target,
        requires=spec.requires,
        runner=spec.runner,
        created_at=spec.created_at,
        queued_at=event.at,
        updated_at=event.at,
    )


def apply_event(view: JobView | None, event: AnyEvent) -> JobView | None:
    """The view after an event; None when nothing is known of the job but this.

    Events come in the order of the stream, and may come twice. Scheduler and agents write at the
    same time, so that a release may be told after the start it led to: within an attempt nothing
    steps back but by a takeover, and an ended job stays ended.
    """
    if view is None:
        return new_view(event) if isinstance(event, Queued) else None
    if view.state in END_STATES:
        return view
    match event:
        case Ended():
            return _ended(view, event)
        case Refused():
            return _with(view, event, state="cancelled", message=event.message, ended_at=event.at)
        case Retrying():
            if event.next_attempt <= _latest(view):
                return view
            return _with(view, event, state=_waiting(event.not_before, event.at))
        case Queued():
            return _forward(view, event, _waiting(event.not_before, event.at), queued_at=event.at)
        case Released():
            return _forward(view, event, "dispatched")
        case Started():  # and TakenOver
            return _started(view, event)
        case Preparing():
            return _forward(view, event, "preparing")
        case Running():
            return _running(view, event)
        case Progress() | Cancelling():
            return view


def _waiting(not_before: float | None, at: float) -> JobState:
    return "scheduled" if not_before is not None and not_before > at else "queued"


def _latest(view: JobView) -> int:
    return max((attempt.number for attempt in view.attempts), default=0)


def _finished(view: JobView, number: int) -> bool:
    return any(a.number == number and a.outcome is not None for a in view.attempts)


def _with(view: JobView, event: AnyEvent, **changes: Any) -> JobView:
    at = max(view.updated_at or 0.0, event.at)
    return view.model_copy(update={"updated_at": at, **changes})


def _put(view: JobView, attempt: Attempt) -> tuple[Attempt, ...]:
    others = [a for a in view.attempts if a.number != attempt.number]
    return tuple(sorted([*others, attempt], key=lambda a: a.number))


def _forward(view: JobView, event: AnyEvent, state: JobState, **changes: Any) -> JobView:
    if event.attempt < _latest(view) or _finished(view, event.attempt):
        return view
    retried = event.attempt > _latest(view) > 0
    if not retried and _ORDER.get(state, 0) <= _ORDER.get(view.state, 0):
        return view
    return _with(view, event, state=state, **changes)


def _started(view: JobView, event: Started) -> JobView:
    known = next((a for a in view.attempts if a.number == event.attempt), None)
    if event.attempt < _latest(view) or (known and known.outcome is not None):
        return view
    if known and (event.takeovers, isinstance(event, TakenOver)) < (known.takeovers, known.takeovers > 0):
        return view
    same = known is not None and known.takeovers == event.takeovers and known.agent == event.agent
    if same and _ORDER.get(view.state, 0) > _ORDER[event.phase]:
        return view
    attempt = Attempt(
        number=event.attempt,
        agent=event.agent,
        slot=event.slot,
        device=event.device,
        started_at=event.at,
        takeovers=event.takeovers,
    )
    return _with(view, event, state=event.phase, attempts=_put(view, attempt))


def _running(view: JobView, event: Running) -> JobView:
    known = next((a for a in view.attempts if a.number == event.attempt), None)
    if event.attempt < _latest(view) or (known and known.outcome is not None):
        return view
    attempts = view.attempts
    if known:
        changes = {"running_at": event.at, "installed": event.installed, "install_s": event.install_s}
        attempts = _put(view, known.model_copy(update=changes))
    return _with(view, event, state="running", attempts=attempts)


def _ended(view: JobView, event: Ended) -> JobView:
    result = event.result
    if result.number < _latest(view) and not event.final:
        return _with(view, event, attempts=_put(view, result))
    attempts = _put(view, result)
    if not event.final:
        return _with(view, event, state="queued", attempts=attempts)
    return _with(
        view,
        event,
        state=event.state,
        attempts=attempts,
        ended_at=result.finished_at or event.at,
        reason=result.reason,
        message=result.message,
        flaky=event.state == "passed" and any(a.outcome in {"failed", "timed_out"} for a in attempts),
    )
