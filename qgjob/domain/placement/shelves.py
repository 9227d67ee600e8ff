"""Groups of which nothing may start: what waits in them stands on a shelf, out of the policy's sight.

They are paused, their organisation is at its limit, or there are as many groups already as there may be. Of
these one yields while others wait: of those that would go on, the one that has had its room for longest.

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
    limited = state.full or state.yields is not None or state.refused
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
    old = state.yields
    if state.full and (now - state.judged_at < _JUDGED_EVERY_S if old is None else _goes_on(state, old)):
        return
    state.judged_at, state.yields = now, None
    state.yields = _whose_turn_is_over(state, now)
    if old is not None and old in state.shelved and not _shut(state, old):
        _take_down(state, old)
    if state.yields is not None and (group := state.active.get(state.yields)) is not None and group.waiting:
        _put_up(state, group)


def _whose_turn_is_over(state: LabState, now: float) -> GroupKey | None:
    if not state.full or state.most_groups is None:
        return None
    going_on = [key for key in state.groups_out if _goes_on(state, key)]
    if not going_on:
        return None
    in_vain = state.refused and len(state.groups_out) > state.most_groups
    helps = len(state.groups_out) - len(going_on) < state.most_groups
    is_over = helps and now - state.groups_out[going_on[0]] >= _TURN_S
    return going_on[0] if in_vain or (is_over and _somebody_waits(state)) else None


def _goes_on(state: LabState, key: GroupKey) -> bool:
    """Whether a group makes room only if it yields, and then surely: it has more to start, and a slot."""
    group = state.groups.get(key)
    if group is None or key in state.refused:
        return False
    return (group.waiting > 0 or key in state.shelved) and group.out > len(group.orphans)


def _somebody_waits(state: LabState) -> bool:
    """Whether a group waits for room alone that a slot could run."""
    offered = {slot.labels for slot in state.slots.values() if slot.available}
    fits: dict[str, bool] = {}
    for key, shelf in state.shelved.items():
        if key.capability not in fits:
            fits[key.capability] = any(shelf.labels <= labels for labels in offered)
        if fits[key.capability] and waits_for_room(state, key) and not _shut_by_rules(state, key):
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
    if key == state.yields:
        make_room(state)


def waits_for_room(state: LabState, key: GroupKey) -> bool:
    """Whether nothing of a group starts as there are as many groups as there may be."""
    group = state.groups.get(key)
    without = group is None or not group.out
    return key == state.yields or key in state.refused or (state.full and without)


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
