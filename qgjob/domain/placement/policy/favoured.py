"""Work of the organisations that others would crowd out."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Pool
from qgjob.domain.placement.model import Slot
from qgjob.domain.placement.policy.candidates import choose_job, slots_for_install, slots_with_build
from qgjob.domain.placement.policy.view import Choice, View

_MIN_WORK: Final = 4.0
"""A slot that joins others must find so many installs of work."""
_DENSE: Final = 8
"""Where one group in so many is of a favoured organisation, one of the first of all is likely to be."""


def choose_favoured(view: View, pools: list[Pool], level: int) -> Choice | None:
    """Their next job at a level: where its build is installed, else on a slot that others can spare.

    First come those without any slot. Urgent work gets its first slot so; whether it needs another one is for
    its own rules.
    """
    if not view.fairness.favours_any:
        return None
    for first in (True, False):
        for pool in pools:
            if pool.waiting[level] and (choice := _choose_of(view, pool, level, first=first)):
                return choice
    return None


def _choose_of(view: View, pool: Pool, level: int, *, first: bool) -> Choice | None:
    """The next job of favoured organisations: of those that get their `first` slot, or of the others."""
    if not (_is_anyones_first_turn(view, pool, level) if first else view.fairness.shares):
        return None
    is_any_spare = next(_spare_slots(view, pool, first=first), None) is not None
    candidates = _groups if is_any_spare else _groups_at_home
    for group in candidates(view, pool, level, first=first):
        for slot in slots_with_build(view, group):
            if choice := choose_job(view, slot, group, "the build is installed there", level=level):
                return choice
        if view.workers(group) and not (level and view.has_work_for_one_more(group, _MIN_WORK)):
            continue
        for slot in _spare_slots(view, pool, first=first) if is_any_spare else ():
            because = "its organisation has less than its share"
            if choice := choose_job(view, slot, group, because, level=level):
                return choice
    return None


def _spare_slots(view: View, pool: Pool, *, first: bool) -> Iterator[Slot]:
    """The slots on which an install of any of the pool's builds takes from no one what it is guaranteed."""
    for slot in slots_for_install(view, pool):
        if view.waiting_level(slot) is None or view.fairness.can_spare(slot, first=first):
            yield slot


def _is_its_turn(view: View, group: Group, *, first: bool) -> bool:
    org, fairness = group.key.org_id, view.fairness
    return fairness.favours(org) and first == (not fairness.slots(org))


def _is_anyones_first_turn(view: View, pool: Pool, level: int) -> bool:
    return any(_is_its_turn(view, group, first=True) for group in pool.by_org[level].without_slot)


def _groups(view: View, pool: Pool, level: int, *, first: bool) -> Iterator[Group]:
    """The groups of the organisations whose turn it is, in their order."""
    by_org = pool.by_org[level]
    if not first:
        orgs = view.fairness.favoured_with_slots
        if by_org.ranked(orgs) * _DENSE < len(pool.by_priority[level]):
            yield from by_org.of(orgs)
        else:
            yield from (group for group in pool.by_priority[level] if group.key.org_id in orgs)
        return
    firsts = (group for group in by_org.without_slot if _is_its_turn(view, group, first=True))
    first_of_all = next(firsts, None)
    if first_of_all is not None:
        yield first_of_all  # nearly always it gets a slot, and nobody asks for the others
        rest = by_org.of(group.key.org_id for group in chain((first_of_all,), firsts))
        yield from (group for group in rest if group is not first_of_all)


def _groups_at_home(view: View, pool: Pool, level: int, *, first: bool) -> list[Group]:
    """Those of them whose build a free slot has, in their order."""
    groups = {
        group.number: group
        for build in view.holders
        for group in view.state.index.builds.get(build, {}).values()
    }
    for key in view.prefetching:
        if (group := view.state.active.get(key)) is not None:
            groups[group.number] = group
    ranking = pool.by_priority[level]
    ranked = [
        (key, number, group)
        for number, group in groups.items()
        if (key := ranking.key_of(group)) is not None and _is_its_turn(view, group, first=first)
    ]
    ranked.sort(key=lambda entry: entry[:2])
    return [group for *_, group in ranked]
