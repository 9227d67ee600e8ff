"""Builds that are due: their last job would wait longer than is usual under FCFS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merge
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install
from qgjob.domain.placement.policy.ramp import interpolate
from qgjob.domain.placement.policy.view import Choice, View

_SCAN_LIMIT: Final = 32
_USUAL_QUANTILE: Final = (1.0, 0.95, 1.0)
"""By level: the quantile of the waits under FCFS that is usual."""


@dataclass(slots=True, frozen=True)
class _Limits:
    """When the builds of a pool are due."""

    unserved_s: float
    """The longest wait of a build that no slot works on,"""
    served_s: float
    """and of one that slots work on,"""
    min_work: float
    """which must have so many installs of work for each slot."""

    @classmethod
    def of(cls, view: View, pool: Pool, level: int, *, evict: bool) -> _Limits:
        wait_ratio = view.wait_ratio(pool, level)
        usual_s, thresholds = view.usual_wait_s(pool, level, _USUAL_QUANTILE[level]), view.thresholds(pool)
        slack = thresholds.slack_medium if level == 1 else thresholds.slack_low
        ramps = (thresholds.evict_unserved, thresholds.evict_served) if evict else (slack, slack)
        unserved_s, served_s = (usual_s * interpolate(wait_ratio, ramp) for ramp in ramps)
        return cls(unserved_s, served_s, interpolate(wait_ratio, thresholds.due_work))


def due_installs(view: View, pools: list[Pool], level: int, *, evict: bool = False) -> Iterator[Choice]:
    """Installs of builds that are due at a level.

    Medium builds that no slot works on first, then the latest; low ones share the slots (`_by_need`). With
    `evict` before slots go on with the low work of their build. At the end of a backlog a low build that no
    slot works on is due as soon as one is of which less old work waits: by the time it is late itself, all
    slots are on long builds.
    """
    pools = [pool for pool in pools if pool.waiting[level]]
    if not view.idle or not pools:
        return
    limits = {pool.capability: _Limits.of(view, pool, level, evict=evict) for pool in pools}
    late: list[Group] = []
    ranks: dict[int, tuple[bool, float, int]] = {}
    older: list[Group] = []
    for group in merge((pool.by_priority[level] for pool in pools), _SCAN_LIMIT):
        limit, workers = limits[group.capability], view.workers(group)
        last_wait_s = view.last_wait_s(group, level + 1)
        if last_wait_s <= (limit.served_s if workers else limit.unserved_s):
            if level == 2 and not workers and view.is_ending(group):
                older.append(group)
            continue
        if not workers or view.has_work_for_one_more(group, limit.min_work, level + 1):
            ranks[group.number] = workers > 0, -last_wait_s, group.number
            late += [group, *older]
            older.clear()
    if level == 2:
        late = _by_need(view, late, limits)
    else:
        late.sort(key=lambda group: ranks[group.number])
    for group in late:
        for slot in slots_for_install(view, group):
            if choice := choose_job(view, slot, group, "it is due; the build is installed first"):
                yield choice


def _by_need(view: View, groups: list[Group], limits: dict[str, _Limits]) -> list[Group]:
    """The builds in the order in which they get a slot, so that all end in time and none much sooner.

    Each needs so many slots as do its work before its oldest job has waited too long. Slots are shared out in
    proportion to that by D'Hondt's method: the next one goes where the need divided by the slots so far and
    this one is largest. But slots seldom change: a build without any does not come after a younger one.
    """
    shares: list[tuple[float, int, Group]] = []
    largest = 0.0
    for group in sorted(groups, key=_by_age, reverse=True):
        workers = view.workers(group)
        share = _needed_slots(view, group, limits[group.capability]) / (workers + 1)
        largest = max(largest, share)
        shares.append((share if workers else largest, len(shares), group))
    shares.sort(key=lambda entry: entry[:2], reverse=True)
    return [group for *_, group in shares]


def _needed_slots(view: View, group: Group, limit: _Limits) -> float:
    """How many slots have to work on a build from now on so that its jobs start before they are late."""
    install_s, oldest = view.install_s(group), group.oldest()
    age_s = view.now - oldest.arrived_at if oldest else 0.0
    work_s = view.work_s(group) + (group.running_s(view.now) if view.workers(group) else 0.0)
    return work_s / max(limit.unserved_s - age_s - install_s, install_s + view.test_s(group))


def _by_age(group: Group) -> tuple[float, int]:
    oldest = group.oldest()
    return (oldest.arrived_at if oldest else 0.0, -group.number)
