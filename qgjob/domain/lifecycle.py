"""The life of a job: one table with every step, who makes it and why.

`docs/lifecycle.md` draws its diagram from this table. A step that is not in it raises and
changes nothing.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from bus_schemas.events import END_STATES
from bus_schemas.requests import JobState
from qgjob.errors import IllegalTransitionError

Mover = Literal["scheduler", "agent", "either"]


class Step(NamedTuple):
    """One arrow of the diagram."""

    before: JobState | None
    after: JobState
    by: Mover
    why: str


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
    Step("dispatched", "errored", "agent", "it cannot be run at all"),
    Step("preparing", "running", "agent", "the build is in place"),
    Step("preparing", "preparing", "agent", "taken over by another slot"),
    Step("preparing", "errored", "either", "the install failed or the lab lost it"),
    Step("preparing", "timed_out", "agent", "the install took too long"),
    Step("preparing", "cancelled", "either", "cancelled while it was prepared"),
    Step("preparing", "queued", "scheduler", "tried again on another slot"),
    Step("preparing", "scheduled", "scheduler", "tried again after a pause"),
    Step("running", "passed", "agent", "the test said yes"),
    Step("running", "failed", "agent", "the test said no"),
    Step("running", "errored", "either", "the lab failed: device, runner or agent"),
    Step("running", "timed_out", "agent", "the test took too long"),
    Step("running", "cancelled", "either", "cancelled while it ran"),
    Step("running", "preparing", "agent", "taken over by another slot, which has to install"),
    Step("running", "running", "agent", "taken over by another slot"),
    Step("running", "queued", "scheduler", "tried again"),
    Step("running", "scheduled", "scheduler", "tried again after a pause"),
    Step("dispatched", "queued", "scheduler", "tried again on another slot"),
    Step("dispatched", "scheduled", "scheduler", "tried again after a pause"),
)

_TABLE: Final = {(step.before, step.after): step for step in LIFECYCLE}
TERMINAL: Final[frozenset[str]] = frozenset(END_STATES)
WAITING: Final[frozenset[str]] = frozenset({"scheduled", "queued"})


def advance(before: JobState | None, after: JobState) -> Step:
    """The step from one state to another; raises `IllegalTransitionError` when there is none."""
    step = _TABLE.get((before, after))
    if step is None:
        raise IllegalTransitionError(f"A job does not go from {before or 'nowhere'} to {after}.")
    return step


def is_legal(before: JobState | None, after: JobState) -> bool:
    """Whether the table has that step."""
    return (before, after) in _TABLE


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {step.before or '[*]'} --> {step.after}: {step.why}" for step in LIFECYCLE]
    lines += [f"    {state} --> [*]" for state in END_STATES]
    return "\n".join(lines) + "\n"
