"""Installs for ordinary work: on a slot whose build nobody waits for, where they pay."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merged
from qgjob.domain.placement.policy.picks import give, spare
from qgjob.domain.placement.policy.scale import between
from qgjob.domain.placement.policy.terms import Terms
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 12
_USUAL: Final = 0.95
"""The quantile of the waits with first come, first served that is usual."""
_ALONE: Final = 20.0
"""A build that nobody works on is taken to wait for so many installs more than its work takes."""


@dataclass(slots=True, frozen=True)
class Rates:
    """What an install of a pool's builds must bring now."""

    terms: Terms
    pressure: float
    """How much what an install costs others counts: the busier the lab, the more."""
    unhurried_s: float
    """A medium build whose last job will have waited less than that needs no further slot."""
    waiting: int
    slots: int

    @classmethod
    def of(cls, view: View, pool: Pool) -> Rates:
        """The rates of this moment."""
        terms = view.terms(pool)
        pressure = between(view.load(pool), terms.pressure)
        unhurried_s = pressure * terms.joined_after * view.usual_s(pool, 1, _USUAL)
        return cls(terms, pressure, unhurried_s, sum(pool.waiting), max(1, view.record(pool).slots))


def best_install(view: View, pools: list[Pool]) -> Choice | None:
    """Medium builds before low ones; of medium builds the one that gains most by one more slot.

    What is left of low work is old when its turn comes: so the oldest build that no slot works on goes first.
    """
    rates = [(pool, Rates.of(view, pool)) for pool in pools]
    for level in (1, 2):
        gaining = ((group, "an install pays for what waits") for group in _gaining(view, rates, level))
        alone = ((group, "no slot works on its build") for group in _alone(view, pools, level))
        for group, because in chain(gaining, alone) if level == 1 else chain(alone, gaining):
            for slot in spare(view, group):
                if choice := give(view, slot, group, because):
                    return choice
    return None


def _gaining(view: View, rates: list[tuple[Pool, Rates]], level: int) -> list[Group]:
    """The builds of a level for which one more slot pays, the one that gains most first."""
    ranked: list[tuple[float, int, Group]] = []
    for pool, rate in rates:
        for _, number, group in pool.shares[level].first(_LOOKED_AT):
            gain_s = gain(view, group, rate, level)
            if gain_s is not None:
                ranked.append((-gain_s, number, group))
    ranked.sort(key=lambda entry: entry[:2])
    return [group for *_, group in ranked]


def _alone(view: View, pools: list[Pool], level: int) -> list[Group]:
    """The builds of a level that no slot works on, in turn."""
    turns = merged((pool.turns[level] for pool in pools), _LOOKED_AT)
    return [group for group in turns if not view.workers(group)]


def gain(view: View, group: Group, rates: Rates, level: int) -> float | None:
    """What one more slot saves the group's jobs in waiting (seconds, summed), less what it costs others.

    None when it does not pay.
    """
    work_s, workers, install_s = view.work_s(group), view.workers(group), view.install_s(group)
    terms = rates.terms
    if workers and work_s < terms.work[level - 1] * install_s * rates.pressure * (workers + 1):
        return None
    if rates.unhurried_s and workers and level == 1 and view.last_start_s(group, 2) < rates.unhurried_s:
        return None
    others = rates.waiting - group.waiting
    cost_s = install_s / rates.slots * others * terms.price[level - 1] * rates.pressure
    if not workers:
        return group.waiting * (work_s + (_ALONE - 1.0) * install_s) / 2 - cost_s
    running_s = group.running_s(view.now)
    sooner_s = (work_s + running_s) / workers - (work_s + running_s + install_s) / (workers + 1)
    gain_s = group.waiting * sooner_s / 2 - cost_s
    return gain_s if gain_s > 0 else None
