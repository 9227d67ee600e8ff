"""What slots lack for jobs: is a slot at fault, or does no slot have what a run needs? Pure.

The jobs of a run mostly need the same of a machine: the same runner, the same secrets. Other runs of the
build say little: a secret whose name is mistyped is on no slot, however well the build's tests go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

MAX_RUNS: Final = 2000
MAX_JOBS: Final = 2000
_MAX_SLOTS: Final = 16


@dataclass(slots=True)
class _Run:
    slots: dict[str, None] = field(default_factory=dict[str, None])
    """Slots that lacked something for it; at most `_MAX_SLOTS`."""
    threshold: int = 0
    """When so many slots lack it, none is at fault."""
    has_run: bool = False
    """Whether a test of it ran: then some slot has what it needs."""


@dataclass(slots=True)
class MissingResources:
    """The latest runs, and their jobs that met a slot which lacked something."""

    runs: dict[str, _Run] = field(default_factory=dict[str, _Run])
    jobs: dict[str, str] = field(default_factory=dict[str, str])
    """Run ids by job id."""

    def on_ran(self, run_id: str) -> None:
        """A test of a run ran to its own end."""
        self._run(run_id).has_run = True

    def on_missing(self, run_id: str, job_id: str, slot: str, threshold: int) -> None:
        """A slot lacked something for a job; where `threshold` slots do, none of them is at fault."""
        run = self._run(run_id)
        run.threshold = max(run.threshold, threshold)
        if len(run.slots) < _MAX_SLOTS:
            run.slots[slot] = None
        self.jobs[job_id] = run_id
        if len(self.jobs) > MAX_JOBS:
            del self.jobs[next(iter(self.jobs))]

    def is_missing_everywhere(self, run_id: str) -> bool:
        """Whether enough slots lack what a run needs, and none is known to have it: none is at fault."""
        run = self.runs.get(run_id)
        return run is not None and not run.has_run and len(run.slots) >= run.threshold

    def forgiven_jobs(self) -> set[str]:
        """The jobs whose errors are no slot's fault."""
        return {job_id for job_id, run_id in self.jobs.items() if self.is_missing_everywhere(run_id)}

    def _run(self, run_id: str) -> _Run:
        run = self.runs.pop(run_id, None) or _Run()
        self.runs[run_id] = run  # latest last: a run in use stays
        if len(self.runs) > MAX_RUNS:
            del self.runs[next(iter(self.runs))]
        return run
