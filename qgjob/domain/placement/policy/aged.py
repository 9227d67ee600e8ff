"""Aged work: jobs that wait longer than `AGED_AFTER_S` have a share of the starts, so nothing starves."""

from __future__ import annotations

from itertools import chain
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import Job, Slot
from qgjob.domain.placement.policy.candidates import slots_for_install, slots_with_build
from qgjob.domain.placement.policy.view import Choice, View
from qgjob.domain.placement.stats import AGED_AFTER_S

_GROUPS_PER_POOL: Final = 4
_SOON_ROUNDS: Final = 4.0
"""A group gets no further slot when those that work on it are through with it in so many installs and
tests,"""
_MAX_DEFERRAL: Final = 1.25
"""unless its oldest job waits so many times `AGED_AFTER_S`: shorter tests may have come and gone first,"""
_SAME_AGE: Final = 0.9
"""and only when all its jobs wait so many times `AGED_AFTER_S`."""
_ADVANCE_PER_SLOT: Final = 0.1
"""How many starts aged work may take in advance, for each slot of the lab,"""
_MIN_ADVANCE: Final = 4.0
"""but at least so many: an install for one test costs others twice as much as the test."""
_PUSH_S: Final = 300.0
"""Jobs that arrived within that time of the oldest count as one push."""
_SCAN_LIMIT: Final = 16


def choose_aged(view: View) -> Choice | None:
    """The oldest aged job that a free slot can run, when the aged are owed a start.

    While urgent or medium work waits, they get it only once they are owed as much as they can be: so they get
    their share before and after a rush rather than during it. Where slots work on the group and are through
    with it soon, its jobs wait for one of those.
    """
    credit = view.state.stats.aged_credit
    if credit < 1.0 or (credit < view.max_aged_credit and _others_wait(view)):
        return None
    arrived_before = view.now - AGED_AFTER_S
    oldest = sorted(
        ranked
        for pool in view.pools
        for ranked in pool.by_age.ranked[:_GROUPS_PER_POOL]
        if ranked[0] <= arrived_before
    )
    for *_, group in oldest:
        further = () if _is_done_soon(view, group) else slots_for_install(view, group)
        for slot in chain(slots_with_build(view, group), further):
            if job := _shortest_of_oldest_push(view, group, slot):
                view.is_aged_start = True
                return slot, group, job, "it is the oldest of all that wait for more than an hour"
    return None


def _others_wait(view: View) -> bool:
    """Whether urgent or medium jobs wait."""
    return any(pool.waiting[0] or pool.waiting[1] for pool in view.state.index.pools.values())


def _is_done_soon(view: View, group: Group) -> bool:
    """Whether the slots that work on the group start all of it soon: one more would do little of it.

    Where jobs keep arriving for it they are never through: so all that waits must be about as old.
    """
    oldest, workers = group.oldest(), view.workers(group)
    if oldest is None or not workers or view.now - oldest.arrived_at > _MAX_DEFERRAL * AGED_AFTER_S:
        return False
    round_s = view.install_s(group) + view.test_s(group)
    if view.work_s(group) + group.running_s(view.now) > _SOON_ROUNDS * workers * round_s:
        return False
    return all(view.now - job.arrived_at >= _SAME_AGE * AGED_AFTER_S for job in group.jobs(oldest.level))


def continue_aged(view: View, slot: Slot, group: Group) -> Choice | None:
    """An aged job of the build that the slot has, although others are due, in advance of what it is owed.

    A slot that aged work got for an install goes on with it: so its share of the starts costs fewer installs.
    """
    max_advance = max(_MIN_ADVANCE, _ADVANCE_PER_SLOT * len(view.state.slots))
    if view.state.stats.aged_credit <= -max_advance or not _has_aged(view, group):
        return None
    job = _shortest_of_oldest_push(view, group, slot)
    if job is None:
        return None
    view.is_aged_start = True
    return slot, group, job, "the build is installed there, and it waits for more than an hour"


def _has_aged(view: View, group: Group) -> bool:
    """Whether a job of the group waits for longer than `AGED_AFTER_S`."""
    oldest = group.oldest()
    return oldest is not None and view.now - oldest.arrived_at >= AGED_AFTER_S


def _shortest_of_oldest_push(view: View, group: Group, slot: Slot) -> Job | None:
    """The shortest of the aged jobs that arrived with the oldest: so more of the push are done sooner."""
    oldest = group.oldest()
    if oldest is None:
        return None
    arrived_before = min(oldest.arrived_at + _PUSH_S, view.now - AGED_AFTER_S)
    push = (
        job
        for job in group.queues[oldest.priority].by_age(_SCAN_LIMIT)
        if job.arrived_at <= arrived_before and slot.name not in job.avoid
    )
    return min(push, key=lambda job: (view.state.expected_s(job), job.arrived_at, job.order), default=None)
