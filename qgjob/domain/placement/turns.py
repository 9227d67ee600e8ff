"""Who goes before a waiting job: of its group, of its run, or of another organisation. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from bus_schemas.jobs import labels_of
from qgjob.domain.durations import show_duration
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import Job, LabState
from qgjob.domain.placement.policy.fairness import fairness_of
from qgjob.domain.placement.stats import AGED_AFTER_S, AGED_MAX_DEFERRAL_S, AGED_SHARE

COUNTED: Final = 20_000
"""Queues longer than this are not counted through: nobody minds whether 20,000 or 30,000 go first."""


class Place(NamedTuple):
    """Where a job stands among those that are like it."""

    ahead: int | None
    """How many go before it; None when they are too many to count."""
    waiting: int
    """How many wait there, itself included."""


def place_of(state: LabState, job: Job) -> Place:
    """A job's place in its group; of one that waits for others of its run, its place among these."""
    if job.parked:
        return Place(*state.gates.place_of(job, COUNTED))
    group = state.shelved.get(job.group) or state.groups.get(job.group)
    waiting = group.waiting if group else 0
    return Place(_ahead(group, job), waiting)


def _ahead(group: Group | None, job: Job) -> int | None:
    if group is None or job.delayed:
        return 0
    before = sum(queue.waiting for number, queue in group.queues.items() if number > job.priority)
    own = group.queues.get(job.priority)
    if own is None:
        return before
    if own.waiting > COUNTED:
        return None
    return before + sum(1 for other in own.jobs() if other is not job and other < job)


def first_orgs(state: LabState, job: Job) -> list[str]:
    """The organisations whose work of its class goes first on its slots: they have less than their share."""
    state.index.refresh(
        state.estimates
    )  # as before a decision, of which there was none while no slot was free
    ahead = fairness_of(state).favoured
    if job.group.org_id in ahead:
        return []
    mine = labels_of(job.group.capability)
    offered = {slot.labels for slot in state.slots.values() if slot.available and mine <= slot.labels}
    return sorted(
        {
            key.org_id
            for key, group in state.active.items()
            if key.org_id in ahead
            and group.levels[job.level]
            and any(group.labels <= labels for labels in offered)
        }
    )


def fairness(orgs: list[str]) -> str:
    """Why organisations go first, in words."""
    have = "it has less than its" if len(orgs) == 1 else "they have less than their"
    return f"work of {', '.join(orgs)} goes first, as {have} share of the slots"


def ageing(job: Job, now: float) -> str | None:
    """What is promised to a job that waits for very long."""
    if job.delayed or now - job.arrived_at < AGED_AFTER_S:
        return None
    every = round(1 / AGED_SHARE)
    horizon = show_duration(AGED_AFTER_S)
    put_off = show_duration(AGED_MAX_DEFERRAL_S)
    return (
        f"It waits for more than {horizon}: one start in {every} goes to the oldest such job, "
        f"put off by {put_off} at most while urgent or medium work waits."
    )
