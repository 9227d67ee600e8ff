"""Messages between agents and the scheduler: slot reports, bindings, cancels, heartbeats."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bus_schemas.base import (
    SCHEMA_VERSION,
    AttemptNumber,
    Count,
    Greeting,
    Id,
    Label,
    Message,
    Model,
    Text,
    Timestamp,
)
from bus_schemas.holds import SlotHold

SlotState = Literal["idle", "busy", "paused", "draining", "quarantined", "reserved", "lost"]


class InstalledBuild(Model):
    """A build that a slot holds, proved by its driver."""

    org_id: Id
    app_version_id: Id
    app_id: Id | None = None
    at: Timestamp | None = None


class GroupRef(Model):
    """A group: jobs of one build of one organisation that need the same labels."""

    capability: Annotated[str, Field(min_length=1, max_length=4096)]
    org_id: Id
    app_version_id: Id


class Hello(Greeting):
    """A new leader asks all slots to report, on `qg.hello`.

    Bindings of earlier epochs are not followed from now on: an old leader that wakes up may send some.
    """

    epoch: int


class SlotNext(Greeting):
    """A slot's report, on `qg.slot.<agent>.<slot>.next`: sent when idle, on `qg.hello`, every 15 s."""

    agent: Id
    slot: Id
    state: SlotState
    driver: Id
    device: Id | None = None
    labels: tuple[Label, ...] = ()
    installed: tuple[InstalledBuild, ...] = ()
    bound: GroupRef | None = None
    job_id: Id | None = None
    attempt: AttemptNumber | None = None
    closed: bool = False
    """It takes nothing more, whatever its state: its agent stops."""
    note: Text | None = None
    """Why it takes nothing, when it is held."""
    hold: SlotHold | None = None
    """What it was told by `HoldOrder`, as it knows it."""
    instance: Id = "-"
    """Tells an agent from one of the same name that ran before: what that one held, this one does not."""
    schema_version: int = SCHEMA_VERSION


class Binding(Message):
    """Which group a slot pulls from until told otherwise, on `qg.agent.<agent>.bind`."""

    agent: Id
    slot: Id
    epoch: int
    group: GroupRef
    consumer: Id
    ack_wait_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
    """How long a lease on a job lasts that is not renewed, in seconds."""


class CancelAttempt(Message):
    """End an attempt now, on `qg.agent.<agent>.cancel`; the chain says `cancelling` already."""

    job_id: Id
    attempt: AttemptNumber
    reason: Text


class DeviceHealth(Model):
    """How a slot's device was when it was last looked at; None for what it does not tell."""

    at: Timestamp
    ok: bool
    battery_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    temperature_c: Annotated[float, Field(ge=-100, le=300)] | None = None
    free_mib: Count | None = None


class SlotStatus(Model):
    """A slot as its agent's heartbeat shows it."""

    name: Id
    driver: Id
    device: Id | None = None
    state: SlotState
    labels: tuple[Label, ...] = ()
    installed: tuple[InstalledBuild, ...] = ()
    job_id: Id | None = None
    since: Timestamp | None = None
    installs: Count = 0
    jobs_done: Count = 0
    note: Text | None = None
    hold: SlotHold | None = None
    """What keeps it from taking more, when an operator or the scheduler does."""
    health: DeviceHealth | None = None
    """None until its device was looked at once, and from agents that do not say."""


class Heartbeat(Greeting):
    """An agent is alive; kept in the agents' bucket with a TTL, so gone agents disappear."""

    agent: Id
    host: Text
    pid: int
    version: Id
    schema_version: int = SCHEMA_VERSION
    started_at: Timestamp
    at: Timestamp
    state: Literal["up", "draining", "gone"] = "up"
    slots: tuple[SlotStatus, ...] = ()
    runners: tuple[Id, ...] = ()
    """What its jobs may name as their runner, sorted."""
