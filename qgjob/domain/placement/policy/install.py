"""Installs for ordinary work: on a slot whose build nobody waits for, where they pay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool, merged
from qgjob.domain.placement.policy.picks import give, spare
from qgjob.domain.placement.policy.scale import Slope, between
from qgjob.domain.placement.policy.view import Choice, View

_LOOKED_AT: Final = 12
_WORK: Final = (8.0, 8.0, 12.0)
"""By level: a slot that joins others must find so many installs of work."""
_PRICE: Final = (10.0, 10.0, 40.0)
"""By level: how much more than its own time an install costs those who wait elsewhere."""
_PRESSURE: Final[Slope] = (0.4, 0.05, 0.8, 1.0)
"""By load: how much of both counts."""
_ALONE: Final = 20.0
"""A build that nobody works on is taken to wait for so many installs more than its work takes."""


@dataclass(slots=True, frozen=True)
class Terms:
    """On what terms a pool's builds are installed now."""

    pressure: float
    """How much what an install costs others counts: the busier the lab, the more."""
    waiting: int
    slots: int

    @classmethod
    def of(cls, view: View, pool: Pool) -> Terms:
        """The terms of this moment."""
        return cls(between(view.load(pool), _PRESSURE), sum(pool.waiting), max(1, view.record(pool).slots))


def best_install(view: View, pools: list[Pool]) -> Choice | None:
    """The build that gains most by one more slot, medium first; if none pays, one that no slot works on."""
    ranked: list[tuple[int, float, int, Group]] = []
    for pool in pools:
        terms = Terms.of(view, pool)
        for level in (1, 2):
            for _, number, group in pool.shares[level].first(_LOOKED_AT):
                gain_s = gain(view, group, terms, level)
                if gain_s is not None:
                    ranked.append((level, -gain_s, number, group))
    ranked.sort(key=lambda entry: entry[:3])
    for *_, group in ranked:
        for slot in spare(view, group):
            if choice := give(view, slot, group, "an install pays for what waits"):
                return choice
    for level in (1, 2):
        for group in merged((pool.turns[level] for pool in pools), _LOOKED_AT):
            if view.workers(group):
                continue
            for slot in spare(view, group):
                if choice := give(view, slot, group, "no slot works on its build"):
                    return choice
    return None


def gain(view: View, group: Group, terms: Terms, level: int) -> float | None:
    """What one more slot saves the group's jobs in waiting (seconds, summed), less what it costs others.

    None when it does not pay.
    """
    work_s, workers, install_s = view.work_s(group), view.workers(group), view.install_s(group)
    if workers and work_s < _WORK[level] * install_s * terms.pressure * (workers + 1):
        return None
    others = terms.waiting - group.waiting
    cost_s = install_s / terms.slots * others * _PRICE[level] * terms.pressure
    if not workers:
        return group.waiting * (work_s + (_ALONE - 1.0) * install_s) / 2 - cost_s
    running_s = group.running_s(view.now)
    sooner_s = (work_s + running_s) / workers - (work_s + running_s + install_s) / (workers + 1)
    gain_s = group.waiting * sooner_s / 2 - cost_s
    return gain_s if gain_s > 0 else None
