"""`decide(state, event, now) -> (state, effects)`: bookkeeping around the policy.

The state is owned by the caller and changed in place, which a million waiting jobs demand; equal
histories give equal states and effects. There is no clock here and no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from heapq import heapify, heappop, heappush

from qgjob.domain.placement import policy, shelves
from qgjob.domain.placement.gates import Move
from qgjob.domain.placement.model import (
    AWAIT_S,
    MAX_WINDOW,
    WINDOW_S,
    Bind,
    BuildWithheld,
    Effect,
    Event,
    Expire,
    Group,
    GroupKey,
    Job,
    JobArrived,
    JobEnded,
    JobReprioritised,
    JobStarted,
    JobWasReleased,
    JobWithdrawn,
    LabState,
    Release,
    Released,
    RulesChanged,
    Slot,
    SlotLost,
    SlotProbed,
    SlotSeen,
    SlotWithheld,
    Tick,
    Withheld,
)
from qgjob.domain.retry import MAX_AVOID


def decide(
    state: LabState, event: Event, now: float, *, choose: policy.Chooser = policy.choose
) -> tuple[LabState, list[Effect]]:
    """Take one event in and say what follows. `now`: seconds, never running backwards.

    `choose` is another policy than ours, for comparisons.
    """
    effects: list[Effect] = []
    note(state, event, now, effects)
    dispatch(state, now, effects, choose=choose)
    return state, effects


def note(state: LabState, event: Event, now: float, effects: list[Effect]) -> None:
    """Take an event in without dispatching: several may be noted before one `dispatch`."""
    match event:
        case JobArrived(job):
            _arrived(state, job, now)
        case JobStarted(job_id, attempt, slot):
            _started(state, job_id, attempt, slot, now)
        case JobEnded():
            _ended(state, event, now)
        case SlotSeen():
            _slot_seen(state, event, now)
        case SlotLost(name):
            _slot_lost(state, name)
        case JobWithdrawn(job_id):
            _withdrawn(state, job_id)
        case JobReprioritised(job_id, priority):
            _reprioritised(state, job_id, priority, now)
        case RulesChanged(rules):
            state.rules = rules
            shelves.sort_out(state)
        case SlotWithheld(name, why):
            _withhold(state, name, why)
        case SlotProbed(name, on):
            _probe(state, name, on=on)
        case BuildWithheld(build, why):
            state.held_builds.pop(build, None)
            if why is not None:
                state.held_builds[build] = why
            shelves.sort_out(state, build[0])
        case JobWasReleased(job, slot):
            _was_released(state, job, slot, now)
        case Tick():
            _tick(state, now, effects)


def dispatch(
    state: LabState, now: float, effects: list[Effect], *, choose: policy.Chooser = policy.choose
) -> None:
    """Give work to free slots until the policy has nothing more for them."""
    while state.free and state.active:
        choice = choose(state, now)
        if choice is None:
            return
        slot, group, job, because = choice
        if slot.bound != group.key:
            _bind(state, slot, group, effects)
        if job is None:  # an orphan: it is in the work stream already, the slot need only be there
            orphan = min(group.orphans)
            group.orphans.discard(orphan)
            _hold(state, slot, state.out[orphan], now)
            _settle(state, group)
            continue
        group.remove(job)
        del state.jobs[job.job_id]
        state.depths[job.level] -= 1
        released = state.out[job.job_id] = Released(job, None)
        group.out += 1
        _hold(state, slot, released, now)
        _settle(state, group)
        slot.last_used = now
        _went_out(state, job)
        effects.append(Release(job, slot.name, because))


def window(state: LabState, group: GroupKey) -> int:
    """How many jobs of a group may be out for one slot: about 200 ms of work, at least one."""
    expected = state.estimates.group(group)
    return 1 if expected >= WINDOW_S else min(MAX_WINDOW, max(1, int(WINDOW_S / max(expected, 1e-3))))


def _bind(state: LabState, slot: Slot, group: Group, effects: list[Effect]) -> None:
    if slot.bound is not None and (old := state.groups.get(slot.bound)):
        old.slots.discard(slot.name)
        _settle(state, old)
    slot.bound = group.key
    group.slots.add(slot.name)
    effects.append(Bind(slot.name, group.key))


def _hold(state: LabState, slot: Slot, released: Released, now: float) -> None:
    released.slot = slot.name
    job = released.job
    _, org, build = job.group
    install_s = 0.0 if slot.held or (org, build) in slot.installed else state.estimates.install(org, build)
    released.until = max(now, slot.until) + install_s + state.expected_s(job)
    slot.held[released.job.job_id] = released
    _settle_slot(state, slot)


def _let_go(state: LabState, released: Released) -> None:
    job_id = released.job.job_id
    state.groups[released.job.group].orphans.discard(job_id)
    slot = state.slots.get(released.slot or "")
    if slot is not None and slot.held.pop(job_id, None) is not None:
        _settle_slot(state, slot)
    released.slot = None


def _settle_slot(state: LabState, slot: Slot) -> None:
    if slot.counted != (slot.labels, slot.available):
        slot.counted = (slot.labels, slot.available)
        state.index.slots_changed = True
    _works(state, slot)
    several = slot.bound is not None and slot.held and slot.name not in state.probing
    limit = window(state, slot.bound) if several and slot.bound is not None else 1
    if slot.available and len(slot.held) < limit:
        state.free[slot.name] = slot
    else:
        state.free.pop(slot.name, None)


def _works(state: LabState, slot: Slot) -> None:
    """Let the slot count for the group whose jobs it holds, until it is expected to be done."""
    group, until = None, 0.0
    for released in slot.held.values():
        group = state.groups[released.job.group]
        until = max(until, released.until)
    if group is slot.works_on and until == slot.until:
        return
    if slot.works_on is not None:
        slot.works_on.works(slot.until, -1)
        state.index.changed[slot.works_on.number] = slot.works_on
    slot.works_on, slot.until = group, until
    if group is not None:
        group.works(until, 1)
        state.index.changed[group.number] = group


def _settle(state: LabState, group: Group) -> None:
    if group.waiting or group.orphans:
        state.active[group.key] = group
        return
    state.active.pop(group.key, None)
    if not group.out and not group.slots:
        state.groups.pop(group.key, None)


def _arrived(state: LabState, job: Job, now: float) -> None:
    waiting, out = state.jobs.get(job.job_id), state.out.get(job.job_id)
    known = waiting or (out.job if out else None)
    if known is not None:
        if known.attempt >= job.attempt:
            return
        _forget(state, known)
    state.jobs[job.job_id] = job
    state.depths[job.level] += 1
    if job.expires_at is not None:
        heappush(state.expiring, (job.expires_at, job.order, job.attempt, job))
        if len(state.expiring) > 64 + 4 * len(state.jobs):  # most of them left long ago
            state.expiring = [e for e in state.expiring if state.jobs.get(e[3].job_id) is e[3]]
            heapify(state.expiring)
    if job.not_before is not None and job.not_before > now:
        job.delayed = True
        heappush(state.delayed, (job.not_before, job.order, job.attempt, job))
        return
    _enqueue(state, job, now)


def _forget(state: LabState, job: Job) -> None:
    """An attempt is over, whatever we knew of it."""
    released = state.out.pop(job.job_id, None)
    if released is None:
        _withdrawn(state, job.job_id)
        return
    group = state.groups[job.group]
    group.out -= 1
    _let_go(state, released)
    _settle(state, group)
    _came_back(state, released.job)


def _enqueue(state: LabState, job: Job, now: float) -> None:
    if job.expected_s is None:
        job.expected_s = state.estimates.known(job.group.org_id, job.test)
    state.measures.arrived(state, job, now)
    if job.max_parallel is None:
        _stand(state, job)
    else:
        _move(state, state.gates.enter(job))


def _stand(state: LabState, job: Job) -> None:
    """Let a job wait in its group, or on the shelf while nothing of the group may start."""
    shelf = shelves.of(state, job.group)
    if shelf is not None:
        shelf.push(job)
        return
    group = state.group(job.group)
    group.push(job)
    state.active[group.key] = group


def _leave(state: LabState, job: Job) -> None:
    """A job does not wait any more where it stood."""
    parked = job.parked
    moves = state.gates.leave(job) if job.max_parallel is not None else ()
    if not parked:
        _step_out(state, job)
    _move(state, moves)


def _step_out(state: LabState, job: Job) -> None:
    shelf = state.shelved.get(job.group)
    if shelf is not None:
        shelf.remove(job)
        if not shelf.waiting:
            del state.shelved[job.group]
        return
    group = state.groups[job.group]
    group.remove(job)
    _settle(state, group)


def _move(state: LabState, moves: Iterable[Move]) -> None:
    """Carry out what a gate decided."""
    for job, enters in moves:
        if enters:
            _stand(state, job)
        else:
            _step_out(state, job)


def _went_out(state: LabState, job: Job) -> None:
    """One more job is out: those of its run or organisation that were next may have to wait."""
    if job.max_parallel is not None:
        _move(state, state.gates.release(job))
    org = job.group.org_id
    out = state.org_out[org] = state.org_out.get(org, 0) + 1
    if out == state.rules.limits.get(org):
        shelves.sort_out(state, org)


def _came_back(state: LabState, job: Job) -> None:
    """One job less is out."""
    if job.max_parallel is not None:
        _move(state, state.gates.end(job))
    org = job.group.org_id
    out = state.org_out[org] = state.org_out[org] - 1
    if out + 1 == state.rules.limits.get(org):
        shelves.sort_out(state, org)
    if not out:
        del state.org_out[org]


def _reprioritised(state: LabState, job_id: str, priority: int, now: float) -> None:
    job = state.jobs.get(job_id)
    if job is None or job.priority == priority:
        return
    _withdrawn(state, job_id)
    fresh = replace(job, priority=priority, delayed=False, gone=False, parked=False)
    _arrived(state, fresh, now)


def _was_released(state: LabState, job: Job, slot_name: str | None, now: float) -> None:
    if job.job_id in state.out or job.job_id in state.jobs:
        return
    group = state.group(job.group)
    state.out[job.job_id] = Released(job, None)
    group.out += 1
    group.orphans.add(job.job_id)
    state.index.orphaned[group.number] = group
    if slot_name is not None:
        _started(state, job.job_id, job.attempt, slot_name, now)
    _settle(state, group)
    _went_out(state, job)


def _withdrawn(state: LabState, job_id: str) -> None:
    job = state.jobs.pop(job_id, None)
    if job is None:
        return
    state.depths[job.level] -= 1
    if job.delayed:
        job.gone = True  # its entry among the delayed is dropped when its time comes
        return
    _leave(state, job)


def _started(state: LabState, job_id: str, attempt: int, slot_name: str, now: float) -> None:
    released = state.out.get(job_id)
    if released is None or released.job.attempt != attempt:
        return
    group = state.groups[released.job.group]
    slot = state.slots.get(slot_name)
    if slot is None:  # its report has not come yet: it is taken up then
        _let_go(state, released)
        released.slot, released.started = slot_name, True
        state.awaited.setdefault(slot_name, {})[job_id] = now + AWAIT_S
        _settle(state, group)
        return
    if job_id not in slot.held:
        _swap(state, released, slot, now)
    released.started = True
    slot.last_used = now
    build = (group.key.org_id, group.key.app_version_id)
    if build not in slot.installed:
        slot.installed = frozenset({build})  # what it really holds, its next report says
    _settle(state, group)


def _swap(state: LabState, released: Released, slot: Slot, now: float) -> None:
    """Another slot took a job than the one it was meant for: they change what they are promised."""
    meant = state.slots.get(released.slot or "")
    other = next((r for r in slot.held.values() if not r.started), None)
    _let_go(state, released)
    if meant is not None and other is not None and other.job.group == released.job.group:
        _let_go(state, other)
        _hold(state, meant, other, now)
    _hold(state, slot, released, now)


def _ended(state: LabState, event: JobEnded, now: float) -> None:
    released = state.out.get(event.job_id)
    job = released.job if released else state.jobs.get(event.job_id)
    if job is None or job.attempt != event.attempt:
        return
    if event.ran_s is not None and event.good:
        state.estimates.ran(job.group, job.test, event.ran_s)
    if event.installed:
        state.installs += 1
        if group := state.groups.get(job.group):
            group.installs += 1
        if event.install_s is not None:
            state.estimates.installed(job.group.org_id, job.group.app_version_id, event.install_s)
    elif event.ran_s is not None:
        state.installs_avoided += 1
    _forget(state, job)
    slot = state.slots.get(event.slot or "")
    if slot is not None:
        slot.last_used = now


def _slot_seen(state: LabState, seen: SlotSeen, now: float) -> None:
    slot = state.slots.get(seen.name)
    if slot is not None and slot.instance != seen.instance:
        _slot_lost(state, seen.name)
        slot = None
    if slot is None:
        slot = state.slots[seen.name] = Slot(seen.name, seen.labels, instance=seen.instance)
    slot.labels = seen.labels
    slot.open, slot.note = seen.available, seen.note
    slot.available = seen.available and seen.name not in state.withheld
    slot.installed = seen.installed
    if seen.bound != slot.bound:
        _rebound(state, slot, seen.bound)
    for job_id in state.awaited.pop(seen.name, {}):
        if job_id != seen.job_id:
            _not_held_by(state, job_id, seen.name)  # by an agent that ran here before
    released = state.out.get(seen.job_id or "")
    if released is not None and seen.attempt in {None, released.job.attempt}:
        _started(state, released.job.job_id, released.job.attempt, seen.name, now)
    if not slot.available:
        _hand_on(state, slot)
    _settle_slot(state, slot)


def _withhold(state: LabState, name: str, why: Withheld | None) -> None:
    state.withheld.pop(name, None)
    if why is not None:
        state.withheld[name] = why
    slot = state.slots.get(name)
    if slot is None:
        return
    slot.available = slot.open and why is None
    if not slot.available:
        _hand_on(state, slot)
    _settle_slot(state, slot)


def _hand_on(state: LabState, slot: Slot) -> None:
    """What was released for a slot that takes nothing more, and did not start, is for others."""
    for released in [released for released in slot.held.values() if not released.started]:
        del slot.held[released.job.job_id]
        _orphan(state, released)


def _probe(state: LabState, name: str, *, on: bool) -> None:
    (state.probing.add if on else state.probing.discard)(name)
    slot = state.slots.get(name)
    if slot is not None:
        _settle_slot(state, slot)


def _rebound(state: LabState, slot: Slot, bound: GroupKey | None) -> None:
    """The slot pulls from another group than we believe; the report may have crossed a binding."""
    if slot.held:
        return
    if slot.bound is not None and (old := state.groups.get(slot.bound)):
        old.slots.discard(slot.name)
        _settle(state, old)
    slot.bound = bound
    if bound is not None:
        state.group(bound).slots.add(slot.name)


def _slot_lost(state: LabState, name: str) -> None:
    slot = state.slots.pop(name, None)
    state.free.pop(name, None)
    if slot is None:
        return
    for released in slot.held.values():
        if released.started:  # perhaps it is the job that brings it down
            released.job.avoid = (*released.job.avoid, name)[-MAX_AVOID:]
        _orphan(state, released)
    slot.held.clear()
    state.index.slots_changed = True
    _works(state, slot)
    if slot.bound is not None and (group := state.groups.get(slot.bound)):
        group.slots.discard(name)
        _settle(state, group)


def _orphan(state: LabState, released: Released) -> None:
    """Nobody is known to hold it: the work stream gives it to whoever is bound to its group."""
    group = state.groups[released.job.group]
    group.orphans.add(released.job.job_id)
    state.index.orphaned[group.number] = group
    released.slot, released.started = None, False
    state.active[group.key] = group


def _not_held_by(state: LabState, job_id: str, slot_name: str) -> None:
    released, slot = state.out.get(job_id), state.slots.get(slot_name)
    if released is not None and released.slot == slot_name and (slot is None or job_id not in slot.held):
        _orphan(state, released)


def _tick(state: LabState, now: float, effects: list[Effect]) -> None:
    for name in [name for name, jobs in state.awaited.items() if any(at <= now for at in jobs.values())]:
        for job_id in state.awaited.pop(name):
            _not_held_by(state, job_id, name)
    while state.delayed and state.delayed[0][0] <= now:
        *_, job = heappop(state.delayed)
        if not job.gone:
            job.delayed = False
            _enqueue(state, job, now)
    while state.expiring and state.expiring[0][0] <= now:
        *_, job = heappop(state.expiring)
        if state.jobs.get(job.job_id) is job:
            _withdrawn(state, job.job_id)
            effects.append(Expire(job))
