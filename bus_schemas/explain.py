"""Why a job waits, or why it went where it went: `qgjob explain`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bus_schemas.agents import GroupRef
from bus_schemas.base import Answer, Id, Label, Message, Model, SlotName, Text, Timestamp
from bus_schemas.events import EndState
from bus_schemas.queries import JobState

GateKind = Literal["cancelling", "not_before", "paused", "build_held", "org_limit", "run_limit", "no_room"]
"""What keeps a job from starting, whatever slot is free."""
SlotWhyKind = Literal[
    "chosen", "free", "other_work", "kept_free", "busy", "avoided", "held", "out_of_order", "labels"
]
"""Why a slot does not run the job now.

`chosen`: it was released to it, or runs there; `free`: it would, were it not for what keeps the job;
`other_work`: others go first; `kept_free`: it would have to install, and others have the build.
"""


class Gate(Model):
    """Something that keeps the job from starting, whatever slot is free."""

    kind: GateKind
    why: Text
    until: Timestamp | None = None
    """When it opens by itself, if it does."""
    fix: Text | None = None
    """What would open it."""


class SlotsWhy(Model):
    """Slots that do not run the job for the same reason."""

    kind: SlotWhyKind
    why: Text
    count: Annotated[int, Field(ge=1)]
    slots: tuple[SlotName, ...] = ()
    """Some of them."""
    missing: tuple[Label, ...] = ()
    free_at: Timestamp | None = None
    """About when the first of them could take the job."""


class AttemptWhy(Model):
    """Where an attempt went, and why there."""

    number: int
    slot: SlotName | None = None
    because: Text | None = None
    """The placement's own words at the release."""
    outcome: EndState | None = None
    why: Text | None = None
    """Of the outcome."""


class ExplainRequest(Message):
    """Ask why a job is where it is (`qg.ctl.explain.<org>`): only the leader knows."""

    job_id: Id
    """Or a run's: the first of its jobs that waits is meant. Former schedulers know no such job."""


class ExplainAnswer(Answer):
    """Why a job waits, or why it went where it went."""

    job_id: Id | None = None
    state: JobState | None = None
    attempt: int = 1
    summary: Text = ""
    """The answer in one sentence."""
    group: GroupRef | None = None
    priority: int = 5
    waited_s: float | None = None
    ahead: int | None = None
    """Jobs of its group that go before it; None when they are too many to count."""
    group_waiting: int = 0
    class_waiting: int = 0
    """Jobs of its priority class that wait, in all groups, itself included."""
    urgent_waiting: int = 0
    """Jobs of more urgent classes that wait."""
    gates: tuple[Gate, ...] = ()
    slots: tuple[SlotsWhy, ...] = ()
    """All slots of the lab, those with the same reason together; those nearest to running it first."""
    slots_total: int = 0
    starts_at: Timestamp | None = None
    """About when it will start; None when that cannot be told."""
    changes: tuple[Text, ...] = ()
    """What would let it start sooner, the most helpful first."""
    attempts: tuple[AttemptWhy, ...] = ()
