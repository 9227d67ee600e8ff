"""Which slot holds and pulls what: promises of jobs that are out, bindings, and what follows for both."""

from __future__ import annotations

from collections.abc import Iterable

from qgjob.domain.placement.model import (
    MAX_WINDOW,
    OVERDUE_S,
    WINDOW_S,
    Bind,
    Effect,
    Group,
    GroupKey,
    LabState,
    Released,
    Slot,
)


def window(state: LabState, group: GroupKey) -> int:
    """How many jobs of a group may be out for one slot: about 200 ms of work, at least one."""
    expected = state.estimates.group(group)
    return 1 if expected >= WINDOW_S else min(MAX_WINDOW, max(1, int(WINDOW_S / max(expected, 1e-3))))


def bind(state: LabState, slot: Slot, group: Group, effects: list[Effect]) -> None:
    """Let a slot pull from a group, and no longer from the one before."""
    if slot.bound is not None and (old := state.groups.get(slot.bound)):
        old.slots.discard(slot.name)
        settle(state, old)
    slot.bound = group.key
    group.slots.add(slot.name)
    effects.append(Bind(slot.name, group.key))


def rebind(state: LabState, slot: Slot, bound: GroupKey | None) -> None:
    """The slot pulls from another group than we believe; the report may have crossed a binding."""
    if slot.held:
        return
    if slot.bound is not None and (old := state.groups.get(slot.bound)):
        old.slots.discard(slot.name)
        settle(state, old)
    slot.bound = bound
    if bound is not None:
        state.group(bound).slots.add(slot.name)


def unbind_all(state: LabState, groups: Iterable[GroupKey]) -> None:
    """No slot pulls any more from groups of which nothing is out."""
    for group in [found for key in groups if (found := state.groups.get(key)) is not None and not found.out]:
        for name in group.slots:
            state.slots[name].bound = None
        group.slots.clear()
        settle(state, group)


def hand_back(state: LabState, groups: Iterable[GroupKey]) -> None:
    """No slot can pull from these groups yet: what was promised to one, and did not start, is an orphan."""
    for group in [found for key in groups if (found := state.groups.get(key)) is not None]:
        for slot in [state.slots[name] for name in group.slots]:
            for released in [released for released in slot.held.values() if not released.started]:
                del slot.held[released.job.job_id]
                orphan(state, released)
            if not slot.held:
                slot.bound = None
                group.slots.discard(slot.name)
            settle_slot(state, slot)
        settle(state, group)


def hold(state: LabState, slot: Slot, released: Released, now: float) -> None:
    """Promise a job that is out to a slot."""
    released.slot = slot.name
    job = released.job
    _, org, build = job.group
    install_s = 0.0 if slot.held or (org, build) in slot.installed else state.estimates.install(org, build)
    released.until = max(now, slot.until) + install_s + state.expected_s(job)
    slot.held[released.job.job_id] = released
    settle_slot(state, slot)


def let_go(state: LabState, released: Released) -> None:
    """Nobody is promised it any more, for now."""
    job_id = released.job.job_id
    state.groups[released.job.group].orphans.discard(job_id)
    slot = state.slots.get(released.slot or "")
    if slot is not None and slot.held.pop(job_id, None) is not None:
        settle_slot(state, slot)
    released.slot = None


def orphan(state: LabState, released: Released) -> None:
    """Nobody is known to hold it: the work stream gives it to whoever is bound to its group."""
    group = state.groups[released.job.group]
    group.orphans.add(released.job.job_id)
    state.index.orphaned[group.number] = group
    released.slot, released.started = None, False
    state.active[group.key] = group


def not_held_by(state: LabState, job_id: str, slot_name: str) -> None:
    """A job that was said to be on a slot is not: it becomes an orphan."""
    released, slot = state.out.get(job_id), state.slots.get(slot_name)
    if released is not None and released.slot == slot_name and (slot is None or job_id not in slot.held):
        orphan(state, released)


def settle_slot(state: LabState, slot: Slot) -> None:
    """Say anew whether the slot is free, after anything about it changed."""
    if slot.counted != (slot.labels, slot.available):
        slot.counted = (slot.labels, slot.available)
        state.index.slots_changed = True
    count_for_group(state, slot)
    several = slot.bound is not None and slot.held and slot.name not in state.probing
    limit = window(state, slot.bound) if several and slot.bound is not None else 1
    if slot.available and len(slot.held) < limit:
        state.free[slot.name] = slot
    else:
        state.free.pop(slot.name, None)


def count_for_group(state: LabState, slot: Slot) -> None:
    """Let the slot count for the group whose jobs it holds, until it is expected to be done."""
    group, until = None, 0.0
    for released in slot.held.values():
        group = state.groups[released.job.group]
        until = max(until, released.until)
    if group is slot.works_on and until == slot.until:
        return
    if slot.works_on is not None:
        slot.works_on.works(slot.until, -1)
        _count_for_org(state, slot.works_on.key.org_id, -1)
        state.index.changed[slot.works_on.number] = slot.works_on
    slot.works_on, slot.until = group, until
    if group is not None:
        group.works(until, 1)
        _count_for_org(state, group.key.org_id, 1)
        state.index.changed[group.number] = group


def _count_for_org(state: LabState, org: str, by: int) -> None:
    slots = state.org_slots[org] = state.org_slots.get(org, 0) + by
    if not slots:
        del state.org_slots[org]


def overdue(slot: Slot, now: float) -> bool:
    """Whether what the slot has held longest should have ended long ago: nobody knows when it will."""
    first = next(iter(slot.held.values()), None)
    return first is not None and now > first.until + OVERDUE_S


def settle(state: LabState, group: Group) -> None:
    """Say anew whether the policy has to see the group; forget one that is of no use."""
    if group.waiting or group.orphans:
        state.active[group.key] = group
        return
    state.active.pop(group.key, None)
    if not group.out and not group.slots:
        state.groups.pop(group.key, None)
