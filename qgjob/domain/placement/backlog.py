"""Where a waiting job is kept: in its group, with its blocked group, or parked at the gate of its run."""

from __future__ import annotations

from collections.abc import Iterable

from qgjob.domain.placement import assignment, blocking
from qgjob.domain.placement.model import Job, LabState
from qgjob.domain.placement.run_gates import Move


def enqueue(state: LabState, job: Job, now: float, *, counted: bool = False) -> None:
    """Let a job wait that may start by now; `counted`: the load knows it."""
    if job.expected_s is None:
        job.expected_s = state.estimates.known_of(job.group.org_id, job.files or (job.test,))
    state.stats.on_arrival(state, job, now, counted=counted)
    if job.max_parallel is None:
        _add_to_group(state, job)
    else:
        _apply(state, state.run_gates.enter(job))


def dequeue(state: LabState, job: Job) -> None:
    """Take out a waiting job."""
    state.stats.on_withdrawn(job)
    parked = job.parked
    moves = state.run_gates.leave(job) if job.max_parallel is not None else ()
    if not parked:
        _remove_from_group(state, job)
    _apply(state, moves)


def _add_to_group(state: LabState, job: Job) -> None:
    blocked = blocking.blocked_group(state, job.group)
    if blocked is not None:
        blocked.push(job)
        return
    group = state.group(job.group)
    group.push(job)
    state.active[group.key] = group


def _remove_from_group(state: LabState, job: Job) -> None:
    blocked = state.blocked.get(job.group)
    if blocked is not None:
        blocked.remove(job)
        if not blocked.waiting:
            del state.blocked[job.group]
        return
    group = state.groups[job.group]
    group.remove(job)
    assignment.refresh_group(state, group)


def _apply(state: LabState, moves: Iterable[Move]) -> None:
    """Carry out what the gate of a run decided."""
    for job, enters in moves:
        if enters:
            _add_to_group(state, job)
        else:
            _remove_from_group(state, job)


def on_released(state: LabState, job: Job, now: float) -> None:
    """One more job is in flight: others of its run or organisation may be at their limit now."""
    if job.max_parallel is not None:
        _apply(state, state.run_gates.on_released(job))
    if state.groups[job.group].in_flight == 1:
        blocking.on_first_in_flight(state, job.group, now)
    org = job.group.org_id
    in_flight = state.org_in_flight[org] = state.org_in_flight.get(org, 0) + 1
    if in_flight == state.rules.limits.get(org):
        blocking.reevaluate(state, org)


def on_ended(state: LabState, job: Job) -> None:
    """A job is not in flight any more: others of its run or organisation may start."""
    if job.max_parallel is not None:
        _apply(state, state.run_gates.on_ended(job))
    group = state.groups.get(job.group)
    if group is None or not group.in_flight:
        blocking.on_none_in_flight(state, job.group)
    org = job.group.org_id
    in_flight = state.org_in_flight[org] = state.org_in_flight[org] - 1
    if in_flight + 1 == state.rules.limits.get(org):
        blocking.reevaluate(state, org)
    if not in_flight:
        del state.org_in_flight[org]
