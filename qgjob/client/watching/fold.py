"""Applies an event to a job's view, by the rules of `qgjob.domain.history`."""

from __future__ import annotations

from typing import Final

from bus_schemas.events import AnyEvent, Queued
from bus_schemas.queries import JobView
from qgjob.domain.history import UNKNOWN, JobDoc, apply
from qgjob.domain.lifecycle import TERMINAL, WAITING

_ANY_TIME: Final = float("-inf")
_ANNOUNCED: Final = (
    "app_version_id",
    "test",
    "variant",
    "position",
    "priority",
    "target",
    "requires",
    "runner",
    "created_at",
    "queued_at",
)


def apply_event(view: JobView | None, event: AnyEvent) -> JobView | None:
    """The view after an event; None for an event of a job that is not known.

    Events come in the order of the stream, and may come twice. An event that says nothing new
    returns the same view.
    """
    if view is None:
        if not isinstance(event, Queued):
            return None
        made = apply(None, event, 1, event.at)
        return None if made is None else made.view(_ANY_TIME)
    doc = _document(view)
    if apply(doc, event, 1, max(event.at, view.updated_at or 0.0)) is None:
        return view
    after = doc.view(_ANY_TIME)
    return view if after == view.model_copy(update={"updated_at": after.updated_at}) else after


def is_announced(view: JobView) -> bool:
    """Whether the job's announcement, with its spec, was seen: a quick test may end before it is stored."""
    return view.runner != UNKNOWN


def with_spec_of(before: JobView, view: JobView) -> JobView:
    """The view, with what only the announcement tells taken from an earlier view of the same job."""
    told = {name: getattr(before, name) for name in _ANNOUNCED}
    return view.model_copy(update=told)


def _document(view: JobView) -> JobDoc:
    """The document of a job, as far as its view tells."""
    attempts = {attempt.number: attempt for attempt in view.attempts}
    number = max(attempts, default=1)
    ended = view.state in TERMINAL
    settled = ended or (number in attempts and attempts[number].outcome is not None)
    if settled and not ended and view.state not in WAITING:  # the next one was released and not started yet
        number, settled = number + 1, False
    return JobDoc(
        job_id=view.job_id,
        run_id=view.run_id,
        org_id=view.org_id,
        app_version_id="" if view.app_version_id == UNKNOWN else view.app_version_id,
        test=view.test,
        tests=view.tests,
        variant=view.variant,
        position=view.position,
        priority=view.priority,
        target=view.target,
        requires=view.requires,
        runner="" if view.runner == UNKNOWN else view.runner,
        created_at=view.created_at,
        state=view.state,
        attempt=number,
        settled=settled,
        queued_at=view.queued_at,
        updated_at=view.updated_at,
        ended_at=view.ended_at,
        flaky=view.flaky,
        reason=view.reason,
        message=view.message,
        attempts=attempts,
    )
