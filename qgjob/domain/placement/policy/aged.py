"""Aged work: sure of a share of the starts, the oldest first, so that nothing starves."""

from __future__ import annotations

from itertools import chain
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.measures import HORIZON_S
from qgjob.domain.placement.model import Job, Slot
from qgjob.domain.placement.policy.picks import ready, spare
from qgjob.domain.placement.policy.view import Choice, View

_EACH: Final = 4
_ROUNDS: Final = 4.0
"""No further slot where those that work on the build are through with it in so many installs and tests,"""
_WAITED: Final = 1.25
"""unless somebody waits so many times the horizon: shorter tests may have come and gone first."""
_ALIKE: Final = 0.9
"""What waits so many times the horizon is about as old as the aged."""
_DEBT: Final = 0.1
"""How many starts of aged work may be taken in advance, for each slot of the lab,"""
_LEAST_DEBT: Final = 4.0
"""and in a small one: an install for one test costs others twice as much as the test."""
_PUSH_S: Final = 300.0
"""What came within that time of the oldest is about as old."""
_LOOKED_AT: Final = 16


def aged(view: View) -> Choice | None:
    """The oldest aged job that a free slot can run, when it is the turn of the aged.

    While urgent or medium work waits, its turn comes when the aged are owed as much as they may be: so they
    get what they are sure of rather before and after a rush than in it. Where slots work on its build and are
    through with it soon, it waits for one of them.
    """
    due = view.state.measures.aged_due
    if due < 1.0 or (due < view.most_owed and _others_wait(view)):
        return None
    limit = view.now - HORIZON_S
    oldest = [
        (key, number, group)
        for pool in view.state.index.pools.values()
        for key, number, group in pool.ages.first(_EACH)
        if key[0] <= limit
    ]
    for _, _, group in sorted(oldest, key=lambda entry: entry[:2]):
        further = () if _soon_done(view, group) else spare(view, group)
        for slot in chain(ready(view, group), further):
            if job := _oldest(view, group, slot):
                view.as_aged = True
                return slot, group, job, "it is the oldest of all that wait for more than an hour"
    return None


def _others_wait(view: View) -> bool:
    return any(pool.waiting[0] or pool.waiting[1] for pool in view.state.index.pools.values())


def _soon_done(view: View, group: Group) -> bool:
    """Whether the slots that work on the group start all of it soon: one more would do little of it.

    Where jobs keep coming to it they are never through: what waits must be about as old.
    """
    oldest, workers = group.oldest(), view.workers(group)
    if oldest is None or not workers or view.now - oldest.arrived_at > _WAITED * HORIZON_S:
        return False
    round_s = view.install_s(group) + view.mean_s(group)
    if view.work_s(group) + group.running_s(view.now) > _ROUNDS * workers * round_s:
        return False
    return all(view.now - job.arrived_at >= _ALIKE * HORIZON_S for job in group.jobs(oldest.level))


def stays_aged(view: View, slot: Slot, group: Group) -> Choice | None:
    """The slot's own aged job, although others are due: what the aged are sure of, in advance.

    A slot that the aged got for an install goes on with them: their share costs fewer installs so.
    """
    most = max(_LEAST_DEBT, _DEBT * len(view.state.slots))
    if view.state.measures.aged_due <= -most or not is_aged(view, group):
        return None
    job = _oldest(view, group, slot)
    if job is None:
        return None
    view.as_aged = True
    return slot, group, job, "the build is installed there, and it waits for more than an hour"


def is_aged(view: View, group: Group) -> bool:
    """Whether a job of the group waits past the horizon."""
    oldest = group.oldest()
    return oldest is not None and view.now - oldest.arrived_at >= HORIZON_S


def _oldest(view: View, group: Group, slot: Slot) -> Job | None:
    """The shortest of the group's oldest jobs: of a push more are done so in the same time."""
    oldest = group.oldest()
    if oldest is None:
        return None
    latest = min(oldest.arrived_at + _PUSH_S, view.now - HORIZON_S)
    alike = (
        job
        for job in group.queues[oldest.priority].by_age(_LOOKED_AT)
        if job.arrived_at <= latest and slot.name not in job.avoid
    )
    return min(alike, key=lambda job: (view.state.expected_s(job), job.arrived_at, job.order), default=None)
