"""The events that the placement core takes in, and the effects that follow from them."""

from __future__ import annotations

from typing import NamedTuple

from qgjob.domain.placement.model import Build, GroupKey, Job, Withheld
from qgjob.domain.placement.rules import Rules

# ---- events -----------------------------------------------------------------


class JobArrived(NamedTuple):
    """A job entered the backlog."""

    job: Job


class JobWasReleased(NamedTuple):
    """A job was found released by an earlier leader; `slot` runs it, if that is known."""

    job: Job
    slot: str | None


class JobWithdrawn(NamedTuple):
    """A job left the backlog without a release: cancelled, or refused with its run."""

    job_id: str


class JobReprioritised(NamedTuple):
    """A waiting job has another priority."""

    job_id: str
    priority: int


class RulesChanged(NamedTuple):
    """Operators set pauses, limits or weights."""

    rules: Rules


class SlotWithheld(NamedTuple):
    """Nothing is given to a slot from now on; None: that is over."""

    name: str
    why: Withheld | None


class SlotProbed(NamedTuple):
    """A slot gets one job at a time from now on (`on`), or as many as others again."""

    name: str
    on: bool


class BuildWithheld(NamedTuple):
    """Nothing of a build starts from now on; None: that is over."""

    build: Build
    why: Withheld | None


class GroupsLimited(NamedTuple):
    """Jobs of so many groups may be in flight at once, as the server serves no more; None: of any number."""

    max_groups: int | None
    refused: frozenset[GroupKey] = frozenset()
    """Groups with jobs in flight that no slot can pull yet, for the same reason."""


class GroupsUnbound(NamedTuple):
    """No slot is bound any more to those of these groups that have no job in flight."""

    groups: tuple[GroupKey, ...]


class SlotSeen(NamedTuple):
    """A slot reported itself, with what it really is."""

    name: str
    labels: frozenset[str]
    available: bool
    installed: frozenset[Build]
    bound: GroupKey | None
    job_id: str | None
    instance: str = "-"
    """Of its agent: another one of the same name has nothing of what this one had."""
    attempt: int | None = None
    """Of the job that it runs; None: any."""
    note: str | None = None
    """Why it is not available."""


class SlotLost(NamedTuple):
    """A slot is gone: its agent stopped, or does not report any more."""

    name: str


class JobStarted(NamedTuple):
    """A slot runs a job."""

    job_id: str
    attempt: int
    slot: str


class JobEnded(NamedTuple):
    """An attempt has its result. Durations in seconds; None when that step was not made."""

    job_id: str
    attempt: int
    slot: str | None
    ran_s: float | None
    install_s: float | None
    installed: bool
    good: bool
    """Whether the duration says something about the test (it ran to its end)."""
    files: tuple[tuple[str, float], ...] = ()
    """Of a shard, how long each of its files took."""


def unknown_end(job_id: str, attempt: int) -> JobEnded:
    """An attempt is over, and nothing is known of how."""
    return JobEnded(job_id, attempt, None, None, None, installed=False, good=False)


class Tick(NamedTuple):
    """Time passed."""


Event = (
    JobArrived
    | JobWasReleased
    | JobWithdrawn
    | JobReprioritised
    | RulesChanged
    | SlotSeen
    | SlotLost
    | SlotWithheld
    | SlotProbed
    | BuildWithheld
    | GroupsLimited
    | GroupsUnbound
    | JobStarted
    | JobEnded
    | Tick
)

# ---- effects ----------------------------------------------------------------


class Bind(NamedTuple):
    """Let a slot pull from a group."""

    slot: str
    group: GroupKey


class Release(NamedTuple):
    """Put a job into the work stream, meant for a slot, and say why."""

    job: Job
    slot: str
    because: str


class Expire(NamedTuple):
    """A job waited too long: end it."""

    job: Job


Effect = Bind | Release | Expire
