"""Jobs that lately ended as the lab's fault: many of one build are no accident."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tui.store.job import Job
    from tui.store.jobs import JobBook

WINDOW_S: Final = 600.0
MANY: Final = 3
KEPT: Final = 2000
_POISONOUS: Final = "poisonous"  # qgjob.domain.retry.POISONOUS, without what it imports


class BuildErrors(NamedTuple):
    """What of one build ended so."""

    org_id: str
    app_version_id: str
    jobs: int
    why: str
    """What most of them said."""


class LabErrors:
    """When which job ended as errored, the latest; hearing of one again changes nothing."""

    def __init__(self) -> None:
        self._ended: dict[str, float] = {}

    def record(self, job: Job, now: float) -> None:
        """Hear of a job as it is now."""
        if job.state != "errored" or job.ended_at is None or job.ended_at <= now - WINDOW_S:
            return
        self._ended[job.job_id] = job.ended_at
        if len(self._ended) > KEPT:
            del self._ended[next(iter(self._ended))]

    def poisonous(self, jobs: JobBook, now: float) -> Iterator[tuple[Job, str]]:
        """The jobs under which slot after slot went down, and what was said of each."""
        return ((job, why) for job, why in self._errored(jobs, now) if job.reason == _POISONOUS)

    def by_build(self, jobs: JobBook, now: float) -> list[BuildErrors]:
        """The builds of which many ended so and were not tried again, those with most first."""
        whys: dict[tuple[str, str], Counter[str]] = {}
        for job, why in self._errored(jobs, now):
            whys.setdefault((job.org_id, job.app_version_id), Counter())[why] += 1
        found = [
            BuildErrors(org_id, build, said.total(), said.most_common(1)[0][0])
            for (org_id, build), said in whys.items()
            if said.total() >= MANY
        ]
        return sorted(found, key=lambda errors: (-errors.jobs, errors.org_id, errors.app_version_id))

    def _errored(self, jobs: JobBook, now: float) -> Iterator[tuple[Job, str]]:
        """Those that ended so lately and were not tried again, and why each did."""
        self._ended = {job_id: at for job_id, at in self._ended.items() if at > now - WINDOW_S}
        for job_id in self._ended:
            job = jobs.get(job_id)
            if job is None or job.state != "errored":
                continue
            facts = job.find_attempt(job.attempt)
            end = facts.end if facts is not None else None
            yield job, (end.message or end.reason.replace("_", " ")) if end is not None else ""
