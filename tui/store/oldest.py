"""Which of many jobs ended longest ago, found a part at a time: to look at all of them takes too long."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from tui.store.job import Job

_PRUNE: Final = 4


class Evictable:
    """The ids of some jobs that ended before all others, oldest first."""

    def __init__(self, some: int) -> None:
        self._limit = some
        """How many one look finds."""
        self._ids: deque[str] = deque()
        self._todo: list[str] = []
        self._best: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._ids)

    @property
    def scanning(self) -> bool:
        """Whether a look has begun that is not over."""
        return bool(self._todo)

    def begin(self, job_ids: Iterable[str]) -> None:
        """Begin a look at these."""
        self._todo = list(job_ids)
        self._best = []

    def step(self, jobs: Mapping[str, Job], budget: int) -> None:
        """Look at some more."""
        for job_id in self._todo[-budget:]:
            job = jobs.get(job_id)
            if job is not None and job.ended:
                self._best.append((job.ended_at or 0.0, job_id))
        del self._todo[-budget:]
        if not self._todo or len(self._best) > _PRUNE * self._limit:
            self._best.sort()
            del self._best[self._limit :]
        if not self._todo:
            self._ids = deque(job_id for _, job_id in self._best)
            self._best = []

    def take(self) -> str:
        """The oldest, which may have been begun anew since it was found. Raises `IndexError`."""
        return self._ids.popleft()

    def clear(self) -> None:
        """Forget what was found."""
        self._ids.clear()
        self._todo.clear()
        self._best.clear()
