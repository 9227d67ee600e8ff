"""Ordinary work: stay on the build; a slot that is done with it goes where work is due, or where it pays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import Slot
from qgjob.domain.placement.policy.aged import continue_aged
from qgjob.domain.placement.policy.candidates import choose_job
from qgjob.domain.placement.policy.cheap import choose_cheap_install
from qgjob.domain.placement.policy.due import due_installs
from qgjob.domain.placement.policy.ending import choose_last_to_end, is_last_rounds
from qgjob.domain.placement.policy.favoured import choose_favoured
from qgjob.domain.placement.policy.install import choose_install
from qgjob.domain.placement.policy.overtaken import choose_overtaken
from qgjob.domain.placement.policy.view import Choice, View

_TIER_RATIO: Final = 2
"""Capabilities are of one tier when they have less than so many times the slots of its scarcest."""

Stay = tuple[int, Slot, Group]
"""The most urgent waiting level of a group, a slot that has its build, and the group."""


def choose_ordinary(view: View) -> Choice | None:
    """The next choice of ordinary work: first what only scarce slots can run, as others can do the rest."""
    stays, able = _stays(view), {pool.capability for pool in view.pools}
    for tier in _tiers(view):
        if pools := [pool for pool in tier if pool.capability in able]:
            capabilities = {pool.capability for pool in pools}
            in_tier = [stay for stay in stays if stay[2].capability in capabilities]
            if choice := _choose_in_tier(view, tier, pools, in_tier):
                return choice
    return None


def _choose_in_tier(view: View, tier: list[Pool], pools: list[Pool], stays: list[Stay]) -> Choice | None:
    """The first rule that applies: for the pools of a tier that a free slot can run."""
    ending = all(view.is_ending(pool) for pool in tier)
    last_rounds = ending and is_last_rounds(view, tier)
    medium_stays = (stay for stay in stays if stay[0] <= 1)
    return (
        choose_favoured(view, pools, 1)
        or choose_cheap_install(view, pools, 1)
        or (None if ending else choose_overtaken(view, pools, 1))
        or _choose_stay(view, medium_stays)
        or (None if ending else choose_overtaken(view, pools, 2))
        or _choose_aged_stay(view, stays)
        or (None if ending else next(due_installs(view, pools, 1, evict=True), None))
        or choose_favoured(view, pools, 2)
        or choose_cheap_install(view, pools, 2)
        or _choose_stay(view, stays)
        or (None if last_rounds else _choose_due(view, pools))
        or (choose_last_to_end(view, tier, pools) if ending else choose_install(view, pools))
    )


def _stays(view: View) -> list[Stay]:
    """The slots that have a build for which jobs wait: the most urgent first, then the longest idle.

    Of several builds that a slot has, the one known for longest.
    """
    stays = [
        (level, slot, group)
        for slot in view.idle
        for level, group in sorted(view.waiting_groups(slot), key=lambda entry: entry[1].number)
    ]
    for key, slot in view.prefetching.items():
        group = view.state.active.get(key)
        if group is not None and (level := group.top_level()) is not None:
            stays.append((level, slot, group))
    stays.sort(key=lambda stay: stay[0])
    return stays


def _choose_stay(view: View, stays: Iterable[Stay]) -> Choice | None:
    for _, slot, group in stays:
        if choice := choose_job(view, slot, group, "the build is installed there"):
            return choice
    return None


def _choose_aged_stay(view: View, stays: list[Stay]) -> Choice | None:
    """Aged work where its build is installed: its share of the starts costs no install there."""
    for _, slot, group in stays:
        if choice := continue_aged(view, slot, group):
            return choice
    return None


def _choose_due(view: View, pools: list[Pool]) -> Choice | None:
    return next(due_installs(view, pools, 1), None) or next(due_installs(view, pools, 2), None)


def _tiers(view: View) -> list[list[Pool]]:
    """The pools, those with the fewest slots first; in one tier those that have about as many."""
    index = view.state.index
    if index.tiers is None:
        index.tiers = _tiers_anew(view)
    return index.tiers


def _tiers_anew(view: View) -> list[list[Pool]]:
    pools = view.state.index.pools.values()
    by_capability = view.state.stats.by_capability
    by_slots = sorted(
        (stats.slots if (stats := by_capability.get(pool.capability)) else 0, number, pool)
        for number, pool in enumerate(pools)
    )
    tiers: list[list[Pool]] = []
    fewest = 0
    for slots, _, pool in by_slots:
        if tiers and slots < _TIER_RATIO * fewest:
            tiers[-1].append(pool)
        else:
            tiers.append([pool])
            fewest = slots
    return tiers
