"""Run the placement core on a virtual clock, with slots that install and test as the trace says."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from math import exp
from typing import Final

from bus_schemas.jobs import capability_of
from qgjob.domain.placement.core import apply_event, dispatch
from qgjob.domain.placement.events import Effect, Event, JobArrived, JobEnded, JobStarted, Release, SlotSeen
from qgjob.domain.placement.model import GroupKey, Job, LabState
from qgjob.domain.placement.policy import Chooser
from qgjob.errors import UsageError
from qgjob.simulate.trace import TraceJob

ANY_TARGET: Final = frozenset({"process", "emulator", "device", "simulator"})
PROGRESS_EVERY: Final = 500
DISPATCHES_PER_TEST: Final = 16
"""While a slot is kept free, dispatch is tried again so many times in the mean time of a test."""
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Lab:
    """The slots of a simulated lab: their labels, and what an install costs on each."""

    slots: tuple[frozenset[str], ...]
    install_s: float
    """Of every slot, unless `installs` says it slot by slot."""
    installs: tuple[float, ...] = ()

    @classmethod
    def uniform(cls, slots: int, install_s: float) -> Lab:
        """Slots that can run everything."""
        return cls((ANY_TARGET,) * slots, install_s)

    def install_on(self, slot: int) -> float:
        """Seconds that an install takes on a slot."""
        return self.installs[slot] if self.installs else self.install_s


@dataclass(frozen=True, slots=True)
class Execution:
    """How one job was run; times in seconds of the trace."""

    job: TraceJob
    slot: int
    taken_s: float
    """When the slot took it: the install, if any, begins."""
    started_s: float
    """When the test itself began."""
    ended_s: float
    installed: bool

    @property
    def wait_s(self) -> float:
        """From its arrival to the start of the test, the install included."""
        return self.started_s - self.job.arrival_s


@dataclass(slots=True)
class _Slot:
    name: str
    installed: tuple[str, str] | None = None
    queue: deque[Release] = field(default_factory=deque[Release])
    busy: bool = False


class Simulation:
    """One run of a trace through a policy. The core sees noisy estimates, never the truth or the future.

    `without_history`: it has to learn first what tests and installs take.
    """

    def __init__(
        self,
        jobs: Sequence[TraceJob],
        lab: Lab,
        choose: Chooser,
        *,
        noise: float,
        seed: int,
        without_history: bool = False,
    ) -> None:
        self._lab = lab
        self._choose = choose
        self._rng = random.Random(seed)  # noqa: S311 - a simulation
        self._noise = noise
        self._state = LabState()
        self._without_history = without_history
        if not without_history:
            self._state.estimates.any_install.add(lab.install_s)
        self._jobs = sorted(jobs, key=lambda job: job.arrival_s)
        self._retry_s = max(
            1e-3, sum(job.duration_s for job in jobs) / max(1, len(jobs)) / DISPATCHES_PER_TEST
        )
        self._slots = [_Slot(f"s{number}") for number in range(len(lab.slots))]
        self._by_name = {slot.name: number for number, slot in enumerate(self._slots)}
        self._ends: list[tuple[float, int, Execution]] = []
        self._order = count()
        self._executions: list[Execution] = []
        self._running: dict[int, str] = {}

    def run(self, progress: Progress | None = None) -> list[Execution]:
        """All executions, in the order of their ends.

        Raises `UsageError` for a job that no slot can ever run. `progress` is called from time to time with
        how many jobs have ended.
        """
        now = self._jobs[0].arrival_s if self._jobs else 0.0
        for slot, labels in zip(self._slots, self._lab.slots, strict=True):
            self._apply(SlotSeen(slot.name, labels, True, frozenset(), None, None), now)
        arriving = deque(enumerate(self._jobs))
        while arriving or self._ends:
            now = min(
                arriving[0][1].arrival_s if arriving else float("inf"),
                self._ends[0][0] if self._ends else float("inf"),
                now + self._retry_s if self._state.free and self._state.active else float("inf"),
            )
            while self._ends and self._ends[0][0] <= now:
                self._end(heappop(self._ends)[2], now)
                if progress is not None and len(self._executions) % PROGRESS_EVERY == 0:
                    progress(len(self._executions))
            while arriving and arriving[0][1].arrival_s <= now:
                number, job = arriving.popleft()
                self._arrive(number, job, now)
            effects: list[Effect] = []
            dispatch(self._state, now, effects, choose=self._choose)
            for effect in effects:
                if isinstance(effect, Release):
                    slot = self._slots[self._by_name[effect.slot]]
                    slot.queue.append(effect)
                    self._start_next(slot, now)
        if len(self._executions) < len(self._jobs):
            stuck = next(iter(self._state.jobs.values()))
            raise UsageError(f"No slot can ever run {stuck.test}: it needs {stuck.group.capability}.")
        return self._executions

    def _arrive(self, number: int, job: TraceJob, now: float) -> None:
        labels = (job.target,) if job.target else ()
        self._apply(
            JobArrived(
                Job(
                    job_id=str(number),
                    group=GroupKey(capability_of(labels), job.org_id, job.app_version_id),
                    test=job.test,
                    priority=job.priority,
                    arrived_at=job.arrival_s,
                    order=number,
                    expected_s=None if self._without_history else job.duration_s * self._noise_factor(),
                )
            ),
            now,
        )

    def _start_next(self, slot: _Slot, now: float) -> None:
        if slot.busy or not slot.queue:
            return
        release = slot.queue.popleft()
        job = self._jobs[int(release.job.job_id)]
        installed = slot.installed != job.build
        number = self._by_name[slot.name]
        started = now + (self._lab.install_on(number) if installed else 0.0)
        slot.installed, slot.busy = job.build, True
        execution = Execution(job, number, now, started, started + job.duration_s, installed)
        heappush(self._ends, (execution.ended_s, next(self._order), execution))
        self._apply(JobStarted(release.job.job_id, release.job.attempt, slot.name), now)
        self._running[execution.slot] = release.job.job_id

    def _end(self, execution: Execution, now: float) -> None:
        self._executions.append(execution)
        slot = self._slots[execution.slot]
        slot.busy = False
        self._apply(
            JobEnded(
                job_id=self._running.pop(execution.slot),
                attempt=1,
                slot=slot.name,
                ran_s=execution.job.duration_s,
                install_s=self._measured_install_s(execution) if execution.installed else None,
                installed=execution.installed,
                good=True,
            ),
            now,
        )
        self._start_next(slot, now)

    def _measured_install_s(self, execution: Execution) -> float:
        """What is learned of an install: as inexact as an estimate, but right on average."""
        return (execution.started_s - execution.taken_s) * self._noise_factor() * exp(-(self._noise**2) / 2)

    def _noise_factor(self) -> float:
        return self._rng.lognormvariate(0, self._noise) if self._noise else 1.0

    def _apply(self, event: Event, now: float) -> None:
        apply_event(self._state, event, now, [])
