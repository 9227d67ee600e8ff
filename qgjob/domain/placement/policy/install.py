"""Installs for ordinary work: on a slot whose build nobody waits for, where they pay."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merge
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install
from qgjob.domain.placement.policy.ramp import interpolate
from qgjob.domain.placement.policy.thresholds import Thresholds
from qgjob.domain.placement.policy.view import Choice, View

_SCAN_LIMIT: Final = 12
_USUAL_QUANTILE: Final = 0.95
"""The quantile of the waits under FCFS that is usual."""
_UNSERVED: Final = 20.0
"""A build that no slot works on is taken to wait so many installs longer than its work takes."""


@dataclass(slots=True, frozen=True)
class InstallCosts:
    """What an install of a build of one pool must bring now."""

    thresholds: Thresholds
    load_factor: float
    """How much what an install costs others counts: the busier the lab, the more."""
    unhurried_s: float
    """A medium build whose last job will have waited less needs no further slot; 0: no such limit."""
    waiting: int
    """How many jobs wait in the pool."""
    slots: int
    min_gain: float
    """What each install must save in any case, as many times its own seconds of waiting."""

    @classmethod
    def of(cls, view: View, pool: Pool) -> InstallCosts:
        """The costs as they are now."""
        thresholds = view.thresholds(pool)
        load_factor = interpolate(view.load(pool), thresholds.load_factor)
        usual_s = view.usual_wait_s(pool, 1, _USUAL_QUANTILE)
        min_gain = interpolate(view.load(pool), thresholds.min_gain)
        unhurried_s = load_factor * thresholds.unhurried_share * usual_s
        return cls(
            thresholds, load_factor, unhurried_s, sum(pool.waiting), max(1, view.stats(pool).slots), min_gain
        )


def choose_install(view: View, pools: list[Pool]) -> Choice | None:
    """Medium builds before low ones; of medium builds the one that gains most by one more slot.

    What is left of low work is old when its turn comes: so the oldest build that no slot works on goes first.
    """
    costs = [(pool, InstallCosts.of(view, pool)) for pool in pools]
    for level in (1, 2):
        by_gain = ((group, "an install pays for what waits") for group in _by_gain(view, costs, level))
        unserved = ((group, "no slot works on its build") for group in _unserved(view, pools, level))
        for group, because in chain(by_gain, unserved) if level == 1 else chain(unserved, by_gain):
            for slot in slots_for_install(view, group):
                if choice := choose_job(view, slot, group, because):
                    return choice
    return None


def _by_gain(view: View, costs: list[tuple[Pool, InstallCosts]], level: int) -> list[Group]:
    """The builds of a level for which one more slot pays, the one that gains most first."""
    ranked: list[tuple[float, int, Group]] = []
    for pool, pool_costs in costs:
        for group in pool.by_work[level].groups(_SCAN_LIMIT):
            gain_s = install_gain_s(view, group, pool_costs, level)
            if gain_s is not None:
                ranked.append((-gain_s, group.number, group))
    ranked.sort(key=lambda entry: entry[:2])
    return [group for *_, group in ranked]


def _unserved(view: View, pools: list[Pool], level: int) -> list[Group]:
    """The builds of a level that no slot works on, by priority and age."""
    groups = merge((pool.by_priority[level] for pool in pools), _SCAN_LIMIT)
    return [group for group in groups if not view.workers(group)]


def install_gain_s(view: View, group: Group, costs: InstallCosts, level: int) -> float | None:
    """The seconds of waiting that one more slot saves the group's jobs in sum, less what it costs other jobs.

    None when the install does not pay.
    """
    work_s, workers, install_s = view.work_s(group), view.workers(group), view.install_s(group)
    thresholds = costs.thresholds
    if workers and work_s < thresholds.min_work[level - 1] * install_s * costs.load_factor * (workers + 1):
        return None
    if costs.unhurried_s and workers and level == 1 and view.last_wait_s(group, 2) < costs.unhurried_s:
        return None
    others = costs.waiting - group.waiting
    cost_s = install_s / costs.slots * others * thresholds.install_cost[level - 1] * costs.load_factor
    if not workers:
        return group.waiting * (work_s + (_UNSERVED - 1.0) * install_s) / 2 - cost_s
    cost_s += costs.min_gain * install_s
    left_s = work_s + group.running_s(view.now)
    sooner_s = left_s / workers - (left_s + install_s) / (workers + 1)
    gain_s = group.waiting * sooner_s / 2 - cost_s
    return gain_s if gain_s > 0 else None
