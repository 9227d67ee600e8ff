"""Urgent work: strictly first, on as few slots as start it about as soon as FCFS would.

The slots that work on a build are expected to be free at certain times. They are simulated to take its urgent
jobs, the shortest first; a job that would start too late that way asks for one more install. A slot whose
build nobody waits for makes it at once. One that others wait for makes it when too few slots that are easier
to spare are likely to come free before it would be too late.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import Final, NamedTuple

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merge
from qgjob.domain.placement.model import Job, Slot
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install, slots_with_build
from qgjob.domain.placement.policy.cheap import choose_cheap_install
from qgjob.domain.placement.policy.favoured import choose_favoured
from qgjob.domain.placement.policy.ramp import Ramp, interpolate
from qgjob.domain.placement.policy.view import Choice, View

_SCAN_LIMIT: Final = 32
_USUAL_QUANTILE: Final = 0.95
"""The quantile of urgent waits under FCFS that ours are to stay under."""
_UNNOTICED_S: Final = 1.0
"""Waits that short matter to nobody."""
_MIN_INSTALLS: Final = 1.02
"""A job may wait at least so many installs: where no slot has the build none can start sooner."""
_RUSH_SHARE: Final[Ramp] = (1.6, 0.0, 2.0, 0.8)
"""By load: the share of the time that the slots need for the urgent work alone which it may wait. Not all of
it, or all who wait come close to the longest wait."""
_RUSH_PATIENCE: Final[Ramp] = (1.6, 1.0, 2.0, 0.58)
"""By load: the share of the usual wait that urgent jobs may use. In a rush more urgent work follows, which
then waits for what was put off."""
_TRUST: Final[Ramp] = (1.26, 1.0, 1.3, 0.0)
"""By wait ratio: the share of the time left for which a slot that has the build is waited for. Tests may take
longer than expected, and a job that finds out too late has an install still to wait for."""
_CAUTION: Final = 0.8
"""A slot is taken to be free so many times later as tests are usually off what is expected of them: who waits
for one that overruns has an install still to wait for."""
_MAX_JOBS_PER_WORKER: Final = 8
"""With more urgent jobs than that for each slot of the build, all are taken to be late."""
_SPARE_SLOTS: Final = 2.0
"""A slot is taken from those who wait for its build only when no more than so many better ones are expected
to come free in time for each install that is needed,"""
_SPARE_INSTALLS: Final = 0.05
"""and so many installs of time to spare."""


class Patience(NamedTuple):
    """How long urgent jobs of a pool may wait now."""

    usual_s: float
    """The share of the usual wait under FCFS that they may use."""
    trust: float
    """The share of the time left for which the slots that work on a build are waited for."""

    @classmethod
    def of(cls, view: View, pool: Pool) -> Patience:
        """As it is now."""
        share = view.thresholds(pool).urgent_share * interpolate(view.load(pool), _RUSH_PATIENCE)
        trust = interpolate(view.wait_ratio(pool, 0), _TRUST)
        return cls(share * usual_urgent_wait_s(view, pool), trust)


class Shortage(NamedTuple):
    """What the urgent jobs of a build lack."""

    job: Job
    """The first job that would start too late."""
    late: int
    """How many jobs would."""
    slack_s: float
    """How long the first install may still be put off; negative when it is too late."""


class _Deadlines(NamedTuple):
    """When a job starts too late. Times as `view.now`."""

    max_wait_s: float
    """How long after its arrival a job is to start at the latest."""
    trust: float
    """The share of the time left for which the slots that work on the build are waited for."""
    installed_at: float
    """When an install would be done that begins now."""
    early_enough: float
    """A start until then is early enough for every job."""

    def latest_start(self, now: float, arrived_at: float) -> float:
        """Until when a slot that works on the build is waited for by a job that arrived then."""
        return max(now + (arrived_at + self.max_wait_s - now) * self.trust, self.early_enough)


def choose_urgent(view: View) -> Choice | None:
    """The next urgent job that gets a slot now, where its build is installed if any is free there."""
    pools = [pool for pool in view.pools if pool.waiting[0]]
    if not pools:
        return None
    groups = merge((pool.by_priority[0] for pool in pools), _SCAN_LIMIT)
    if choice := choose_favoured(view, pools, 0) or choose_cheap_install(view, pools, 0):
        return choice
    if view.fairness.favours_any:
        groups.sort(key=lambda group: not view.fairness.favours(group.key.org_id))
    for group in groups:
        for slot in slots_with_build(view, group):
            if choice := choose_job(view, slot, group, "urgent; the build is installed there", level=0):
                return choice
    return _choose_urgent_install(view, pools, groups) if view.idle else None


def _choose_urgent_install(view: View, pools: list[Pool], groups: list[Group]) -> Choice | None:
    patience = {pool.capability: Patience.of(view, pool) for pool in pools}
    # In a rush all idle slots may have urgent work of their own: then no other build need be looked at.
    rush_s = {pool.capability: rush_wait_s(view, pool) for pool in pools if _may_take_any(view, pool)}
    because = "urgent; the build is installed first"
    for group in groups if rush_s else ():
        if group.capability not in rush_s:
            continue
        shortage = find_shortage(view, group, patience[group.capability], rush_s[group.capability])
        if shortage is None:
            continue
        for slot in slots_for_install(view, group):
            level = view.waiting_level(slot)
            if level is not None and (not level or _better_come_free(view, group, slot, shortage)):
                continue
            if choice := choose_job(view, slot, group, because, level=0, job=shortage.job):
                return choice
    return None


def _may_take_any(view: View, pool: Pool) -> bool:
    """Whether there is an idle slot for whose own builds no urgent jobs wait."""
    return any(view.waiting_level(slot) != 0 for slot in slots_for_install(view, pool))


def find_shortage(view: View, group: Group, patience: Patience, rush_s: float) -> Shortage | None:
    """What the urgent jobs of a group lack; None when its slots start enough of them in time.

    `rush_s`: how long some have to wait from now on at best, as there are so many.
    """
    install_s, test_s, now = view.install_s(group), view.test_s(group), view.now
    thresholds = view.thresholds(group)
    free_times = [max(free_at, now) for free_at in view.free_times(group, _CAUTION)]
    waiting = group.levels[0]
    if waiting > _MAX_JOBS_PER_WORKER * (len(free_times) + 1):
        queue = group.top_queue(0)
        return None if queue is None else Shortage(queue.by_length(test_s, longest=False), waiting, 0.0)
    max_wait_s = max(
        _UNNOTICED_S,
        _MIN_INSTALLS * install_s,
        min(patience.usual_s, install_s + thresholds.urgent_tests * test_s),
    )
    deadlines = _Deadlines(max_wait_s, patience.trust, now + install_s, now + rush_s)
    if _have_a_slot_each(view, group, free_times, deadlines):
        return None
    jobs = sorted(
        group.jobs(0),
        key=lambda job: (view.state.expected_s(job), job.arrived_at, job.order),
    )
    max_late = int(thresholds.urgent_late_share * waiting)
    shortage, hopeless = _simulate(view, jobs, free_times, deadlines)
    if hopeless > max_late:  # then a start as soon as an install would be done is early enough
        relaxed = deadlines._replace(early_enough=now + max(install_s, rush_s))
        shortage, _ = _simulate(view, jobs, free_times, relaxed)
    return shortage if shortage is not None and (shortage.late > max_late or not free_times) else None


def _have_a_slot_each(view: View, group: Group, free_times: list[float], deadlines: _Deadlines) -> bool:
    """Whether as many slots as urgent jobs wait are free before the oldest of these starts too late."""
    oldest_at = min(queue.oldest().arrived_at for queue in group.queues_of(0))
    latest = deadlines.latest_start(view.now, oldest_at)
    return sum(free_at <= latest for free_at in free_times) >= group.levels[0]


def _simulate(
    view: View, jobs: list[Job], free_times: list[float], deadlines: _Deadlines
) -> tuple[Shortage | None, int]:
    """Let slots that are free at these times run the jobs in order: which would start too late there.

    Also how many of those are hopeless: late even if the install began now.
    """
    free = [*free_times]
    heapify(free)
    first: Job | None = None
    late = hopeless = 0
    slack_s = float("inf")
    for job in jobs:
        if free and free[0] <= deadlines.latest_start(view.now, job.arrived_at):
            heapreplace(free, free[0] + view.state.expected_s(job))
            continue
        first = first or job
        late += 1
        deadline = job.arrived_at + deadlines.max_wait_s
        hopeless += deadline < deadlines.installed_at
        slack_s = min(slack_s, deadline - deadlines.installed_at)
    return (None if first is None else Shortage(first, late, slack_s)), hopeless


def usual_urgent_wait_s(view: View, of: Group | Pool) -> float:
    """How long all but a few urgent jobs wait at most under FCFS; 0 when unknown."""
    return view.stats(of).fcfs.waits[0].quantile(_USUAL_QUANTILE) or 0.0


def rush_wait_s(view: View, pool: Pool) -> float:
    """How long all slots need for the waiting urgent work, where more comes than they can do; else 0.

    Some job has to wait that long anyway: nothing is gained by a push that is done sooner at the cost of
    further installs. Where there is room for all, the push is on more slots sooner.
    """
    brief = view.is_brief(pool)
    share = 1.0 if brief else interpolate(view.load(pool), _RUSH_SHARE)
    if not share:
        return 0.0
    work_s = 0.0
    for group in pool.by_priority[0].groups(_SCAN_LIMIT):
        work_s += view.work_s(group, 1)
        if not view.workers(group):
            work_s += view.install_s(group)
        elif brief:  # in a long rush what runs is no reason to be later still
            work_s += group.running_s(view.now)
    return share * work_s / max(1, view.stats(pool).slots)


def _better_come_free(view: View, group: Group, slot: Slot, shortage: Shortage) -> bool:
    """Whether enough slots whose loss costs less than this one's are expected to come free in time.

    Of those that come free until then, the share that is better is that of all slots.
    """
    left_s = shortage.slack_s - _SPARE_INSTALLS * view.install_s(group)
    slots = view.stats(group).slots
    come_free = left_s * slots / max(view.state.estimates.any_test.value, 1e-3)
    if come_free <= _SPARE_SLOTS * shortage.late:
        return False
    loss_s = max(view.eviction_loss_s(other) for _, other in view.waiting_groups(slot))
    better = slots - 1 - view.slots_with_loss(group, loss_s)
    return better * come_free > slots * _SPARE_SLOTS * shortage.late
