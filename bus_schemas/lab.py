"""Holds that operators set and their requests, and the scheduler's records of failing slots and builds."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bus_schemas.base import Answer, Greeting, Id, Message, Model, SlotName, Text, Timestamp
from bus_schemas.holds import SlotHold

HoldVerb = Literal["drain", "pause", "resume", "quarantine", "reserve"]
Seconds = Annotated[float, Field(gt=0, le=366 * 86_400, allow_inf_nan=False)]


class SlotHolds(Message):
    """All holds that operators set, in the bucket `qg_settings`."""

    holds: tuple[SlotHold, ...] = ()


class SlotsRequest(Message):
    """Hold a slot or an agent, or let it work again (`qg.ctl.slots.<org>`)."""

    verb: HoldVerb
    name: SlotName
    by: Id
    note: Text | None = None
    for_s: Seconds | None = None
    """For how long; None: until it is resumed."""


class SlotsAnswer(Answer):
    """What became of a `SlotsRequest`."""

    slots: tuple[SlotName, ...] = ()
    """The slots that it concerns and that are connected; of `resume` those that it lets go."""
    running: dict[str, Id] = Field(default_factory=dict)
    """Jobs that these slots finish first, by slot."""
    hold: SlotHold | None = None
    """What is in force now; None after `resume`."""
    changed: bool = True
    """Whether the request changed anything."""


class HoldOrder(Greeting):
    """The hold that a slot has to follow, on `qg.agent.<agent>.hold`; resent until its report has it."""

    agent: Id
    slot: Id
    epoch: int
    hold: SlotHold | None = None


class BuildResumeRequest(Message):
    """Let the jobs of a build start that the scheduler holds (`qg.ctl.build_resume.<org>`)."""

    org_id: Id
    app_version_id: Id
    by: Id


class SlotTrouble(Model):
    """Infrastructure errors of a slot, one after the other, and its quarantine."""

    slot: SlotName
    jobs: tuple[tuple[Id, Id, Id], ...] = ()
    """(job, organisation, app version) of each error since the slot last ran a test."""
    times: int = 0
    """Quarantines in a row: each is longer."""
    since: Timestamp | None = None
    until: Timestamp | None = None
    why: Text = ""


class BuildTrouble(Model):
    """Slots on which a build met infrastructure errors while it succeeded nowhere, and its hold."""

    org_id: Id
    app_version_id: Id
    slots: tuple[SlotName, ...] = ()
    jobs: tuple[Id, ...] = ()
    """The one that failed last on each of the slots."""
    works: bool = False
    """Whether a test of it ran since."""
    times: int = 0
    since: Timestamp | None = None
    until: Timestamp | None = None
    why: Text = ""


class LabHealth(Message):
    """What the leader knows of black holes and bad builds, in the bucket `qg_settings`."""

    slots: tuple[SlotTrouble, ...] = ()
    builds: tuple[BuildTrouble, ...] = ()
