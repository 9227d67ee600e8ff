"""What the core does when something happens to a job: it arrives, changes, starts, ends, or is withdrawn."""

from __future__ import annotations

from dataclasses import replace
from heapq import heapify, heappop, heappush

from qgjob.domain.placement import assignment, backlog
from qgjob.domain.placement.events import Effect, Expire, JobEnded
from qgjob.domain.placement.model import AWAIT_REPORT_S, Job, LabState, Released, Slot


def on_arrived(state: LabState, job: Job, now: float, *, counted: bool = False) -> None:
    """Add a new job, or a later attempt of a known one; an earlier attempt is ignored.

    `counted`: it waited before, and the load knows it.
    """
    waiting, released = state.jobs.get(job.job_id), state.in_flight.get(job.job_id)
    known = waiting or (released.job if released else None)
    if known is not None:
        if known.attempt >= job.attempt:
            return
        _drop(state, known)
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
    backlog.enqueue(state, job, now, counted=counted)


def reprioritise(state: LabState, job_id: str, priority: int, now: float) -> None:
    """Give a waiting job another priority; a job in flight keeps its own."""
    job = state.jobs.get(job_id)
    if job is None or job.priority == priority:
        return
    withdraw(state, job_id)
    fresh = replace(job, priority=priority, delayed=False, gone=False, parked=False)
    on_arrived(state, fresh, now, counted=not job.delayed)


def withdraw(state: LabState, job_id: str) -> None:
    """Take a job out of the backlog, if it waits."""
    job = state.jobs.pop(job_id, None)
    if job is None:
        return
    state.depths[job.level] -= 1
    if job.delayed:
        job.gone = True  # its entry among the delayed is dropped when its time comes
        return
    backlog.dequeue(state, job)


def on_was_released(state: LabState, job: Job, slot_name: str | None, now: float) -> None:
    """Add a job that an earlier leader released: an orphan, unless it is known where it runs."""
    if job.job_id in state.in_flight or job.job_id in state.jobs:
        return
    group = state.group(job.group)
    state.in_flight[job.job_id] = Released(job, None)
    group.in_flight += 1
    group.orphans.add(job.job_id)
    state.index.orphaned[group.number] = group
    if slot_name is not None:
        on_started(state, job.job_id, job.attempt, slot_name, now)
    assignment.refresh_group(state, group)
    backlog.on_released(state, job, now)


def on_started(state: LabState, job_id: str, attempt: int, slot_name: str, now: float) -> None:
    """A slot runs an attempt of a job; any but the one in flight is ignored."""
    released = state.in_flight.get(job_id)
    if released is None or released.job.attempt != attempt:
        return
    group = state.groups[released.job.group]
    slot = state.slots.get(slot_name)
    if slot is None:  # its report has not come yet: the job is assigned to it then
        assignment.unassign(state, released)
        released.slot, released.started = slot_name, True
        state.awaited.setdefault(slot_name, {})[job_id] = now + AWAIT_REPORT_S
        assignment.refresh_group(state, group)
        return
    if job_id not in slot.assigned:
        _reassign(state, released, slot, now)
    released.started = True
    slot.last_used = now
    build = (group.key.org_id, group.key.app_version_id)
    if build not in slot.installed:
        slot.installed = frozenset({build})  # until its next report says what it really has
    assignment.refresh_group(state, group)


def _reassign(state: LabState, released: Released, slot: Slot, now: float) -> None:
    """Another slot took a job than the one it was meant for: that one gets a job of the taker for it."""
    meant = state.slots.get(released.slot or "")
    other = next((r for r in slot.assigned.values() if not r.started), None)
    assignment.unassign(state, released)
    if meant is not None and other is not None and other.job.group == released.job.group:
        assignment.unassign(state, other)
        assignment.assign(state, meant, other, now)
    assignment.assign(state, slot, released, now)


def on_ended(state: LabState, event: JobEnded, now: float) -> None:
    """An attempt is over: learn its durations, and free its slot."""
    released = state.in_flight.get(event.job_id)
    job = released.job if released else state.jobs.get(event.job_id)
    if job is None or job.attempt != event.attempt:
        return
    if event.ran_s is not None and event.good:
        files = event.files if job.files else None
        if job.expected_s is not None:
            state.stats.shadow.compare(job.expected_s, event.ran_s, state.jobs, now)
        state.estimates.compare(state.expected_s(job), event.ran_s)
        state.estimates.add_run(job.group, job.test, event.ran_s, files=files)
        if group := state.groups.get(job.group):
            state.index.changed[group.number] = group
    if event.installed:
        state.installs += 1
        if group := state.groups.get(job.group):
            group.installs += 1
        if event.install_s is not None:
            state.estimates.add_install(job.group.org_id, job.group.app_version_id, event.install_s)
    elif event.ran_s is not None:
        state.installs_avoided += 1
    _drop(state, job, event.ran_s)
    slot = state.slots.get(event.slot or "")
    if slot is not None:
        slot.last_used = now


def _drop(state: LabState, job: Job, ran_s: float | None = None) -> None:
    """Drop an attempt, whether it waits or is in flight; `ran_s`: what its test took, if that is known."""
    state.stats.on_ended(job, ran_s)
    released = state.in_flight.pop(job.job_id, None)
    if released is None:
        withdraw(state, job.job_id)
        return
    group = state.groups[job.group]
    group.in_flight -= 1
    assignment.unassign(state, released)
    assignment.refresh_group(state, group)
    backlog.on_ended(state, released.job)


def process_timers(state: LabState, now: float, effects: list[Effect]) -> None:
    """Enqueue delayed jobs whose time has come, and withdraw those that expire."""
    while state.delayed and state.delayed[0][0] <= now:
        *_, job = heappop(state.delayed)
        if not job.gone:
            job.delayed = False
            backlog.enqueue(state, job, now)
    while state.expiring and state.expiring[0][0] <= now:
        *_, job = heappop(state.expiring)
        if state.jobs.get(job.job_id) is job:
            withdraw(state, job.job_id)
            effects.append(Expire(job))
