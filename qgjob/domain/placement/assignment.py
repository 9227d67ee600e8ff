"""Which slot is bound to which group, and which jobs in flight are assigned to it.

After each change `refresh_slot` and `refresh_group` bring up to date what follows from it: which slots are
free, and which groups the policy has to see.
"""

from __future__ import annotations

from collections.abc import Iterable

from qgjob.domain.placement.events import Bind, Effect
from qgjob.domain.placement.groups import Group
from qgjob.domain.placement.model import (
    MAX_RELEASE_WINDOW,
    OVERDUE_S,
    RELEASE_WINDOW_S,
    GroupKey,
    LabState,
    Released,
    Slot,
)


def release_window(state: LabState, group: GroupKey) -> int:
    """How many jobs of a group may be in flight for one slot: about 200 ms of work, at least one."""
    expected_s = state.estimates.group(group)
    if expected_s >= RELEASE_WINDOW_S:
        return 1
    return min(MAX_RELEASE_WINDOW, max(1, int(RELEASE_WINDOW_S / max(expected_s, 1e-3))))


def bind(state: LabState, slot: Slot, group: Group, effects: list[Effect]) -> None:
    """Let a slot pull from a group, and no longer from the one before."""
    _leave_group(state, slot)
    slot.bound = group.key
    group.slots.add(slot.name)
    effects.append(Bind(slot.name, group.key))


def correct_binding(state: LabState, slot: Slot, bound: GroupKey | None) -> None:
    """A slot reported that it pulls from another group than we believe.

    While jobs are assigned to it nothing changes: its report may have crossed a binding.
    """
    if slot.assigned:
        return
    _leave_group(state, slot)
    slot.bound = bound
    if bound is not None:
        state.group(bound).slots.add(slot.name)


def _leave_group(state: LabState, slot: Slot) -> None:
    if slot.bound is not None and (old := state.groups.get(slot.bound)):
        old.slots.discard(slot.name)
        refresh_group(state, old)


def unbind_all(state: LabState, groups: Iterable[GroupKey]) -> None:
    """Unbind all slots of those groups that have nothing in flight."""
    for key in groups:
        group = state.groups.get(key)
        if group is None or group.in_flight:
            continue
        for name in group.slots:
            state.slots[name].bound = None
        group.slots.clear()
        refresh_group(state, group)


def unassign_unpulled(state: LabState, groups: Iterable[GroupKey]) -> None:
    """No slot can pull from these groups yet: jobs assigned to one that did not start become orphans."""
    for key in sorted(groups):
        group = state.groups.get(key)
        if group is None:
            continue
        for slot in [state.slots[name] for name in sorted(group.slots)]:
            orphan_unstarted(state, slot)
            if not slot.assigned:
                slot.bound = None
                group.slots.discard(slot.name)
            refresh_slot(state, slot)
        refresh_group(state, group)


def assign(state: LabState, slot: Slot, released: Released, now: float) -> None:
    """Assign a job in flight to a slot, behind those that it has."""
    released.slot = slot.name
    job = released.job
    _, org, build = job.group
    install_s = (
        0.0 if slot.assigned or (org, build) in slot.installed else state.estimates.install(org, build)
    )
    released.ends_at = max(now, slot.free_at) + install_s + state.expected_s(job)
    slot.assigned[released.job.job_id] = released
    refresh_slot(state, slot)


def unassign(state: LabState, released: Released) -> None:
    """A job in flight is assigned to no slot, and is no orphan either, for now."""
    job_id = released.job.job_id
    state.groups[released.job.group].orphans.discard(job_id)
    slot = state.slots.get(released.slot or "")
    if slot is not None and slot.assigned.pop(job_id, None) is not None:
        refresh_slot(state, slot)
    released.slot = None


def orphan(state: LabState, released: Released) -> None:
    """No slot is known to have a job in flight: the work stream gives it to whoever is bound to its group."""
    group = state.groups[released.job.group]
    group.orphans.add(released.job.job_id)
    state.index.orphaned[group.number] = group
    released.slot, released.started = None, False
    state.active[group.key] = group


def orphan_unstarted(state: LabState, slot: Slot) -> None:
    """Jobs that are assigned to a slot and did not start become orphans."""
    for released in [released for released in slot.assigned.values() if not released.started]:
        del slot.assigned[released.job.job_id]
        orphan(state, released)


def orphan_if_absent(state: LabState, job_id: str, slot_name: str) -> None:
    """A job becomes an orphan if it was believed to run on a slot that does not report it."""
    released, slot = state.in_flight.get(job_id), state.slots.get(slot_name)
    if released is not None and released.slot == slot_name and (slot is None or job_id not in slot.assigned):
        orphan(state, released)


def refresh_slot(state: LabState, slot: Slot) -> None:
    """Bring up to date whether the slot is free, after anything about it changed."""
    if slot.counted_as != (slot.labels, slot.available):
        slot.counted_as = (slot.labels, slot.available)
        state.index.slots_changed = True
    refresh_worker(state, slot)
    limit = 1
    if slot.assigned and slot.bound is not None and slot.name not in state.probing:
        limit = release_window(state, slot.bound)
    if slot.available and len(slot.assigned) < limit:
        state.free[slot.name] = slot
    else:
        state.free.pop(slot.name, None)


def refresh_worker(state: LabState, slot: Slot) -> None:
    """Count the slot as a worker of the group whose jobs it has, until it is expected to be done."""
    group, free_at = None, 0.0
    for released in slot.assigned.values():
        group = state.groups[released.job.group]
        free_at = max(free_at, released.ends_at)
    if group is slot.works_on and free_at == slot.free_at:
        return
    if slot.works_on is not None:
        slot.works_on.count_worker(slot.free_at, -1)
        state.index.orgs.count_slot(slot.works_on.key.org_id, -1)
        state.index.changed[slot.works_on.number] = slot.works_on
    slot.works_on, slot.free_at = group, free_at
    if group is not None:
        group.count_worker(free_at, 1)
        state.index.orgs.count_slot(group.key.org_id, 1)
        state.index.changed[group.number] = group


def is_overdue(slot: Slot, now: float) -> bool:
    """Whether the job that the slot has had longest should have ended long ago: nobody knows when it will."""
    first = next(iter(slot.assigned.values()), None)
    return first is not None and now > first.ends_at + OVERDUE_S


def refresh_group(state: LabState, group: Group) -> None:
    """Bring up to date whether the policy has to see the group; drop one that is of no use any more."""
    if group.waiting or group.orphans:
        state.active[group.key] = group
        return
    state.active.drop(group.key)
    if not group.in_flight and not group.slots:
        state.groups.pop(group.key, None)
