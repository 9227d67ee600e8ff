"""Groups of which nothing may start: what waits in them stands on a shelf, out of the policy's sight.

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
    if (rules.pauses or rules.limits or state.held_builds) and _shut(state, key):
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


def _shut(state: LabState, key: GroupKey) -> bool:
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
