"""Queries (`qg.query`) and their answers: jobs, runs, the overview, agents, health."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from bus_schemas.agents import GroupRef, Heartbeat
from bus_schemas.base import Answer, Count, Id, Label, Message, Model, SlotName, Text, Timestamp
from bus_schemas.events import Attempt
from bus_schemas.holds import BuildHold, SlotHold
from bus_schemas.jobs import title_of

JobState = Literal[
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
]
RunState = Literal["queued", "running", "passed", "failed", "errored", "cancelled"]


class JobView(Model):
    """A job as users see it."""

    job_id: Id
    run_id: Id
    org_id: Id
    app_version_id: Id
    test: str
    tests: tuple[str, ...] = ()
    """The files of a shard."""
    variant: str | None = None
    """What tells it from other jobs of this test in its run."""
    position: int = 0
    state: JobState
    priority: int
    target: Label | None = None
    requires: tuple[Label, ...] = ()
    runner: Id
    created_at: Timestamp
    queued_at: Timestamp | None = None
    updated_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    flaky: bool = False
    """Passed, but only after a failure."""
    reason: Id | None = None
    message: Text | None = None
    attempts: tuple[Attempt, ...] = ()

    @property
    def title(self) -> str:
        """The test, and what tells the job from others of it in its run."""
        return title_of(self.test, self.tests, self.variant)


META_FOLDER: Final = "folder"
"""In a run's `meta`: where its bundle's root lies in its repository, if not at the top."""


class RunView(Model):
    """A run as users see it."""

    run_id: Id
    org_id: Id
    name: Text | None = None
    state: RunState
    size: int
    counts: dict[str, int] = Field(default_factory=dict)
    created_at: Timestamp | None = None
    meta: dict[str, Text] = Field(default_factory=dict)
    """What its submitter said of it: branch, commit, whatever `--meta` gave."""
    jobs: tuple[JobView, ...] = ()


class GetQuery(Message):
    """One job or one run by its id (`qg.query.get.<org>`); jobs of a run come in pages."""

    id: Id
    offset: Count = 0
    limit: Annotated[int, Field(ge=0, le=1000)] = 500


class GetAnswer(Answer):
    """A job, or a run with a page of its jobs."""

    job: JobView | None = None
    run: RunView | None = None
    more: bool = False
    """Whether jobs of the run follow behind this page, which may be shorter than asked for."""
    as_of: Annotated[int, Field(ge=0)] | None = None
    """Every event of `QG_EVENTS` up to this place is contained."""


class ListQuery(Message):
    """Jobs, newest first (`qg.query.list.<org>`)."""

    state: JobState | None = None
    org_id: Id | None = None
    app_version_id: Id | None = None
    run_id: Id | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    offset: Count = 0


class ListAnswer(Answer):
    """A page of jobs."""

    jobs: tuple[JobView, ...] = ()
    total: int | None = None
    more: bool = False
    """Whether jobs follow behind this page, which may be shorter than asked for."""
    as_of: Annotated[int, Field(ge=0)] | None = None
    """Every event of `QG_EVENTS` up to this place is contained."""


class GroupView(Model):
    """A group with what waits and works in it."""

    group: GroupRef
    waiting: int = 0
    released: int = 0
    running: int = 0
    slots: tuple[SlotName, ...] = ()
    """`agent/slot` names bound to it."""
    oldest_wait_s: float | None = None
    installs: int = 0
    expected_end: Timestamp | None = None
    """When its slots are about to be through with all of it; None while none works on it."""

    @property
    def waiting_jobs(self) -> int:
        """How many of its jobs wait: in the queue, and at the slots that they were released to."""
        return self.waiting + max(0, self.released - self.running)


class PauseView(Model):
    """Something that is paused: an organisation, a capability, both, or without either the whole queue."""

    org_id: Id | None = None
    capability: Id | None = None
    by: Id
    at: Timestamp
    note: Text | None = None


class OrgView(Model):
    """An organisation for which a limit or a weight was set."""

    org_id: Id
    max_running: int | None = None
    weight: float | None = None
    running: int = 0
    """How many of its jobs are released or running."""


class LeaderView(Model):
    """The leader."""

    replica: Id
    epoch: int
    since: Timestamp


class Overview(Answer):
    """The whole at a glance: `qg.query.overview`, and live on `qg.live.overview` when it changed."""

    at: Timestamp
    leader: LeaderView | None = None
    depths: dict[str, int] = Field(default_factory=dict)
    waiting: int = 0
    delayed: int = 0
    running: int = 0
    slots_idle: int = 0
    slots_busy: int = 0
    installs: int = 0
    installs_avoided: int = 0
    ended: dict[str, int] = Field(default_factory=dict)
    """Jobs whose end was seen in this reign, by state; an attempt that is tried again is no end."""
    dead_letters: int = 0
    oldest_wait_s: float | None = None
    groups: tuple[GroupView, ...] = ()
    """The groups with most to do, at most 200."""
    groups_total: int = 0
    slots_held: int = 0
    """How many slots take nothing: paused, draining, reserved, in quarantine, or not in order."""
    holds: tuple[SlotHold, ...] = ()
    """What operators or the scheduler keep from work, at most 200."""
    builds_held: tuple[BuildHold, ...] = ()
    """Builds of which nothing starts for now, at most 200."""
    held: int = 0
    """How many of the waiting jobs a pause or a limit keeps from starting."""
    most_groups: int | None = None
    """Of how many groups jobs may be out at once, where the server has no room for more."""
    groups_held: int = 0
    """How many groups wait for that room."""
    pauses: tuple[PauseView, ...] = ()
    orgs: tuple[OrgView, ...] = ()


class AgentsAnswer(Answer):
    """Every agent that is alive (`qg.query.agents.<org>`)."""

    agents: tuple[Heartbeat, ...] = ()
    holds: tuple[SlotHold, ...] = ()
    """What is held, slots of agents that are not connected included."""


class CheckView(Model):
    """One part of the system's health."""

    name: Id
    ok: bool
    detail: Text


class ClockView(Model):
    """How far a clock goes ahead of the server's, in seconds (negative: it is late)."""

    name: Id
    ahead_s: float
    bound_s: float
    """By how much that may be wrong: what a message needs to travel."""


class StorageView(Model):
    """What JetStream keeps on disk for this account, in bytes."""

    used: int
    limit: int | None = None
    """None: as much as the server's disk takes."""


class HealthAnswer(Answer):
    """The system's health (`qg.query.health.<org>`), and facts for `qgjob doctor`."""

    ok: bool
    checks: tuple[CheckView, ...] = ()
    at: Timestamp | None = None
    """By the clock of the scheduler that answers."""
    version: Id | None = None
    """That scheduler's."""
    schema_version: int | None = None
    clocks: tuple[ClockView, ...] = ()
    """Of that scheduler, called `scheduler`, and of the agents that are alive."""
    storage: StorageView | None = None


class Query(Message):
    """A query without parameters."""
