"""Who may not start now: runs that have enough jobs out, paused work, organisations at their limit.

The policy never sees such jobs. A run with a limit has a gate: into each group it lets no more of the
run's jobs than may start, its best ones, and the others are parked here. So a group whose jobs no slot
can run takes nothing away from the run's others. What is paused, or belongs to an organisation at its
limit, is taken out of its group as a whole and put on a shelf, which costs the same for one job and for
a million.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from bus_schemas.jobs import labels_of

if TYPE_CHECKING:
    from qgjob.domain.placement.model import GroupKey, Job

Move = tuple["Job", bool]
"""A job, and whether it enters its group now or leaves it."""


class Pause(NamedTuple):
    """What does not start: of an organisation, of a capability, of both, or everything."""

    org_id: str | None = None
    capability: str | None = None

    def holds(self, key: GroupKey) -> bool:
        """Whether a group is paused by it: it is the organisation's, and needs all of those labels."""
        if self.org_id is not None and self.org_id != key.org_id:
            return False
        if self.capability is None or self.capability == key.capability:
            return True
        wanted = labels_of(self.capability)
        return bool(wanted) and wanted <= labels_of(key.capability)


@dataclass(frozen=True, slots=True)
class Rules:
    """What operators set, in force until they set something else."""

    pauses: tuple[Pause, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many jobs of an organisation may be out at once."""
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """An organisation's share of the starts, as against the others'; 1 where nothing is said."""

    def shut(self, key: GroupKey, out: Mapping[str, int]) -> bool:
        """Whether no job of a group may start while so many of each organisation are out."""
        limit = self.limits.get(key.org_id)
        if limit is not None and out.get(key.org_id, 0) >= limit:
            return True
        return any(pause.holds(key) for pause in self.pauses)


class _Line:
    """The jobs of one run that wait for one group."""

    __slots__ = ("_parked", "_worst", "admitted", "waiting")

    def __init__(self) -> None:
        self.admitted: dict[str, Job] = {}
        """They stand in their group."""
        self.waiting = 0
        """How many are parked."""
        self._worst: list[tuple[int, float, int, int, Job]] = []
        self._parked: list[tuple[int, Job]] = []

    def admit(self, job: Job) -> None:
        """A job goes on into its group."""
        job.parked = False
        self.admitted[job.job_id] = job
        heappush(self._worst, (job.priority, -job.arrived_at, -job.order, -job.attempt, job))

    def park(self, job: Job) -> None:
        """A job waits here."""
        job.parked = True
        self.waiting += 1
        heappush(self._parked, (-job.priority, job))

    def worst(self) -> Job:
        """The admitted job that is least urgent and came last; there must be one."""
        heap = self._worst
        while self.admitted.get(heap[0][4].job_id) is not heap[0][4]:
            heappop(heap)
        return heap[0][4]

    def unpark(self) -> Job:
        """Take out the parked job whose turn it is; there must be one."""
        self.waiting -= 1
        while True:
            job = heappop(self._parked)[1]
            if job.parked:
                return job

    def drop(self, job: Job) -> None:
        """A parked job is gone; its place is cleared when it comes up."""
        job.parked = False
        self.waiting -= 1
        if len(self._parked) > 64 + 4 * self.waiting:
            self._parked = [entry for entry in self._parked if entry[1].parked]
            heapify(self._parked)

    def ahead(self, job: Job) -> int:
        """How many parked jobs go before a parked one."""
        parked = {other.job_id: other for _, other in self._parked if other.parked}
        mine = (-job.priority, job)
        return sum(1 for other in parked.values() if (-other.priority, other) < mine)

    def better(self, job: Job) -> bool:
        """Whether a job goes before the worst of the admitted."""
        worst = self.worst()
        return (-job.priority, job) < (-worst.priority, worst)


class _Gate:
    """One run's."""

    __slots__ = ("limit", "lines", "out")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.out = 0
        self.lines: dict[GroupKey, _Line] = {}


class Gates:
    """The gates of all runs that have a limit."""

    __slots__ = ("_gates",)

    def __init__(self) -> None:
        self._gates: dict[str, _Gate] = {}

    def __len__(self) -> int:
        return len(self._gates)

    def enter(self, job: Job) -> list[Move]:
        """A job with a limit may start as far as it is concerned; says what moves."""
        gate = self._gate(job)
        line = gate.lines.get(job.group)
        if line is None:
            line = gate.lines[job.group] = _Line()
        free = gate.limit - gate.out
        if len(line.admitted) < free:
            line.admit(job)
            return [(job, True)]
        if free > 0 and line.better(job):
            worst = line.worst()
            del line.admitted[worst.job_id]
            line.park(worst)
            line.admit(job)
            return [(worst, False), (job, True)]
        line.park(job)
        return []

    def leave(self, job: Job) -> list[Move]:
        """A waiting job goes away, parked or from its group, where the caller clears its place."""
        gate = self._gates[job.run_id]
        line = gate.lines[job.group]
        moves: list[Move] = []
        if job.parked:
            line.drop(job)
        else:
            del line.admitted[job.job_id]
            _refill(gate, line, moves)
        self._tidy(job.run_id, gate)
        return moves

    def release(self, job: Job) -> list[Move]:
        """A job is out: one less of the run may start."""
        gate = self._gate(job)
        line = gate.lines.get(job.group)
        if line is not None:
            line.admitted.pop(job.job_id, None)
        gate.out += 1
        moves: list[Move] = []
        for line in gate.lines.values():
            while len(line.admitted) > max(0, gate.limit - gate.out):
                worst = line.worst()
                del line.admitted[worst.job_id]
                line.park(worst)
                moves.append((worst, False))
        self._tidy(job.run_id, gate)
        return moves

    def end(self, job: Job) -> list[Move]:
        """A job that was out is not any more: another may start."""
        gate = self._gates[job.run_id]
        gate.out -= 1
        moves: list[Move] = []
        for line in gate.lines.values():
            _refill(gate, line, moves)
        self._tidy(job.run_id, gate)
        return moves

    def place_of(self, job: Job, most: int) -> tuple[int | None, int]:
        """How many of its run go before a parked job in its group, and how many wait for that in all.

        None where more than `most` are parked.
        """
        line = self._gates[job.run_id].lines[job.group]
        waiting = line.waiting + len(line.admitted)
        return (None if line.waiting > most else len(line.admitted) + line.ahead(job)), waiting

    def state_of(self, run_id: str) -> tuple[int, int] | None:
        """The limit of a run and how many of its jobs are out; None for a run without a gate now."""
        gate = self._gates.get(run_id)
        return None if gate is None else (gate.limit, gate.out)

    def _gate(self, job: Job) -> _Gate:
        gate = self._gates.get(job.run_id)
        if gate is None:
            gate = self._gates[job.run_id] = _Gate(job.max_parallel or 1)
        return gate

    def _tidy(self, run_id: str, gate: _Gate) -> None:
        for key in [key for key, line in gate.lines.items() if not line.admitted and not line.waiting]:
            del gate.lines[key]
        if not gate.lines and gate.out <= 0:
            del self._gates[run_id]


def _refill(gate: _Gate, line: _Line, moves: list[Move]) -> None:
    while line.waiting and len(line.admitted) < gate.limit - gate.out:
        job = line.unpark()
        line.admit(job)
        moves.append((job, True))
