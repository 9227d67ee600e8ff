"""Groups of which nothing may start: what waits in them stands on a shelf, out of the policy's sight.

They are paused, their organisation is at its limit, or there are as many groups already as there may be.

What of them is out already goes on, and an orphan still gets a slot.
"""

from __future__ import annotations

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.index import Index
from qgjob.domain.placement.model import GroupKey, LabState


def of(state: LabState, key: GroupKey) -> Group | None:
    """The shelf of a group, made if it has to have one; None when the group is open."""
    shelf = state.shelved.get(key)
    if shelf is not None:
        return shelf
    rules = state.rules
    if (rules.pauses or rules.limits or state.held_builds or state.full) and _shut(state, key):
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
    full = state.most_groups is not None and state.groups_out >= state.most_groups
    if full != state.full:
        state.full = full
        sort_out(state)


def went_out(state: LabState, key: GroupKey) -> None:
    """The first job of a group is out."""
    state.groups_out += 1
    if not state.full:
        make_room(state)
    elif key in state.shelved and not _shut(state, key):
        _take_down(state, key)


def came_back(state: LabState, key: GroupKey) -> None:
    """No job of a group is out any more. Where others wait for room all are equal with the next tick."""
    state.groups_out -= 1
    group = state.active.get(key)
    if state.full and group is not None and group.waiting:
        _put_up(state, group)


def waits_for_room(state: LabState, key: GroupKey) -> bool:
    """Whether nothing of a group starts as there are as many groups as there may be."""
    group = state.groups.get(key)
    return state.full and (group is None or not group.out)


def _shut(state: LabState, key: GroupKey) -> bool:
    return key[1:] in state.held_builds or state.rules.shut(key, state.org_out) or waits_for_room(state, key)


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
