"""The life of a job: one table with every step, who makes it and why.

`docs/lifecycle.md` draws its diagram from this table. Here is nothing but names of states, so that a
screen that must be up at once can import it without the schemas.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from bus_schemas.queries import JobState

Mover = Literal["scheduler", "agent", "either"]
Again = Literal["takeover", "retry", "request"]

STATES: Final[tuple[JobState, ...]] = (
    "scheduled",
    "queued",
    "dispatched",
    "preparing",
    "running",
    "passed",
    "failed",
    "errored",
    "timed_out",
    "cancelled",
    "expired",
)
"""Every state, in the order of a life."""


class Step(NamedTuple):
    """One arrow of the diagram."""

    before: JobState | None
    after: JobState
    by: Mover
    why: str
    again: Again | None = None
    """What makes it a step back; all others lead forward within one attempt. A `request` alone, by
    somebody who wants it tried once more, leads away from an end."""


LIFECYCLE: Final[tuple[Step, ...]] = (
    Step(None, "queued", "scheduler", "the run is complete in the backlog"),
    Step(None, "scheduled", "scheduler", "the run is complete, but the job may not start yet"),
    Step(None, "cancelled", "scheduler", "the run never became complete and was refused"),
    Step("scheduled", "queued", "scheduler", "its time has come"),
    Step("scheduled", "cancelled", "scheduler", "cancelled while it waited for its time"),
    Step("scheduled", "expired", "scheduler", "it waited too long"),
    Step("queued", "dispatched", "scheduler", "released to the slots of its group"),
    Step("queued", "cancelled", "scheduler", "cancelled while it waited"),
    Step("queued", "expired", "scheduler", "it waited too long"),
    Step("dispatched", "preparing", "agent", "a slot holds it and fetches or installs"),
    Step("dispatched", "running", "agent", "a slot holds it, nothing has to be installed"),
    Step("dispatched", "cancelled", "scheduler", "cancelled before a slot took it"),
    Step("dispatched", "expired", "scheduler", "no slot took it for too long"),
    Step("dispatched", "errored", "agent", "it cannot be run at all"),
    Step("preparing", "running", "agent", "the build is in place"),
    Step("preparing", "preparing", "agent", "taken over by another slot", "takeover"),
    Step("preparing", "errored", "either", "the install failed or the lab lost it"),
    Step("preparing", "timed_out", "agent", "the install took too long"),
    Step("preparing", "cancelled", "either", "cancelled while it was prepared"),
    Step("preparing", "queued", "scheduler", "retried on another slot", "retry"),
    Step("preparing", "scheduled", "scheduler", "retried after a pause", "retry"),
    Step("running", "passed", "agent", "the test passed"),
    Step("running", "failed", "agent", "the test failed"),
    Step("running", "errored", "either", "the lab failed: device, runner or agent"),
    Step("running", "timed_out", "agent", "the test took too long"),
    Step("running", "cancelled", "either", "cancelled while it ran"),
    Step("running", "preparing", "agent", "taken over by another slot, which has to install", "takeover"),
    Step("running", "running", "agent", "taken over by another slot", "takeover"),
    Step("running", "queued", "scheduler", "retried", "retry"),
    Step("running", "scheduled", "scheduler", "retried after a pause", "retry"),
    Step("dispatched", "queued", "scheduler", "retried on another slot", "retry"),
    Step("dispatched", "scheduled", "scheduler", "retried after a pause", "retry"),
    Step("passed", "queued", "scheduler", "retried by request", "request"),
    Step("failed", "queued", "scheduler", "retried by request", "request"),
    Step("errored", "queued", "scheduler", "retried by request", "request"),
    Step("timed_out", "queued", "scheduler", "retried by request", "request"),
    Step("cancelled", "queued", "scheduler", "retried by request", "request"),
    Step("expired", "queued", "scheduler", "retried by request", "request"),
)

_STEPS: Final = frozenset((step.before, step.after) for step in LIFECYCLE)


def _transitive_closure(steps: Iterable[Step]) -> frozenset[tuple[str | None, str]]:
    """Which state can come after which, by one step or more."""
    pairs = {(step.before, step.after) for step in steps}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return frozenset(pairs)


_FORWARD: Final = _transitive_closure(step for step in LIFECYCLE if step.again is None)
TERMINAL: Final[frozenset[str]] = frozenset(STATES) - {
    step.before for step in LIFECYCLE if step.before and step.again != "request"
}
"""States that no step leaves but by request."""
WAITING: Final[frozenset[str]] = frozenset({"scheduled", "queued"})
HELD: Final[frozenset[str]] = frozenset(STATES) - TERMINAL - WAITING
"""A slot has the job, or is about to."""
NOT_STARTED: Final[frozenset[str]] = WAITING | {"dispatched"}
FAILURES: Final[frozenset[str]] = frozenset({"failed", "timed_out"})
"""The test's own failures, as against the lab's."""
BAD_ENDS: Final[frozenset[str]] = FAILURES | {"errored"}
"""Ends that somebody should look at: the test failed, or the lab did."""
AT_WORK: Final[frozenset[str]] = HELD - NOT_STARTED
"""A slot has begun with the job; what is only released to one still waits there."""


def is_legal(before: JobState | None, after: JobState) -> bool:
    """Whether the table has that step."""
    return (before, after) in _STEPS


def is_forward(before: JobState | None, after: JobState) -> bool:
    """Whether steps lead forward from one state to the other within an attempt.

    Some of them may never be reported: the links of a claim chain are rolled up by its end, and
    scheduler and agents write at the same time. A late event leads nowhere forward.
    """
    return (before, after) in _FORWARD


def waiting_state(not_before: float | None, now: float) -> JobState:
    """The state of a job that waits: `scheduled` as long as its time lies ahead."""
    return "scheduled" if not_before is not None and not_before > now else "queued"


def is_flaky(state: str, earlier: Iterable[str | None]) -> bool:
    """Whether a job passed only after attempts, whose outcomes these are, that failed."""
    return state == "passed" and any(outcome in FAILURES for outcome in earlier)


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {step.before or '[*]'} --> {step.after}: {step.why}" for step in LIFECYCLE]
    lines += [f"    {state} --> [*]" for state in STATES if state in TERMINAL]
    return "\n".join(lines) + "\n"
