"""Ordinary work: stay on the build; a slot that is done with it goes where work is due, or where it pays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import Slot
from qgjob.domain.placement.policy.aged import stays_aged
from qgjob.domain.placement.policy.due import due
from qgjob.domain.placement.policy.ending import final, last_to_end
from qgjob.domain.placement.policy.install import best_install
from qgjob.domain.placement.policy.overtaken import overtaken
from qgjob.domain.placement.policy.picks import give, ready, spare
from qgjob.domain.placement.policy.view import Choice, View

_ALIKE: Final = 2
"""Work is rare beside other work when it has less than half of its slots."""
_FAVOURED_WORK: Final = 4.0
"""A slot that joins others for a favoured organisation must find so many installs of work."""

Stay = tuple[int, Slot, Group]


def ordinary(view: View) -> Choice | None:
    """The next pair of ordinary work: of the rarest slots first, as others can do the rest."""
    stays = _stays(view)
    for pools in _tiers(view):
        capabilities = {pool.capability for pool in pools}
        mine = [stay for stay in stays if stay[2].capability in capabilities]
        if choice := _in_tier(view, pools, mine):
            return choice
    return None


def _in_tier(view: View, pools: list[Pool], stays: list[Stay]) -> Choice | None:
    ending = all(view.ending(pool) for pool in pools)
    last = ending and final(view, pools)
    return (
        (_favoured(view, pools, 1) if view.favoured else None)
        or (None if ending else overtaken(view, pools, 1))
        or _stay(view, (stay for stay in stays if stay[0] <= 1))
        or (None if ending else overtaken(view, pools, 2))
        or _stay_aged(view, stays)
        or (None if ending else next(due(view, pools, 1, forced=True), None))
        or (_favoured(view, pools, 2) if view.favoured else None)
        or _stay(view, stays)
        or (None if last else next(due(view, pools, 1), None) or next(due(view, pools, 2), None))
        or (last_to_end(view, pools) if ending else best_install(view, pools))
    )


def _stays(view: View) -> list[Stay]:
    """The slots that have a build which is waited for, the most urgent first, then the longest idle."""
    found = [(level, slot, group) for slot in view.idle for level, group in view.wanting(slot)]
    for key, slot in view.ahead.items():
        group = view.state.active.get(key)
        if group is not None and (level := group.level()) is not None:
            found.append((level, slot, group))
    found.sort(key=lambda stay: stay[0])
    return found


def _stay(view: View, stays: Iterable[Stay]) -> Choice | None:
    for _, slot, group in stays:
        if choice := give(view, slot, group, "the build is installed there"):
            return choice
    return None


def _stay_aged(view: View, stays: list[Stay]) -> Choice | None:
    """Aged work where its build is installed: what the aged are sure of costs no install there."""
    for _, slot, group in stays:
        if choice := stays_aged(view, slot, group):
            return choice
    return None


def _favoured(view: View, pools: list[Pool], level: int) -> Choice | None:
    """Work of the organisations that another one would crowd out."""
    for pool in pools:
        for _, _, group in pool.turns[level]:
            if group.key.org_id not in view.favoured:
                continue
            for slot in ready(view, group):
                if choice := give(view, slot, group, "the build is installed there"):
                    return choice
            workers = view.workers(group)
            if workers and view.work_s(group) < _FAVOURED_WORK * view.install_s(group) * (workers + 1):
                continue
            for slot in spare(view, group):
                if choice := give(view, slot, group, "its organisation has less than its share"):
                    return choice
    return None


def _tiers(view: View) -> list[list[Pool]]:
    """The pools, those of rare slots first; together those that have about as many slots."""
    pools = list(view.state.index.pools.values())
    if len(pools) == 1:
        return [pools]
    records = view.state.measures.records
    sized = sorted(
        (record.slots if (record := records.get(pool.capability)) else 0, number, pool)
        for number, pool in enumerate(pools)
    )
    tiers: list[list[Pool]] = []
    smallest = 0
    for slots, _, pool in sized:
        if tiers and slots < _ALIKE * smallest:
            tiers[-1].append(pool)
        else:
            tiers.append([pool])
            smallest = slots
    return tiers
