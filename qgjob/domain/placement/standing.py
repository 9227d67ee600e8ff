"""Where waiting jobs stand: in their group, on its shelf, or at the gate of their run."""

from __future__ import annotations

from collections.abc import Iterable

from qgjob.domain.placement import holding, shelves
from qgjob.domain.placement.gates import Move
from qgjob.domain.placement.model import Job, LabState


def enqueue(state: LabState, job: Job, now: float) -> None:
    """Let a job wait that has come and may start by now."""
    if job.expected_s is None:
        job.expected_s = state.estimates.known_of(job.group.org_id, job.files or (job.test,))
    state.stats.on_arrival(state, job, now)
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


def leave(state: LabState, job: Job) -> None:
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
    holding.settle(state, group)


def _move(state: LabState, moves: Iterable[Move]) -> None:
    """Carry out what a gate decided."""
    for job, enters in moves:
        if enters:
            _stand(state, job)
        else:
            _step_out(state, job)


def went_out(state: LabState, job: Job, now: float) -> None:
    """One more job is out: those of its run or organisation that were next may have to wait."""
    if job.max_parallel is not None:
        _move(state, state.gates.release(job))
    if state.groups[job.group].out == 1:
        shelves.went_out(state, job.group, now)
    org = job.group.org_id
    out = state.org_out[org] = state.org_out.get(org, 0) + 1
    if out == state.rules.limits.get(org):
        shelves.sort_out(state, org)


def came_back(state: LabState, job: Job) -> None:
    """One job less is out."""
    if job.max_parallel is not None:
        _move(state, state.gates.end(job))
    group = state.groups.get(job.group)
    if group is None or not group.out:
        shelves.came_back(state, job.group)
    org = job.group.org_id
    out = state.org_out[org] = state.org_out[org] - 1
    if out + 1 == state.rules.limits.get(org):
        shelves.sort_out(state, org)
    if not out:
        del state.org_out[org]
