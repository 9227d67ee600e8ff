"""Gates of runs that limit how many of their jobs are in flight at once (`--max-parallel`).

Into each group a gate admits no more of its run's jobs than may start, the best ones; the others are parked
here, where the policy does not see them. As that is so for each group, a group whose jobs no slot can run
takes nothing away from the run's others.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from qgjob.domain.placement.model import GroupKey, Job

Move = tuple["Job", bool]
"""A job, and whether it enters its group now (True) or leaves it."""


class Usage(NamedTuple):
    """How much of its limit a run uses."""

    limit: int
    in_flight: int


class _RunGroup:
    """The waiting jobs of one run in one group: some admitted to the group, the others parked."""

    __slots__ = ("_admitted_heap", "_parked_by_age", "_parked_heap", "admitted", "parked")

    def __init__(self) -> None:
        self.admitted: dict[str, Job] = {}
        """By id."""
        self.parked = 0
        """How many are parked."""
        self._admitted_heap: list[tuple[int, float, int, int, Job]] = []
        """The worst first; some are not admitted any more."""
        self._parked_heap: list[tuple[int, Job]] = []
        """The best first; some are not parked any more."""
        self._parked_by_age: list[Job] = []
        """The same, the oldest first."""

    def admit(self, job: Job) -> None:
        """Let a job into its group."""
        job.parked = False
        self.admitted[job.job_id] = job
        heappush(self._admitted_heap, (job.priority, -job.arrived_at, -job.order, -job.attempt, job))

    def park(self, job: Job) -> None:
        """Let a job wait here."""
        job.parked = True
        self.parked += 1
        heappush(self._parked_heap, (-job.priority, job))
        heappush(self._parked_by_age, job)

    def park_worst(self) -> Job:
        """Park the worst of the admitted, and return it; there must be one."""
        worst = self._worst()
        del self.admitted[worst.job_id]
        self.park(worst)
        return worst

    def admit_best(self) -> Job:
        """Admit the best of the parked, and return it; there must be one."""
        self.parked -= 1
        while True:
            job = heappop(self._parked_heap)[1]
            if job.parked:
                self.admit(job)
                return job

    def drop_parked(self, job: Job) -> None:
        """A parked job is gone; its entry in the heap is dropped when it comes up."""
        job.parked = False
        self.parked -= 1
        if len(self._parked_heap) > 64 + 4 * self.parked:
            self._parked_heap = [entry for entry in self._parked_heap if entry[1].parked]
            heapify(self._parked_heap)
            self._parked_by_age = [job for job in self._parked_by_age if job.parked]
            heapify(self._parked_by_age)

    def oldest_parked(self) -> Job:
        """The parked job that waits longest; there must be one."""
        while not self._parked_by_age[0].parked:
            heappop(self._parked_by_age)
        return self._parked_by_age[0]

    def parked_before(self, job: Job) -> int:
        """How many parked jobs go before a parked one."""
        parked = {other.job_id: other for _, other in self._parked_heap if other.parked}
        rank = (-job.priority, job)
        return sum(1 for other in parked.values() if (-other.priority, other) < rank)

    def is_better(self, job: Job) -> bool:
        """Whether a job goes before the worst of the admitted; there must be one."""
        worst = self._worst()
        return (-job.priority, job) < (-worst.priority, worst)

    def _worst(self) -> Job:
        """The admitted job that is least urgent and came last."""
        heap = self._admitted_heap
        while self.admitted.get(heap[0][4].job_id) is not heap[0][4]:
            heappop(heap)
        return heap[0][4]


class _RunGate:
    """The gate of one run."""

    __slots__ = ("groups", "in_flight", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.groups: dict[GroupKey, _RunGroup] = {}

    @property
    def room(self) -> int:
        """How many further jobs of the run may start."""
        return max(0, self.limit - self.in_flight)

    def admit_parked(self, group: _RunGroup) -> list[Move]:
        """Admit parked jobs of a group as far as there is room."""
        moves: list[Move] = []
        while group.parked and len(group.admitted) < self.room:
            moves.append((group.admit_best(), True))
        return moves


class RunGates:
    """The gates of all runs with a limit. Methods return the jobs that enter or leave their groups."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: dict[str, _RunGate] = {}

    def __len__(self) -> int:
        return len(self._gates)

    def enter(self, job: Job) -> list[Move]:
        """A job begins to wait."""
        gate = self._gate(job)
        group = gate.groups.get(job.group)
        if group is None:
            group = gate.groups[job.group] = _RunGroup()
        if len(group.admitted) < gate.room:
            group.admit(job)
            return [(job, True)]
        if gate.room and group.is_better(job):
            worst = group.park_worst()
            group.admit(job)
            return [(worst, False), (job, True)]
        group.park(job)
        return []

    def leave(self, job: Job) -> list[Move]:
        """A waiting job goes away, whether parked or admitted; of the latter the caller clears its group."""
        gate = self._gates[job.run_id]
        group = gate.groups[job.group]
        moves: list[Move] = []
        if job.parked:
            group.drop_parked(job)
        else:
            del group.admitted[job.job_id]
            moves = gate.admit_parked(group)
        self._drop_empty(job.run_id, gate)
        return moves

    def on_released(self, job: Job) -> list[Move]:
        """A job is in flight: one less of the run may start."""
        gate = self._gate(job)
        group = gate.groups.get(job.group)
        if group is not None:
            group.admitted.pop(job.job_id, None)
        gate.in_flight += 1
        moves: list[Move] = []
        for group in gate.groups.values():
            while len(group.admitted) > gate.room:
                moves.append((group.park_worst(), False))
        self._drop_empty(job.run_id, gate)
        return moves

    def on_ended(self, job: Job) -> list[Move]:
        """A job is not in flight any more: another may start."""
        gate = self._gates[job.run_id]
        gate.in_flight -= 1
        moves = [move for group in gate.groups.values() for move in gate.admit_parked(group)]
        self._drop_empty(job.run_id, gate)
        return moves

    def position_of(self, job: Job, max_counted: int) -> tuple[int | None, int]:
        """How many of its run go before a parked job in its group, and how many wait there in all.

        The former is None where more than `max_counted` are parked.
        """
        group = self._gates[job.run_id].groups[job.group]
        waiting = group.parked + len(group.admitted)
        if group.parked > max_counted:
            return None, waiting
        return len(group.admitted) + group.parked_before(job), waiting

    def parked(self) -> dict[GroupKey, tuple[int, Job]]:
        """How many jobs are parked by group, and the oldest of them."""
        by_group: dict[GroupKey, tuple[int, Job]] = {}
        for gate in self._gates.values():
            for key, group in gate.groups.items():
                if group.parked:
                    oldest = group.oldest_parked()
                    count, other = by_group.get(key, (0, oldest))
                    by_group[key] = count + group.parked, min(oldest, other)
        return by_group

    def usage_of(self, run_id: str) -> Usage | None:
        """How much of its limit a run uses; None for a run without a gate now."""
        gate = self._gates.get(run_id)
        return None if gate is None else Usage(gate.limit, gate.in_flight)

    def _gate(self, job: Job) -> _RunGate:
        gate = self._gates.get(job.run_id)
        if gate is None:
            gate = self._gates[job.run_id] = _RunGate(job.max_parallel or 1)
        return gate

    def _drop_empty(self, run_id: str, gate: _RunGate) -> None:
        for key in [key for key, group in gate.groups.items() if not group.admitted and not group.parked]:
            del gate.groups[key]
        if not gate.groups and gate.in_flight <= 0:
            del self._gates[run_id]
