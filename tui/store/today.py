"""What came of today: installs made, installs spared because the build was there already, and verdicts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from qgjob.domain.lifecycle import FAILURES

if TYPE_CHECKING:
    from tui.store.job import Job

Share = tuple[int, int, str]
"""What a job adds to it: installs made, and avoided; as what it ended, or nothing."""
NOTHING: Final[Share] = (0, 0, "")


class Today:
    """Counted from the known jobs, each once however often it is heard of and whoever leads.

    `ended` has the verdicts that the dashboard tells apart: passed, failed (timed out or not), errored.
    """

    def __init__(self) -> None:
        self.made = 0
        self.avoided = 0
        self.ended: Counter[str] = Counter()
        self._since = 0.0
        self._until = 0.0
        self._shares: dict[Share, Share] = {}
        """Most jobs are like many others: what they count as is shared between them."""

    def count(self, job: Job) -> None:
        """Let a job count as what it is now, instead of what it was."""
        share, was = self._share_of(job), job.counted_today
        if share == was:
            return
        self.made += share[0] - was[0]
        self.avoided += share[1] - was[1]
        if was[2]:
            self.ended[was[2]] -= 1
        if share[2]:
            self.ended[share[2]] += 1
        job.counted_today = self._shares.setdefault(share, share)

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
            job.counted_today = NOTHING
            self.count(job)

    def clear(self) -> None:
        """Nothing is known any more."""
        self.made = self.avoided = 0
        self.ended.clear()
        self._shares.clear()

    def _share_of(self, job: Job) -> Share:
        made = avoided = 0
        for facts in job.attempts:
            if self._is_today(facts.running_at):
                made += facts.installed
                avoided += not facts.installed
        state = "failed" if job.state in FAILURES else job.state
        counts = state in {"passed", "failed", "errored"} and self._is_today(job.ended_at)
        return made, avoided, state if counts else ""

    def _is_today(self, at: float | None) -> bool:
        return at is not None and self._since <= at < self._until
