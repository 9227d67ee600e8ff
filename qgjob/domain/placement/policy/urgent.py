"""Urgent work: strictly first, on as few slots as start it about as soon as first come, first served would.

The slots that work on a build are expected to be free at certain times. In thought they take its urgent
jobs, the shortest first; who would start too late that way needs one more install. A slot whose build
nobody waits for makes it at once. One that others wait for makes it when no better slot is likely to come
free before it would be too late.
"""

from __future__ import annotations

from heapq import heapify, heapreplace
from typing import Final, NamedTuple

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merged
from qgjob.domain.placement.model import Job
from qgjob.domain.placement.policy.picks import give, ready, spare
from qgjob.domain.placement.policy.scale import Slope, between
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 32
_USUAL: Final = 0.95
"""The quantile of urgent waits with first come, first served that ours are to stay under."""
_UNNOTICED_S: Final = 1.0
"""Waits that short matter to nobody."""
_SCARCELY: Final = 1.02
"""In so many installs at least: nobody can be sooner where the build is nowhere."""
_RUSH: Final[Slope] = (1.6, 0.0, 2.0, 0.8)
"""By load: how much counts how long the slots need for the urgent work alone. Not all of it: else all who
wait come close to the longest wait."""
_TRUST: Final[Slope] = (1.2, 1.0, 1.24, 0.0)
"""By how far our urgent waits are behind: for what share of the time left a slot that has the build is waited
for. Tests may take longer than expected, and who finds out too late has an install still to wait for."""
_FEW_WORKERS: Final = 8
"""With more urgent jobs for each slot than that, it need not be counted who is late."""
_TURNS: Final = (1.6, 3.2, 6.4)
"""By the level of those who wait for a slot: it is taken from them so many turns before it would be too late.
A turn is the time in which another slot is likely to come free, for each install that is needed."""
_INSTALLS: Final = (0.048, 0.048, 0.16)
"""The same, in installs."""


class Shortage(NamedTuple):
    """What a build's urgent jobs lack."""

    job: Job
    """The first for whom no slot is free in time."""
    late: int
    """How many there are like it."""
    slack_s: float
    """How long the first of their installs may still be put off."""


class _When(NamedTuple):
    """What is too late."""

    patience_s: float
    """How long after its arrival a job is to start at the latest."""
    trust: float
    """For what share of the time left the slots that work on the build are waited for."""
    soonest: float
    """When an install would be done that begins now."""
    enough: float
    """What is soon enough for everybody."""


def urgent(view: View) -> Choice | None:
    """The next urgent job that gets a slot now."""
    pools = [pool for pool in view.state.index.pools.values() if pool.waiting[0]]
    if not pools:
        return None
    groups = merged((pool.turns[0] for pool in pools), _LOOKED_AT)
    if view.favoured:
        groups.sort(key=lambda group: group.key.org_id not in view.favoured)
    for group in groups:
        for slot in ready(view, group):
            if choice := give(view, slot, group, "urgent; the build is installed there", level=0):
                return choice
    if not view.idle:
        return None
    usual = {pool.capability: (usual_s(view, pool), rush_s(view, pool)) for pool in pools}
    for group in groups:
        lacks = shortage(view, group, *usual[group.capability])
        if lacks is None:
            continue
        for slot in spare(view, group):
            wanted = view.wanted(slot)
            if wanted is not None and (not wanted or lacks.slack_s > _put_off_s(view, group, wanted, lacks)):
                continue
            because = "urgent; the build is installed first"
            if choice := give(view, slot, group, because, level=0, job=lacks.job):
                return choice
    return None


def shortage(view: View, group: Group, usual_s: float, rush_s: float) -> Shortage | None:
    """What the group's urgent jobs lack; None when the slots that work on it will do.

    `usual_s` is how long urgent jobs may wait with first come, first served, `rush_s` how long at best some
    of them have to wait from now on, as there are so many.
    """
    install_s, mean_s, now = view.install_s(group), view.mean_s(group), view.now
    terms = view.terms(group)
    patience_s = max(
        _UNNOTICED_S,
        _SCARCELY * install_s,
        min(terms.urgent_share * usual_s, install_s + terms.urgent_tests * mean_s),
    )
    free_at = [max(until, now) for until in view.frees(group)]
    waiting = group.levels[0]
    if waiting > _FEW_WORKERS * (len(free_at) + 1):
        queue = group.top(0)
        return None if queue is None else Shortage(queue.by_length(mean_s, longest=False), waiting, 0.0)
    jobs = sorted(
        group.jobs(0),
        key=lambda job: (view.state.expected_s(job), job.arrived_at, job.order),
    )
    allowed = int(terms.urgent_late * waiting)
    trust = between(view.record(group).behind(0), _TRUST)
    when = _When(patience_s, trust, now + install_s, now + rush_s)
    found, hopeless = _late(view, jobs, free_at, when)
    if hopeless > allowed:  # then as soon as an install would be done is soon enough
        found, _ = _late(view, jobs, free_at, when._replace(enough=now + max(install_s, rush_s)))
    return found if found is not None and (found.late > allowed or not free_at) else None


def _late(view: View, jobs: list[Job], free_at: list[float], when: _When) -> tuple[Shortage | None, int]:
    """Who starts too late on these slots, and how many of them would although the install began now."""
    ends = [*free_at]
    heapify(ends)
    first: Job | None = None
    late = hopeless = 0
    slack_s = float("inf")
    for job in jobs:
        limit = job.arrived_at + when.patience_s
        trusted = view.now + (limit - view.now) * when.trust
        if ends and ends[0] <= max(trusted, when.enough):
            heapreplace(ends, ends[0] + view.state.expected_s(job))
            continue
        first = first or job
        late += 1
        hopeless += limit < when.soonest
        slack_s = min(slack_s, limit - when.soonest)
    return (None if first is None else Shortage(first, late, slack_s)), hopeless


def usual_s(view: View, of: Group | Pool) -> float:
    """How long urgent jobs wait with first come, first served, but for a few."""
    return view.record(of).line.waits[0].quantile(_USUAL) or 0.0


def rush_s(view: View, pool: Pool) -> float:
    """How long all slots need for the urgent work that waits, where more work comes than they can do.

    Then somebody has to wait that long: nothing is gained by a push that is done sooner at the cost of
    further installs. Where there is room for all, the push is on more slots sooner.
    """
    brief = view.brief(pool)
    counts = 1.0 if brief else between(view.load(pool), _RUSH)
    if not counts:
        return 0.0
    work_s = 0.0
    for _, _, group in pool.turns[0].first(_LOOKED_AT):
        work_s += view.work_s(group, 1)
        if not view.workers(group):
            work_s += view.install_s(group)
        elif brief:  # in a long rush what runs is no reason to be later still
            work_s += group.running_s(view.now)
    return counts * work_s / max(1, view.record(pool).slots)


def _put_off_s(view: View, group: Group, wanted: int, lacks: Shortage) -> float:
    """With less slack than that, a slot is taken from work of the level that waits for its build."""
    turn_s = view.state.estimates.any_test.value / max(1, view.record(group).slots)
    return _TURNS[wanted] * lacks.late * turn_s + _INSTALLS[wanted] * view.install_s(group)
