"""How many installs were made today, and how many were spared because the build was there already."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tui.store.job import Job

NOTHING: Final[tuple[int, int]] = (0, 0)
_ONE: Final = {(1, 0): (1, 0), (0, 1): (0, 1)}
"""Most jobs have one attempt: what they count as is shared between them."""


class Installs:
    """Counted from the attempts of the known jobs, each once however often it is heard of."""

    def __init__(self) -> None:
        self.made = 0
        self.avoided = 0
        self._since = 0.0
        self._until = 0.0

    def count(self, job: Job) -> None:
        """Let a job count as what it is now, instead of what it was."""
        made, avoided = self._of(job)
        was_made, was_avoided = job.installs
        if (made, avoided) == job.installs:
            return
        self.made += made - was_made
        self.avoided += avoided - was_avoided
        job.installs = _ONE.get((made, avoided), (made, avoided))

    def begin_day(self, now: float, jobs: Iterable[Job]) -> None:
        """Count anew when another day has begun where the reader is; else nothing is done."""
        if self._since <= now < self._until:
            return
        day = time.localtime(now)
        begin = (day.tm_year, day.tm_mon, day.tm_mday)
        self._since = time.mktime((*begin, 0, 0, 0, 0, 0, -1))
        self._until = time.mktime((*begin[:2], begin[2] + 1, 0, 0, 0, 0, 0, -1))
        self.clear()
        for job in jobs:
            job.installs = NOTHING
            self.count(job)

    def clear(self) -> None:
        """Nothing is known any more."""
        self.made = self.avoided = 0

    def _of(self, job: Job) -> tuple[int, int]:
        made = avoided = 0
        for facts in job.attempts:
            at = facts.running_at
            if at is not None and self._since <= at < self._until:
                made += facts.installed
                avoided += not facts.installed
        return made, avoided
