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
        wait_ratio = view.stats(pool).wait_ratio(level)
        usual_s, thresholds = view.usual_wait_s(pool, level, _USUAL_QUANTILE[level]), view.thresholds(pool)
        slack = thresholds.slack_medium if level == 1 else thresholds.slack_low
        ramps = (thresholds.evict_unserved, thresholds.evict_served) if evict else (slack, slack)
        unserved_s, served_s = (usual_s * interpolate(wait_ratio, ramp) for ramp in ramps)
        return cls(unserved_s, served_s, interpolate(wait_ratio, thresholds.due_work))


def due_installs(view: View, pools: list[Pool], level: int, *, evict: bool = False) -> Iterator[Choice]:
    """Installs of builds that are due at a level: first those that no slot works on, then the latest.

    With `evict` before slots go on with the low work of their build. At the end of a backlog a low build that
    no slot works on is due as soon as one is of which less old work waits: by the time it is late itself, all
    slots are on long builds.
    """
    if not view.idle or not any(pool.waiting[level] for pool in pools):
        return
    limits = {pool.capability: _Limits.of(view, pool, level, evict=evict) for pool in pools}
    late: list[tuple[bool, float, int, Group]] = []
    older: list[tuple[bool, float, int, Group]] = []
    for group in merge((pool.by_priority[level] for pool in pools), _SCAN_LIMIT):
        limit, workers = limits[group.capability], view.workers(group)
        last_wait_s = view.last_wait_s(group, level + 1)
        entry = (workers > 0, -last_wait_s, group.number, group)
        if last_wait_s <= (limit.served_s if workers else limit.unserved_s):
            if level == 2 and not workers and view.is_ending(group):
                older.append(entry)
            continue
        if not workers or view.has_work_for_one_more(group, limit.min_work, level + 1):
            late += [entry, *older]
            older.clear()
    late.sort(key=lambda entry: entry[:3])
    for *_, group in late:
        for slot in slots_for_install(view, group):
            if choice := choose_job(view, slot, group, "it is due; the build is installed first"):
                yield choice
