"""Folds a job's events into its document: the one rule for the store, the client and users' own code.

Pure, in the order of the stream. An event that a document contains already changes nothing, so
whatever is applied twice converges. The end of an attempt carries the whole of it and stands in
place of its chain, so a history whose earlier links were rolled up yields the same document as
the full one. A step that the lifecycle does not have is not taken: a late event never sets
a job back, and a job leaves an end only by the attempt after it, which somebody asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
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
    Reprioritised,
    Retrying,
    Running,
    Started,
)
from bus_schemas.jobs import JobSpec
from bus_schemas.queries import JobState, JobView
from qgjob.domain.lifecycle import TERMINAL, WAITING, is_flaky, is_forward, is_legal, waiting_state

MAX_ATTEMPTS: Final = 256
"""How many attempts of a job are remembered: the most recent."""
UNKNOWN: Final = "unknown"
"""Stands in a view for what only an event said that is gone."""
CANCELLING: Final = "cancelling"
"""The reason shown of a job that somebody cancelled and whose holder has not ended it yet."""


@dataclass(slots=True)
class JobDoc:
    """What the events so far say of a job; times are the stream's, seconds since 1970."""

    job_id: str
    run_id: str
    org_id: str
    app_version_id: str = ""
    test: str = ""
    tests: tuple[str, ...] = ()
    variant: str | None = None
    position: int = 0
    priority: int = 5
    target: str | None = None
    requires: tuple[str, ...] = ()
    runner: str = ""
    created_at: float | None = None
    state: JobState = "queued"
    attempt: int = 1
    """The attempt that the state speaks of."""
    settled: bool = False
    """Whether that attempt's result is recorded: what is said of it afterwards is late."""
    not_before: float | None = None
    queued_at: float | None = None
    updated_at: float | None = None
    ended_at: float | None = None
    flaky: bool = False
    reason: str | None = None
    message: str | None = None
    attempts: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    order: int = 0
    """Place of the job's first event in the stream: lists are ordered by it."""
    seq: int = 0
    """Place of the last event that this document contains."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is expected."""
        return self.state in TERMINAL

    @property
    def begun(self) -> bool:
        """Whether any attempt was ever started on a slot."""
        return has_begun(self.attempts.values())

    def view(self, now: float) -> JobView:
        """The job as users see it at a time."""
        state = self.state
        if state == "scheduled" and self.not_before is not None and self.not_before <= now:
            state = "queued"
        return JobView(
            job_id=self.job_id,
            run_id=self.run_id,
            org_id=self.org_id,
            app_version_id=self.app_version_id or UNKNOWN,
            test=self.test,
            tests=self.tests,
            variant=self.variant,
            position=self.position,
            state=state,
            priority=self.priority,
            target=self.target,
            requires=self.requires,
            runner=self.runner or UNKNOWN,
            created_at=self.created_at or self.queued_at or self.updated_at or 0.0,
            queued_at=self.queued_at,
            updated_at=self.updated_at,
            ended_at=self.ended_at,
            flaky=self.flaky,
            reason=self.reason,
            message=self.message,
            attempts=tuple(attempt for _, attempt in sorted(self.attempts.items())),
        )


def apply(doc: JobDoc | None, event: AnyEvent, seq: int, at: float) -> JobDoc | None:
    """Apply an event that the stream stored at place `seq` and time `at`.

    Returns the document, changed in place or new, or None when the event changes nothing: it is
    contained already, or it speaks of another organisation's or run's job of that name.
    """
    fresh = doc is None
    if doc is None:
        doc = JobDoc(event.job_id, event.run_id, event.org_id, attempt=event.attempt, order=seq)
    elif seq <= doc.seq or event.org_id != doc.org_id or event.run_id != doc.run_id:
        return None
    doc.seq = seq
    doc.updated_at = at
    if isinstance(event, Queued) and doc.queued_at is None:  # a new leader may announce a job again
        _announce(doc, event, seq, at)
    if isinstance(event, Ended):
        _record(doc, event)
    if isinstance(event, Reprioritised):
        doc.priority = event.priority
        return doc
    if doc.state in TERMINAL and not _revives(doc, event):
        return doc
    if event.attempt > doc.attempt and not isinstance(event, Retrying):
        _begin_attempt(doc, event.attempt)
    if isinstance(event, Retrying):
        if event.next_attempt > doc.attempt or fresh:
            _begin_attempt(doc, event.next_attempt)
            _wait(doc, event.not_before, at)
    elif event.attempt == doc.attempt and not doc.settled:
        _step(doc, event, at)
    return doc


def _revives(doc: JobDoc, event: AnyEvent) -> bool:
    """Whether an event speaks of an attempt after the job's end, which only a request can bring about."""
    if isinstance(event, Retrying):
        return event.by is not None and event.next_attempt > doc.attempt
    return event.attempt > doc.attempt


def has_begun(attempts: Iterable[Attempt]) -> bool:
    """Whether any of these attempts was ever started on a slot."""
    return any(a.started_at is not None or a.running_at is not None for a in attempts)


def promote(doc: JobDoc, now: float) -> bool:
    """Let a delayed job wait like the others once its time has come; whether that changed it."""
    if doc.state != "scheduled" or waiting_state(doc.not_before, now) == "scheduled":
        return False
    doc.state = "queued"
    return True


