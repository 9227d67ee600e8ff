"""The policy: which free slot gets which waiting job next.

Most urgent class first. Within a class a slot that has the build comes first. A build that has to be
installed first gets a slot when none works on it, or when its waiting work per slot exceeds the
install; the fewer slots work on it the sooner, so that builds share the slots instead of passing
through all of them one after the other. Then the most urgent number, then the longest wait. Among
slots the one least recently used, and one whose build nobody waits for.
"""

from __future__ import annotations

from collections.abc import Callable

from qgjob.domain.placement.model import Group, GroupKey, Job, LabState, Slot

Choice = tuple[Slot, Group, Job | None, str]
"""A slot, its next group and job (None: an orphan that is released already), and why."""


Chooser = Callable[[LabState, float], Choice | None]
"""A policy: the next pair, or None when no free slot should take anything now."""


def choose(state: LabState, now: float) -> Choice | None:
    """The next pair, or None when no free slot should take anything now."""
    del now  # ageing comes with the whole policy
    for group in state.active.values():
        if group.orphans and (choice := _for_orphan(state, group)):
            return choice
    levels: dict[int, list[tuple[int, float, int, Group]]] = {}
    for group in state.active.values():
        job = group.head()
        if job is not None:
            levels.setdefault(job.level, []).append((-job.priority, job.arrived_at, job.order, group))
    for level in sorted(levels):
        ranked = [entry[3] for entry in sorted(levels[level])]
        if choice := _sticky(state, ranked) or _install(state, ranked):
            return choice
    return None


def _for_orphan(state: LabState, group: Group) -> Choice | None:
    best: Slot | None = None
    for slot in state.free.values():
        if slot.held or not group.labels <= slot.labels:
            continue
        if best is None or (group.key == slot.bound, -slot.last_used) > (
            group.key == best.bound,
            -best.last_used,
        ):
            best = slot
    return None if best is None else (best, group, None, "takes over work whose slot was lost")


def _sticky(state: LabState, ranked: list[Group]) -> Choice | None:
    holders: dict[GroupKey, Slot] = {}
    builds: dict[tuple[str, str], list[Slot]] = {}
    for slot in state.free.values():
        if slot.bound is not None and (slot.held or _has(slot, slot.bound)):
            have = holders.get(slot.bound)
            if have is None or len(slot.held) < len(have.held):
                holders[slot.bound] = slot
        if not slot.held:
            for build in slot.installed:
                builds.setdefault(build, []).append(slot)
    for group in ranked:
        slot = holders.get(group.key)
        if slot is not None and (job := _job_for(state, group, slot)):
            return slot, group, job, "the build is installed there"
        for slot in builds.get((group.key.org_id, group.key.app_version_id), ()):
            if group.labels <= slot.labels and (job := _job_for(state, group, slot)):
                return slot, group, job, "the build is installed there"
    return None


def _install(state: LabState, ranked: list[Group]) -> Choice | None:
    wanted = {group.key[1:] for group in state.active.values() if group.waiting}
    spare = [slot for slot in state.free.values() if not slot.held]
    if not spare:
        return None
    spare.sort(key=lambda s: (bool(s.installed & wanted), s.last_used, s.name))
    for group in sorted(ranked, key=lambda g: _working(state, g)):
        if not _pays(state, group):
            continue
        for slot in spare:
            if group.labels <= slot.labels and (job := _job_for(state, group, slot)):
                return (
                    slot,
                    group,
                    job,
                    "the longest waiting of the most urgent; the build is installed first",
                )
    return None


def _job_for(state: LabState, group: Group, slot: Slot) -> Job | None:
    """The group's next job for a slot; one that avoids the slot is passed over if another slot will do."""
    job = group.head()
    if job is None or slot.name not in job.avoid:
        return job
    for job in group.first(16):
        if slot.name not in job.avoid or not _elsewhere(state, group, job):
            return job
    return None


def _elsewhere(state: LabState, group: Group, job: Job) -> bool:
    return any(
        slot.available and group.labels <= slot.labels and slot.name not in job.avoid
        for slot in state.slots.values()
    )


def _pays(state: LabState, group: Group) -> bool:
    """Whether another slot for the group is worth an install."""
    working = _working(state, group)
    if not working:
        return True
    work = group.waiting * state.estimates.group(group.key)
    return work / working > state.estimates.install(group.key.org_id, group.key.app_version_id)


def _working(state: LabState, group: Group) -> int:
    """How many slots work on the group and may take its next job."""
    job = group.head()
    avoid = job.avoid if job else ()
    slots = (state.slots.get(name) for name in group.slots)
    return sum(1 for slot in slots if slot and slot.available and slot.name not in avoid)


def _has(slot: Slot, key: GroupKey) -> bool:
    return (key.org_id, key.app_version_id) in slot.installed
