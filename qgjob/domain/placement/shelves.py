"""Groups of which nothing may start: what waits in them stands on a shelf, out of the policy's sight.

They are paused, their organisation is at its limit, or there are as many groups already as there may be. Of
these one yields while others wait, first the one that has had its room for longest.

What of them is out already goes on, and an orphan still gets a slot.
"""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Index
from qgjob.domain.placement.model import GroupKey, LabState

_TURN_S: Final = 120.0
"""For so long a group has its room to itself, even where others wait: each change may cost an install."""


def of(state: LabState, key: GroupKey) -> Group | None:
    """The shelf of a group, made if it has to have one; None when the group is open."""
    shelf = state.shelved.get(key)
    if shelf is not None:
        return shelf
    rules = state.rules
    limited = state.full or state.yields is not None
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


def make_room(state: LabState) -> None:
    """Let any group in, or while there are as many as there may be only those of which jobs are out."""
    full = state.most_groups is not None and len(state.groups_out) >= state.most_groups
    if full != state.full:
        state.full = full
        sort_out(state)


def take_turns(state: LabState, now: float) -> None:
    """While groups wait for room, let another one yield; at once where jobs of too many are out.

    Else a group with enough work for several slots would never have nothing out, and never make room.
    """
    old = state.yields
    if state.full and old in state.groups_out:
        return
    state.yields = _whose_turn_is_over(state, now) if state.full else None
    if old is not None and old in state.shelved and not _shut(state, old):
        _take_down(state, old)
    if state.yields is not None and (group := state.active.get(state.yields)) is not None and group.waiting:
        _put_up(state, group)


def _whose_turn_is_over(state: LabState, now: float) -> GroupKey | None:
    for key, since in state.groups_out.items():
        if key not in state.refused:
            too_many = state.most_groups is not None and len(state.groups_out) > state.most_groups
            return key if too_many or (now - since >= _TURN_S and _somebody_waits(state)) else None
    return None


def _somebody_waits(state: LabState) -> bool:
    """Whether a group waits for room alone that a slot could run."""
    return any(
        waits_for_room(state, key)
        and not _shut_by_rules(state, key)
        and state.measures.record(key.capability, shelf.labels).slots
        for key, shelf in state.shelved.items()
    )


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
    return key == state.yields or (state.full and (group is None or not group.out))


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