def _step(doc: JobDoc, event: AnyEvent, at: float) -> None:
    """Apply an event of the current attempt."""
    match event:
        case Queued():
            if doc.state in WAITING:
                _wait(doc, event.not_before, at)
        case Released():
            _advance(doc, "dispatched")
        case Started():  # and TakenOver
            _start(doc, event)
        case Preparing() | Running() if event.takeovers < _takeovers(doc, event.attempt):
            pass  # of a holder that lost the attempt
        case Preparing():
            if (_advance(doc, "preparing") or doc.state == "preparing") and doc.reason != CANCELLING:
                doc.message = event.message
        case Running():
            _run(doc, event)
        case Progress():
            doc.message = event.message
        case Cancelling():
            doc.reason = CANCELLING
            doc.message = event.reason
        case Ended():
            _end(doc, event, at)
        case Refused():
            _settle(doc, "cancelled", at, reason="refused", message=event.message)
        case Retrying() | Reprioritised():
            pass  # of the next attempt, or of any: see `apply`


def _takeovers(doc: JobDoc, attempt: int) -> int:
    known = doc.attempts.get(attempt)
    return known.takeovers if known else 0


def _advance(doc: JobDoc, state: JobState) -> bool:
    """Advance the state, unless the job is further already; True when it changed."""
    if not is_forward(doc.state, state):
        return False
    doc.state = state
    return True


def _begin_attempt(doc: JobDoc, number: int) -> None:
    doc.attempt = number
    doc.settled = False
    doc.state = "queued"
    doc.not_before = None
    doc.ended_at = None
    doc.flaky = False
    doc.reason = None
    doc.message = None


def _wait(doc: JobDoc, not_before: float | None, at: float) -> None:
    doc.not_before = not_before
    doc.state = waiting_state(not_before, at)


def _remember(doc: JobDoc, attempt: Attempt) -> None:
    doc.attempts[attempt.number] = attempt
    if len(doc.attempts) > MAX_ATTEMPTS:
        del doc.attempts[min(doc.attempts)]


def describe(doc: JobDoc, spec: JobSpec) -> None:
    """Fill in the fields of a job's spec."""
    doc.app_version_id = spec.app_version_id
    doc.test = spec.test
    doc.tests = spec.tests
    doc.variant = spec.variant
    doc.position = spec.position
    doc.priority = spec.priority
    doc.target = spec.target
    doc.requires = spec.requires
    doc.runner = spec.runner
    doc.created_at = spec.created_at


def _announce(doc: JobDoc, event: Queued, seq: int, at: float) -> None:
    describe(doc, event.spec)
    doc.queued_at = at
    doc.order = seq


def _start(doc: JobDoc, event: Started) -> None:
    known = doc.attempts.get(event.attempt) or Attempt(number=event.attempt)
    held = known.agent is not None
    if held and event.takeovers < known.takeovers:
        return
    if held and (event.takeovers, event.agent, event.slot) == (known.takeovers, known.agent, known.slot):
        return
    doc.app_version_id = doc.app_version_id or event.app_version_id
    taken_over = held or event.takeovers > 0
    if is_forward(doc.state, event.phase) or (taken_over and is_legal(doc.state, event.phase)):
        doc.state = event.phase
    doc.message = None
    running_at = None if taken_over else known.running_at
    attempt = Attempt(
        number=event.attempt,
        agent=event.agent,
        slot=event.slot,
        device=event.device,
        started_at=event.at,
        running_at=event.at if running_at is None and event.phase == "running" else running_at,
        installed=known.installed and not taken_over,
        install_s=None if taken_over else known.install_s,
        takeovers=event.takeovers,
    )
    _remember(doc, attempt)


def _run(doc: JobDoc, event: Running) -> None:
    if _advance(doc, "running") and doc.reason != CANCELLING:
        doc.message = None  # the message was about the preparation
    known = doc.attempts.get(event.attempt) or Attempt(number=event.attempt)
    changes = {"running_at": event.at, "installed": event.installed, "install_s": event.install_s}
    _remember(doc, known.model_copy(update=changes))


def _record(doc: JobDoc, event: Ended) -> None:
    """Remember the result of an attempt: its first, for the chain lets only one win."""
    doc.app_version_id = doc.app_version_id or event.app_version_id
    known = doc.attempts.get(event.attempt)
    if known is not None and known.outcome is not None:
        return
    result = event.result
    if result.number != event.attempt or result.outcome is None:
        result = result.model_copy(update={"number": event.attempt, "outcome": event.state})
    _remember(doc, result)


def _end(doc: JobDoc, event: Ended, at: float) -> None:
    # The end replaced its whole chain, so it applies in any state of the chain.
    if not event.final:
        doc.settled = True
        doc.state = "queued"  # an event of its retry follows
        doc.not_before = None
        doc.reason = None
        doc.message = None
        return
    _settle(doc, event.state, at, reason=event.result.reason, message=event.result.message)
    doc.flaky = is_flaky(event.state, [a.outcome for n, a in doc.attempts.items() if n < event.attempt])


def _settle(doc: JobDoc, state: JobState, at: float, *, reason: str | None, message: str | None) -> None:
    doc.settled = True
    doc.state = state
    doc.not_before = None
    doc.ended_at = at
    doc.reason = reason
    doc.message = message
