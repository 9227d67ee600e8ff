"""What goes before a waiting job: of its group, of its run, or of another organisation. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

from bus_schemas.jobs import labels_of
from qgjob.domain.durations import show_duration
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import Job, LabState
from qgjob.domain.placement.policy.fairness import fairness_of
from qgjob.domain.placement.stats import AGED_AFTER_S, AGED_MAX_DEFERRAL_S, AGED_SHARE

MAX_COUNTED: Final = 20_000
"""Positions in longer queues are not counted: nobody minds whether 20,000 or 30,000 go first."""


class Position(NamedTuple):
    """A job's position in its group, or of a parked one among the jobs of its run there."""

    ahead: int | None
    """How many go before it; None when they are too many to count."""
    waiting: int
    """How many wait there, itself included."""


def position_of(state: LabState, job: Job) -> Position:
    """The position of a waiting job."""
    if job.parked:
        return Position(*state.run_gates.position_of(job, MAX_COUNTED))
    group = state.blocked.get(job.group) or state.groups.get(job.group)
    waiting = group.waiting if group else 0
    return Position(_ahead(group, job), waiting)


def _ahead(group: Group | None, job: Job) -> int | None:
    if group is None or job.delayed:
        return 0
    more_urgent = sum(queue.waiting for number, queue in group.queues.items() if number > job.priority)
    own = group.queues.get(job.priority)
    if own is None:
        return more_urgent
    if own.waiting > MAX_COUNTED:
        return None
    return more_urgent + sum(1 for other in own.jobs() if other is not job and other < job)


def orgs_ahead(state: LabState, job: Job) -> list[str]:
    """The organisations whose jobs of its class go first on its slots: they have less than their share."""
    # As before a decision: there was none while no slot was free.
    state.index.refresh(state.estimates)
    fairness = fairness_of(state)
    if not fairness.favours_any or fairness.favours(job.group.org_id):
        return []
    required = labels_of(job.group.capability)
    offered = {slot.labels for slot in state.slots.values() if slot.available and required <= slot.labels}
    return sorted(
        {
            key.org_id
            for key, group in state.active.items()
            if fairness.favours(key.org_id)
            and group.levels[job.level]
            and any(group.labels <= labels for labels in offered)
        }
    )


def fairness_reason(orgs: list[str]) -> str:
    """Why organisations go first, in words."""
    have = "it has less than its" if len(orgs) == 1 else "they have less than their"
    return f"work of {', '.join(orgs)} goes first, as {have} share of the slots"


def aging_note(job: Job, now: float) -> str | None:
    """What an aged job is sure of, in words; None for a job that is not aged."""
    if job.delayed or now - job.arrived_at < AGED_AFTER_S:
        return None
    every = round(1 / AGED_SHARE)
    aged_after = show_duration(AGED_AFTER_S)
    deferral = show_duration(AGED_MAX_DEFERRAL_S)
    return (
        f"It waits for more than {aged_after}: one start in {every} goes to the oldest such job, "
        f"put off by {deferral} at most while urgent or medium work waits."
    )
