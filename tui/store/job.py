"""A job as the dashboard knows it, and the state that follows from what was heard of it."""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from qgjob.domain import lifecycle
from qgjob.domain.lifecycle import AT_WORK, HELD, TERMINAL, is_flaky, waiting_state
from tui.store.attempt import RUNNING, AttemptFacts, End, Run, claim_of, end_of, facts_of
from tui.store.spec import Spec, spec_of
from tui.store.today import NOTHING

if TYPE_CHECKING:
    from bus_schemas.events import AnyEvent
    from bus_schemas.queries import JobView

_NO_TIMES: Final[MappingProxyType[int, float]] = MappingProxyType({})
"""What most jobs have of delays; a dict each would be many megabytes."""
_FIRST_ATTEMPT_NOW: Final[MappingProxyType[int, float]] = MappingProxyType({1: 0.0})
"""What an event told of most others: the first attempt may start at once."""

WAITING: Final = 0
DISPATCHED: Final = 1


class Job:
    """Everything heard of one job; the plain fields below `spec` follow from the facts."""

    __slots__ = (
        "agent",
        "attempt",
        "attempts",
        "cancelling",
        "counted_as",
        "counted_today",
        "due",
        "ended_at",
        "flaky",
        "furthest",
        "job_id",
        "latest_priority",
        "not_before",
        "org_id",
        "queued_at",
        "reason",
        "run_id",
        "since",
        "slot",
        "snapshot_not_before",
        "snapshot_number",
        "spec",
        "started_at",
        "state",
        "updated_at",
    )

    def __init__(self, job_id: str, org_id: str, run_id: str) -> None:
        self.job_id = job_id
        self.org_id = intern(org_id)
        self.run_id = intern(run_id)
        self.spec: Spec | None = None
        self.latest_priority: tuple[float, int] = (0.0, 0)
        """When it was heard last of the job's priority, and which it is: it may be changed."""
        self.attempts: tuple[AttemptFacts, ...] = ()
        """By number. Nearly all jobs have one, for which a dict would take four times as much."""
        self.furthest: tuple[int, int] = (1, WAITING)
        """The furthest attempt that waited or was dispatched, and which of the two."""
        self.not_before: Mapping[int, float] = _NO_TIMES
        """Not before when an attempt may start, as events said."""
        self.snapshot_not_before: Mapping[int, float] = _NO_TIMES
        """The same from snapshots, which only say whether the time has come; events know better."""
        self.queued_at: float | None = None
        self.updated_at = 0.0

        self.state = "queued"
        self.attempt = 1
        self.cancelling = False
        self.agent = ""
        self.slot = ""
        self.since = 0.0
        self.started_at: float | None = None
        self.ended_at: float | None = None
        self.reason = ""
        self.flaky = False
        self.counted_as: tuple[str, bool] | None = None
        """As what its run has counted it: the state, and whether it is flaky."""
        self.counted_today = NOTHING
        """As what it counts today."""
        self.snapshot_number = 0
        """The last snapshot that spoke of it."""
        self.due: float | None = None
        """When a scheduled job becomes a queued one."""

    def apply_event(self, event: AnyEvent, seq: int, now: float) -> None:
        """Take in an event; `seq` is its place in the event stream."""
        number = event.attempt
        match event.kind:
            case "queued":
                self._set_spec(spec_of(event.spec))
                self._set_not_before(number, event.not_before or 0.0)
                self.queued_at = event.at if self.queued_at is None else min(self.queued_at, event.at)
            case "released":
                self.furthest = max(self.furthest, (number, DISPATCHED))
            case "started" | "taken_over":
                self.get_attempt(number).merge_claim(claim_of(event, seq))
            case "preparing":
                self.get_attempt(number).merge_step(seq, event.message or event.step)
            case "progress":
                self.get_attempt(number).merge_step(seq, event.message)
            case "running":
                self.get_attempt(number).merge_run(
                    Run(seq, event.at, event.installed, event.install_s, event.takeovers)
                )
            case "cancelling":
                facts = self.get_attempt(number)
                facts.cancelling = True
                if event.holder is not None:
                    facts.merge_claim(claim_of(event.holder, 0))
            case "ended":
                self.get_attempt(number).merge_end(end_of(event))
            case "reprioritised":
                self.latest_priority = max(self.latest_priority, (event.at, event.priority))
            case "retrying":
                self._set_not_before(event.next_attempt, event.not_before or 0.0)
            case "refused":
                self.get_attempt(number).merge_end(
                    End(final=True, state="cancelled", at=event.at, reason="refused", message=event.message)
                )
        self.updated_at = max(self.updated_at, event.at)
        self.derive_state(now)

    def apply_view(self, view: JobView, now: float) -> None:
        """Take in what a snapshot says."""
        self._set_spec(spec_of(view))
        self.latest_priority = max(self.latest_priority, (view.updated_at or 0.0, view.priority))
        ended = view.state in TERMINAL
        last = max((attempt.number for attempt in view.attempts), default=0)
        for attempt in view.attempts:
            facts = facts_of(
                attempt,
                phase=RUNNING if view.state == "running" else 0,
                final=ended and attempt.number == last,
            )
            self._merge_attempt(facts)
        if ended:
            mine = self.find_attempt(last)
            if mine is None or mine.end is None:
                at = view.ended_at or view.updated_at or view.created_at
                end = End(
                    final=True, state=view.state, at=at, reason=view.reason or "", message=view.message or ""
                )
                self.get_attempt(max(last, 1)).merge_end(end)
        else:
            over = any(a.number == last and a.outcome is not None for a in view.attempts)
            current = last + 1 if over else max(last, 1)
            if view.state == "dispatched":
                self.furthest = max(self.furthest, (current, DISPATCHED))
            else:
                self.furthest = max(self.furthest, (current, WAITING))
            if view.state == "preparing" and view.message:
                self.get_attempt(current).merge_step(0, view.message)  # any event tells of a later one
            if view.state in lifecycle.WAITING:
                guess = float("inf") if view.state == "scheduled" else 0.0
                guess = min(guess, self.snapshot_not_before.get(current, guess))
                self.snapshot_not_before = {**self.snapshot_not_before, current: guess}
        if view.queued_at is not None:
            self.queued_at = view.queued_at if self.queued_at is None else min(self.queued_at, view.queued_at)
        self.updated_at = max(self.updated_at, view.updated_at or 0.0, view.ended_at or 0.0)
        self.derive_state(now)

    def find_attempt(self, number: int) -> AttemptFacts | None:
        """The facts of an attempt, if anything was heard of it."""
        for facts in reversed(self.attempts):
            if facts.number == number:
                return facts
        return None

    def get_attempt(self, number: int) -> AttemptFacts:
        """The facts of an attempt, made when nothing was heard of it before."""
        found = self.find_attempt(number)
        if found is None:
            found = AttemptFacts(number)
            self.attempts = tuple(sorted((*self.attempts, found), key=lambda facts: facts.number))
        return found

    def derive_state(self, now: float) -> None:
        """Work out the state from the facts; `now` only tells whether a delay is over."""
        # An attempt behind a final end was asked for: the job lives again.
        number = max(self.furthest[0], self.attempts[-1].number if self.attempts else 1)
        facts = self.find_attempt(number)
        self.attempt = number
        self.cancelling = False
        self.due = None
        self.ended_at = None
        self.reason = ""
        if facts is not None and facts.end is not None:
            self.state = facts.end.state if facts.end.final else "queued"
            self.ended_at = facts.end.at if facts.end.final else None
            self.reason = facts.end.reason
            self.since = facts.end.at
        elif facts is not None and (facts.claim is not None or facts.run is not None):
            running = facts.phase == RUNNING
            self.state = "running" if running else "preparing"
            self.since = (facts.running_at if running else None) or facts.started_at or self.updated_at
            self.cancelling = facts.cancelling
        elif self.furthest == (number, DISPATCHED):
            self.state = "dispatched"
            self.since = self.queued_at or self.created_at
        else:
            wait = self.not_before.get(number, self.snapshot_not_before.get(number, 0.0))
            self.state = waiting_state(wait, now)
            self.due = wait if wait > now and wait != float("inf") else None
            self.since = max(self.queued_at or self.created_at, 0.0 if wait > now else wait)
        self.agent = intern(facts.agent) if facts else ""
        self.slot = intern(facts.slot) if facts else ""
        self.started_at = facts.started_at if facts else None
        earlier = (a.end.state for a in self.attempts if a.number < number and a.end is not None)
        self.flaky = is_flaky(self.state, earlier)

    @property
    def created_at(self) -> float:
        """When it was submitted; 0 while that is not known."""
        return self.spec.created_at if self.spec else 0.0

    @property
    def test(self) -> str:
        """The test; empty while that is not known."""
        return self.spec.test if self.spec else ""

    @property
    def title(self) -> str:
        """The test, and what tells the job from others of it in its run; its id while that is not known."""
        return self.spec.title if self.spec else self.job_id

    @property
    def app_version_id(self) -> str:
        """The build; empty while that is not known."""
        return self.spec.app_version_id if self.spec else ""

    @property
    def priority(self) -> int:
        """1 to 10, 10 the most urgent; 0 while that is not known."""
        return self.latest_priority[1] or (self.spec.priority if self.spec else 0)

    @property
    def slot_name(self) -> str:
        """`agent/slot` where the last attempt is or was, or nothing."""
        return f"{self.agent}/{self.slot}" if self.agent else ""

    @property
    def device(self) -> str:
        """The device of the slot where the last attempt is or was, if it is known."""
        facts = self.find_attempt(self.attempt)
        return facts.device if facts is not None else ""

    @property
    def active(self) -> bool:
        """Whether a slot has it, or is about to."""
        return self.state in HELD

    @property
    def at_work(self) -> bool:
        """Whether a slot has begun with it; what is only released to a slot still waits there."""
        return self.state in AT_WORK

    @property
    def ended(self) -> bool:
        """Whether its result is known."""
        return self.state in TERMINAL

    def waited(self, now: float) -> float | None:
        """How long the job waited for its first start, or waits so far, in seconds.

        One that is to be tried again waits since the attempt before has ended.
        """
        begin = self.queued_at or self.created_at
        if not begin:
            return None
        first, before = self.find_attempt(1), self.find_attempt(self.attempt - 1)
        if before is not None and self.state in lifecycle.NOT_STARTED:
            return max(0.0, now - (before.finished_at or begin))
        start = (first.started_at or first.finished_at) if first is not None else None
        if start is None:
            start = self.ended_at if self.ended else now
        return max(0.0, (start or now) - begin)

    def took(self, now: float) -> float | None:
        """How long the last attempt is or was at work, in seconds."""
        facts = self.find_attempt(self.attempt)
        if facts is None:
            return None
        if facts.end is not None and facts.end.duration_s:
            return facts.end.duration_s
        start = facts.running_at or facts.started_at
        if start is None:
            return None
        return max(0.0, (facts.finished_at or now) - start)

    def _set_spec(self, spec: Spec) -> None:
        # A job's spec never changes; should two differ, either order must end alike.
        self.spec = spec if self.spec is None else max(self.spec, spec)

    def _set_not_before(self, number: int, not_before: float) -> None:
        self.furthest = max(self.furthest, (number, WAITING))
        if number == 1 and not not_before and not self.not_before:
            self.not_before = _FIRST_ATTEMPT_NOW
            return
        known = self.not_before.get(number)
        self.not_before = {**self.not_before, number: not_before if known is None else min(known, not_before)}

    def _merge_attempt(self, other: AttemptFacts) -> None:
        mine = self.get_attempt(other.number)
        if other.claim is not None:
            mine.merge_claim(other.claim)
        if other.run is not None:
            mine.merge_run(other.run)
        if other.end is not None:
            mine.merge_end(other.end)
