"""Groups of which nothing may start: what waits in them stands on a shelf, out of the policy's sight.

They are paused, their organisation is at its limit, or there are as many groups already as there may be. Of
these one after the other yields while others wait, first the one that has had its room for longest.

What of them is out already goes on, and an orphan still gets a slot.
"""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Index
from qgjob.domain.placement.model import GroupKey, LabState

_TURN_S: Final = 120.0
"""For so long a group has its room to itself, even where others wait: each change may cost an install."""
_JUDGED_EVERY_S: Final = 1.0
"""So often it is looked whose turn is over: there may be very many groups that wait."""


def of(state: LabState, key: GroupKey) -> Group | None:
    """The shelf of a group, made if it has to have one; None when the group is open."""
    shelf = state.shelved.get(key)
    if shelf is not None:
        return shelf
    rules = state.rules
    limited = state.full or state.yields or state.refused
    if (rules.pauses or rules.limits or state.held_builds or limited) and _shut(state, key):
        return _put_up(state, state.group(key))
    return None


def sort_out(state: LabState, org_id: str | None = None) -> None:
    """Shut and open groups, all or an organisation's, after something changed that decides on it."""
    for key in [key for key in state.shelved if org_id in {None, key.org_id}]:
        if not _shut(state, key):
            _take_down(state, key)
    for key, group in list(state.active.items()):
        if group.waiting and org_id in {None, key.org_id} and _shut(state, key):
            _put_up(state, group)


def limit(state: LabState, most: int | None, refused: frozenset[GroupKey]) -> None:
    """Of so many groups jobs may be out, and of `refused` they are in vain."""
    state.most_groups, state.refused = most, refused
    state.full = _is_full(state)
    sort_out(state)


def make_room(state: LabState) -> None:
    """Let any group in, or while there are as many as there may be only those of which jobs are out."""
    full = _is_full(state)
    if full != state.full:
        state.full = full
        sort_out(state)


def _is_full(state: LabState) -> bool:
    return state.most_groups is not None and len(state.groups_out) >= state.most_groups


def take_turns(state: LabState, now: float) -> None:
    """While groups wait for room, let another one yield; at once where some are out in vain.

    Else a group with enough work for several slots would never have nothing out, and never make room.
    """
    if state.full and now - state.judged_at < _JUDGED_EVERY_S:
        return
    state.judged_at = now
    before, state.yields = state.yields, _yielding(state, now)
    for key in before:
        if key in state.shelved and not _shut(state, key):
            _take_down(state, key)
    for key in state.yields:
        if (group := state.active.get(key)) is not None and group.waiting:
            _put_up(state, group)


def _yielding(state: LabState, now: float) -> dict[GroupKey, float]:
    """Who yields from now on. Who has nothing to start, or takes long to end, holds up no turns of others."""
    if not state.full or state.most_groups is None:
        return {}
    able = [key for key in state.groups_out if _can_make_room(state, key)]
    yields = {key: since for key, since in state.yields.items() if key in able}
    if any(key in state.shelved and now - since < _TURN_S for key, since in yields.items()):
        return yields
    first = next((key for key in able if key not in yields), None)
    if first is not None:
        in_vain = bool(state.refused) and len(state.groups_out) > state.most_groups
        helps = len(state.groups_out) - len(able) < state.most_groups
        is_over = helps and now - state.groups_out[first] >= _TURN_S
        if in_vain or (is_over and _somebody_waits(state)):
            yields[first] = now
    return yields


def _can_make_room(state: LabState, key: GroupKey) -> bool:
    """Whether a group has room, and what it has out is on slots and ends."""
    group = state.groups.get(key)
    return group is not None and key not in state.refused and group.out > len(group.orphans)


def _somebody_waits(state: LabState) -> bool:
    """Whether a group waits for room alone that a slot could run."""
    offered = {slot.labels for slot in state.slots.values() if slot.available}
    fits: dict[str, bool] = {}
    for key, shelf in state.shelved.items():
        if key in state.groups_out and key not in state.refused:
            continue
        if key.capability not in fits:
            fits[key.capability] = any(shelf.labels <= labels for labels in offered)
        if fits[key.capability] and not _shut_by_rules(state, key):
            return True
    return False


def went_out(state: LabState, key: GroupKey, now: float) -> None:
    """The first job of a group is out."""
    state.groups_out[key] = now
    if not state.full:
        make_room(state)
    elif key in state.shelved and not _shut(state, key):
        _take_down(state, key)


def came_back(state: LabState, key: GroupKey) -> None:
    """No job of a group is out any more. Where others wait for room all are equal with the next tick.

    A group that yields leaves its slot to them at once: one that goes on would take it.
    """
    del state.groups_out[key]
    group = state.active.get(key)
    if state.full and group is not None and group.waiting:
        _put_up(state, group)
    if key in state.yields:
        make_room(state)


def waits_for_room(state: LabState, key: GroupKey) -> bool:
    """Whether nothing of a group starts as there are as many groups as there may be."""
    group = state.groups.get(key)
    without = group is None or not group.out
    return key in state.yields or key in state.refused or (state.full and without)


def _shut(state: LabState, key: GroupKey) -> bool:
    return _shut_by_rules(state, key) or waits_for_room(state, key)


def _shut_by_rules(state: LabState, key: GroupKey) -> bool:
    return key[1:] in state.held_builds or state.rules.shut(key, state.org_out)


def _put_up(state: LabState, group: Group) -> Group:
    shelf = state.shelved[group.key] = Group(group.key, group.labels, Index(), group.number)
    group.hand_over(shelf)
    if not group.orphans:
        state.active.pop(group.key, None)
        if not group.out and not group.slots:
            state.groups.pop(group.key, None)
    return shelf


def _take_down(state: LabState, key: GroupKey) -> None:
    shelf, group = state.shelved.pop(key), state.group(key)
    shelf.hand_over(group)
    state.active[key] = group
