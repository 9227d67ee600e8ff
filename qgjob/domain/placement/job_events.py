"""What the core does when something happens to a job: it comes, changes, starts, ends, is dropped."""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush

from qgjob.domain.placement import holding, standing
from qgjob.domain.placement.model import AWAIT_S, Effect, Expire, Job, JobEnded, LabState, Released, Slot


def arrived(state: LabState, job: Job, now: float) -> None:
    """A new job, or a later attempt of one; an earlier one is stale."""
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
        if len(state.delayed) > 64 + 4 * len(state.jobs):
            state.delayed = [e for e in state.delayed if not e[3].gone]
            heapify(state.delayed)
        return
    standing.enqueue(state, job, now)


def reprioritised(state: LabState, job_id: str, priority: int, now: float) -> None:
    """A waiting job gets another priority; what is out keeps its own."""
    job = state.jobs.get(job_id)
    if job is None or job.priority == priority:
        return
    withdrawn(state, job_id)
    fresh = replace(job, priority=priority, delayed=False, gone=False, parked=False)
    arrived(state, fresh, now)


def withdrawn(state: LabState, job_id: str) -> None:
    """A job is not wanted any more; only what waits is concerned."""
    job = state.jobs.pop(job_id, None)
    if job is None:
        return
    state.depths[job.level] -= 1
    if job.delayed:
        job.gone = True  # its entry among the delayed is dropped when its time comes
        return
    standing.leave(state, job)


def was_released(state: LabState, job: Job, slot_name: str | None, now: float) -> None:
    """A leader before us released it: an orphan, unless it is known where it runs."""
    if job.job_id in state.out or job.job_id in state.jobs:
        return
    group = state.group(job.group)
    state.out[job.job_id] = Released(job, None)
    group.out += 1
    group.orphans.add(job.job_id)
    state.index.orphaned[group.number] = group
    if slot_name is not None:
        started(state, job.job_id, job.attempt, slot_name, now)
    holding.settle(state, group)
    standing.went_out(state, job, now)


def started(state: LabState, job_id: str, attempt: int, slot_name: str, now: float) -> None:
    """A slot says that it runs a job; a stale attempt is ignored."""
    released = state.out.get(job_id)
    if released is None or released.job.attempt != attempt:
        return
    group = state.groups[released.job.group]
    slot = state.slots.get(slot_name)
    if slot is None:  # its report has not come yet: it is taken up then
        holding.let_go(state, released)
        released.slot, released.started = slot_name, True
        state.awaited.setdefault(slot_name, {})[job_id] = now + AWAIT_S
        holding.settle(state, group)
        return
    if job_id not in slot.held:
        _swap(state, released, slot, now)
    released.started = True
    slot.last_used = now
    build = (group.key.org_id, group.key.app_version_id)
    if build not in slot.installed:
        slot.installed = frozenset({build})  # what it really holds, its next report says
    holding.settle(state, group)


def _swap(state: LabState, released: Released, slot: Slot, now: float) -> None:
    """Another slot took a job than the one it was meant for: they change what they are promised."""
    meant = state.slots.get(released.slot or "")
    other = next((r for r in slot.held.values() if not r.started), None)
    holding.let_go(state, released)
    if meant is not None and other is not None and other.job.group == released.job.group:
        holding.let_go(state, other)
        holding.hold(state, meant, other, now)
    holding.hold(state, slot, released, now)


def ended(state: LabState, event: JobEnded, now: float) -> None:
    """An attempt is over: what it took is learned, and its slot is free."""
    released = state.out.get(event.job_id)
    job = released.job if released else state.jobs.get(event.job_id)
    if job is None or job.attempt != event.attempt:
        return
    if event.ran_s is not None and event.good:
        files = event.files if job.files else None
        state.estimates.ran(job.group, job.test, event.ran_s, files=files)
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


def _forget(state: LabState, job: Job) -> None:
    """An attempt is over, whatever we knew of it."""
    released = state.out.pop(job.job_id, None)
    if released is None:
        withdrawn(state, job.job_id)
        return
    group = state.groups[job.group]
    group.out -= 1
    holding.let_go(state, released)
    holding.settle(state, group)
    standing.came_back(state, released.job)


def come_due(state: LabState, now: float, effects: list[Effect]) -> None:
    """Let jobs in whose time has come, and drop those whose time is over."""
    while state.delayed and state.delayed[0][0] <= now:
        *_, job = heappop(state.delayed)
        if not job.gone:
            job.delayed = False
            standing.enqueue(state, job, now)
    while state.expiring and state.expiring[0][0] <= now:
        *_, job = heappop(state.expiring)
        if state.jobs.get(job.job_id) is job:
            withdrawn(state, job.job_id)
            effects.append(Expire(job))
