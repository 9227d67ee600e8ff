"""Blocked groups: nothing of them may start, and their waiting jobs are kept out of the policy's sight.

They are paused, their build is held, their organisation is at its limit, or as many groups have jobs in
flight as the server serves. Of these groups one after the other yields while others wait for room: first the
one that has had it for longest.

Jobs in flight go on, and orphans still get a slot. Blocking a group costs the same for one job and for a
million.
"""

from __future__ import annotations

from typing import Final

from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import GroupKey, LabState

_TURN_S: Final = 120.0
"""For so long a group keeps its room even where others wait: each change may cost an install."""
_ROTATE_EVERY_S: Final = 1.0
"""How often it is checked whose turn is over: very many groups may wait."""


def blocked_group(state: LabState, key: GroupKey) -> Group | None:
    """The blocked jobs of a group, which is blocked now if it has to be; None when it is not."""
    blocked = state.blocked.get(key)
    if blocked is not None:
        return blocked
    rules = state.rules
    limited = state.at_group_limit or state.yielding or state.refused
    if (rules.pauses or rules.limits or state.held_builds or limited) and _must_block(state, key):
        return _block(state, state.group(key))
    return None


def reevaluate(state: LabState, org_id: str | None = None) -> None:
    """Block and unblock groups, all or an organisation's, after something changed that decides on it."""
    for key in state.blocked.keys_of(org_id):
        if not _must_block(state, key):
            _unblock(state, key)
    for key in state.active.keys_of(org_id):
        group = state.active[key]
        if group.waiting and _must_block(state, key):
            _block(state, group)


def limit_groups(state: LabState, max_groups: int | None, refused: frozenset[GroupKey]) -> None:
    """Jobs of so many groups may be in flight; those of `refused` are, but no slot can pull them."""
    state.max_groups, state.refused = max_groups, refused
    state.at_group_limit = _is_at_group_limit(state)
    reevaluate(state)


def update_group_limit(state: LabState) -> None:
    """Block groups without jobs in flight if the limit is reached, or unblock them if not any more."""
    at_limit = _is_at_group_limit(state)
    if at_limit != state.at_group_limit:
        state.at_group_limit = at_limit
        reevaluate(state)


def _is_at_group_limit(state: LabState) -> bool:
    return state.max_groups is not None and len(state.groups_in_flight) >= state.max_groups


def rotate(state: LabState, now: float) -> None:
    """While groups wait for room, let another one yield; at once where some are refused.

    Otherwise a group with enough work for several slots would always have jobs in flight, and never make
    room.
    """
    if state.at_group_limit and now - state.rotated_at < _ROTATE_EVERY_S:
        return
    state.rotated_at = now
    before, state.yielding = state.yielding, _next_yielding(state, now)
    for key in before:
        if key in state.blocked and not _must_block(state, key):
            _unblock(state, key)
    for key in state.yielding:
        if (group := state.active.get(key)) is not None and group.waiting:
            _block(state, group)


def _next_yielding(state: LabState, now: float) -> dict[GroupKey, float]:
    """The groups that yield from now on, and since when.

    One that has nothing to start, or whose jobs take long to end, does not hold up the turns of others.
    """
    if not state.at_group_limit or state.max_groups is None:
        return {}
    able = [key for key in state.groups_in_flight if _can_make_room(state, key)]
    yielding = {key: since for key, since in state.yielding.items() if key in able}
    if any(key in state.blocked and now - since < _TURN_S for key, since in yielding.items()):
        return yielding
    candidates = [key for key in able if key not in yielding]
    longest = min(candidates, key=lambda key: state.groups_in_flight[key], default=None)
    if longest is not None:
        over_limit = bool(state.refused) and len(state.groups_in_flight) > state.max_groups
        leaving_helps = len(state.groups_in_flight) - len(able) < state.max_groups
        turn_is_over = now - state.groups_in_flight[longest] >= _TURN_S
        if over_limit or (leaving_helps and turn_is_over and _any_waits_for_room(state)):
            yielding[longest] = now
    return yielding


def _can_make_room(state: LabState, key: GroupKey) -> bool:
    """Whether a group has room, and jobs in flight on slots, which end; orphans may not."""
    group = state.groups.get(key)
    return group is not None and key not in state.refused and group.in_flight > len(group.orphans)


def _any_waits_for_room(state: LabState) -> bool:
    """Whether a group that a slot could run waits for nothing but room."""
    offered = {slot.labels for slot in state.slots.values() if slot.available}
    fits: dict[str, bool] = {}
    for key, blocked in state.blocked.items():
        if key in state.groups_in_flight and key not in state.refused:
            continue
        if key.capability not in fits:
            fits[key.capability] = any(blocked.labels <= labels for labels in offered)
        if fits[key.capability] and not _blocked_by_rules(state, key):
            return True
    return False


def on_first_in_flight(state: LabState, key: GroupKey, now: float) -> None:
    """The first job of a group is in flight.

    Its turn goes on where it takes the room again that it has just left, and begins otherwise.
    """
    if key not in state.room_left:
        state.room_left.clear()
    state.groups_in_flight[key] = state.room_left.pop(key, now)
    if not state.at_group_limit:
        update_group_limit(state)
    elif key in state.blocked and not _must_block(state, key):
        _unblock(state, key)


def on_none_in_flight(state: LabState, key: GroupKey) -> None:
    """No job of a group is in flight any more. Where others wait for room, all are equal with the next tick.

    A group that yields leaves its slot to them at once: if it went on, it would take it.
    """
    since = state.groups_in_flight.pop(key)
    if state.at_group_limit:
        state.room_left[key] = since
    group = state.active.get(key)
    if state.at_group_limit and group is not None and group.waiting:
        _block(state, group)
    if key in state.yielding:
        update_group_limit(state)


def waits_for_room(state: LabState, key: GroupKey) -> bool:
    """Whether nothing of a group starts as there are as many groups as there may be."""
    group = state.groups.get(key)
    is_new = group is None or not group.in_flight
    return key in state.yielding or key in state.refused or (state.at_group_limit and is_new)


def _must_block(state: LabState, key: GroupKey) -> bool:
    return _blocked_by_rules(state, key) or waits_for_room(state, key)


def _blocked_by_rules(state: LabState, key: GroupKey) -> bool:
    return key[1:] in state.held_builds or state.rules.blocks(key, state.org_in_flight)


def _block(state: LabState, group: Group) -> Group:
    """Move what waits in a group to a group of its own that the policy does not see."""
    blocked = state.blocked[group.key] = Group(group.key, group.labels, None, group.number)
    group.move_jobs_to(blocked)
    if not group.orphans:
        state.active.drop(group.key)
        if not group.in_flight and not group.slots:
            state.groups.pop(group.key, None)
    return blocked


def _unblock(state: LabState, key: GroupKey) -> None:
    blocked, group = state.blocked[key], state.group(key)
    del state.blocked[key]
    blocked.move_jobs_to(group)
    state.active[key] = group
