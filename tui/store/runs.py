"""The runs that the known jobs belong to, with counts kept as jobs come, change and go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from qgjob.domain.lifecycle import BAD_ENDS, TERMINAL
from tui.store.job import Job


class RunRecord:
    """One run as its known jobs tell."""

    __slots__ = (
        "build",
        "counts",
        "created_at",
        "flaky",
        "job_ids",
        "meta",
        "name",
        "org_id",
        "run_id",
        "size",
    )

    def __init__(self, run_id: str, org_id: str) -> None:
        self.run_id = run_id
        self.org_id = org_id
        self.build = ""
        self.name = ""
        self.meta: Mapping[str, str] = {}
        """What its submitter said of it."""
        self.size = 0
        """How many jobs were submitted, as an event said; 0 while none did."""
        self.created_at = 0.0
        self.counts: dict[str, int] = {}
        self.flaky = 0
        self.job_ids: set[str] = set()

    @property
    def known(self) -> int:
        """How many of its jobs are known here."""
        return len(self.job_ids)

    @property
    def total(self) -> int:
        """How many jobs it has, as far as one can tell."""
        return max(self.size, self.known)

    @property
    def ended(self) -> int:
        """How many have ended."""
        return sum(n for state, n in self.counts.items() if state in TERMINAL)

    @property
    def failed(self) -> int:
        """How many ended in a way that somebody should look at."""
        return sum(n for state, n in self.counts.items() if state in BAD_ENDS)

    @property
    def ended_all(self) -> bool:
        """Whether all of its known jobs have ended."""
        return self.known > 0 and self.ended == self.known


class RunBook:
    """Runs by id."""

    def __init__(self) -> None:
        self._runs: dict[str, RunRecord] = {}
        self.version = 0
        """Goes up with every change."""

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[RunRecord]:
        return iter(self._runs.values())

    def get(self, run_id: str) -> RunRecord | None:
        """A run, or None."""
        return self._runs.get(run_id)

    def update(
        self,
        run_id: str,
        org_id: str,
        *,
        size: int = 0,
        name: str = "",
        meta: Mapping[str, str] | None = None,
    ) -> None:
        """Hear what the run is."""
        run = self._run(run_id, org_id)
        before = (run.size, run.name)
        run.size = max(run.size, size)
        run.name = max(run.name, name)
        run.meta = meta or run.meta
        self.version += before != (run.size, run.name)

    def count(self, job: Job) -> None:
        """Let a job count as what it is now, instead of what it was."""
        run = self._run(job.run_id, job.org_id)
        if job.spec is not None:
            run.build = run.build or job.spec.app_version_id
            if not run.created_at or job.spec.created_at < run.created_at:
                run.created_at = job.spec.created_at
        now = (job.state, job.flaky)
        if now == job.counted_as:
            return
        self.version += 1
        self._uncount(run, job)
        job.counted_as = now
        run.job_ids.add(job.job_id)
        run.counts[job.state] = run.counts.get(job.state, 0) + 1
        run.flaky += job.flaky

    def drop(self, job: Job) -> None:
        """Forget a job, and the run with its last one."""
        run = self._runs.get(job.run_id)
        if run is None:
            return
        self.version += 1
        self._uncount(run, job)
        run.job_ids.discard(job.job_id)
        left = len(run.job_ids)
        if not left:
            del self._runs[job.run_id]
        elif left & (left - 1) == 0:  # a set keeps the room that it once needed; a new one does not
            run.job_ids = set(run.job_ids)

    def clear(self) -> None:
        """Forget all of them."""
        self._runs.clear()
        self.version += 1

    def latest(self) -> list[RunRecord]:
        """All runs: those under way first, then the latest."""
        return sorted(self._runs.values(), key=lambda run: (run.ended_all, -run.created_at, run.run_id))

    def _run(self, run_id: str, org_id: str) -> RunRecord:
        run = self._runs.get(run_id)
        if run is None:
            run = self._runs[run_id] = RunRecord(run_id, org_id)
        return run

    def _uncount(self, run: RunRecord, job: Job) -> None:
        if job.counted_as is None:
            return
        state, flaky = job.counted_as
        left = run.counts.get(state, 0) - 1
        if left > 0:
            run.counts[state] = left
        else:
            run.counts.pop(state, None)
        run.flaky -= flaky
        job.counted_as = None
