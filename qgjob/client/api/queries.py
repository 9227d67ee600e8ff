"""The `Client` methods that only read: jobs, runs, slots, builds, what jobs left."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from qgjob.client.api.base import ClientBase
from qgjob.client.api.lazy_module import LazyModule

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat
    from bus_schemas.builds import BuildRecord
    from bus_schemas.cases import CaseReport
    from bus_schemas.deadletters import DeadLetterView
    from bus_schemas.events import Attempt
    from bus_schemas.explain import ExplainAnswer
    from bus_schemas.history import HistoryAnswer
    from bus_schemas.holds import SlotHold
    from bus_schemas.jobs import BlobRef
    from bus_schemas.queries import HealthAnswer, JobState, JobView, Overview, RunView
    from bus_schemas.timings import TimingsAnswer
    from qgjob.client.models import TransferProgress
    from qgjob.client.requests import artifacts, deadletters, lab, query
    from qgjob.client.requests.artifacts import JobArtifact
    from qgjob.client.submitting import builds
else:  # a command uses one or two of them, and waits for the import of each
    artifacts = LazyModule("qgjob.client.requests.artifacts")
    builds = LazyModule("qgjob.client.submitting.builds")
    deadletters = LazyModule("qgjob.client.requests.deadletters")
    lab = LazyModule("qgjob.client.requests.lab")
    query = LazyModule("qgjob.client.requests.query")


class QueryMethods(ClientBase):
    """Queries: they change nothing."""

    async def builds(self, *, org_id: str | None = None) -> list[BuildRecord]:
        """The builds that were uploaded, newest first."""
        return await builds.list_builds(self.bus, org_id=org_id)

    async def build(
        self, org_id: str, app_version_id: str, platform: str | None = None, *, labels: Collection[str] = ()
    ) -> BuildRecord | None:
        """The build that a job would install on a slot with these labels.

        That of `platform`, or of the label that names one; else the one for all platforms. None when there is
        no such build, or more than one.
        """
        found = await builds.serving(self.bus, org_id, app_version_id, platform, labels)
        return found[0] if len(found) == 1 else None

    async def get(self, any_id: str) -> JobView | RunView:
        """A job, or a run with all of its jobs; raises `NotFoundError`."""
        return await query.get(self.bus, any_id)

    async def job(self, job_id: str) -> JobView:
        """A job; raises `NotFoundError`."""
        return await query.job(self.bus, job_id)

    async def cases(self, attempt: Attempt) -> CaseReport | None:
        """The cases that an attempt's test report has; None when it has no report.

        Raises `NotFoundError` when it is not kept any more.
        """
        return await artifacts.cases(self.bus, attempt)

    async def small_file(self, blob: BlobRef, *, limit: int = 2**20) -> bytes:
        """A file that an attempt left, as a whole; raises `RefusedError` when it is over `limit` bytes."""
        return await artifacts.read(self.bus, blob, limit=limit)

    async def run(self, run_id: str) -> RunView:
        """A run with all of its jobs, by position; raises `NotFoundError`."""
        return await query.run(self.bus, run_id)

    async def run_in_short(self, run_id: str) -> RunView:
        """A run with its counts and the first of its jobs, if one is known; raises `NotFoundError`."""
        return await query.run_in_short(self.bus, run_id)

    async def jobs(
        self,
        *,
        state: JobState | None = None,
        org_id: str | None = None,
        app_version_id: str | None = None,
        run_id: str | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[JobView]:
        """Jobs that match, newest first; any number of pages is read for a high `limit`."""
        return await query.jobs(
            self.bus,
            state=state,
            org_id=org_id,
            app_version_id=app_version_id,
            run_id=run_id,
            limit=limit,
            offset=offset,
        )

    async def overview(self) -> Overview:
        """Queues, groups and counts at a glance."""
        return await query.overview(self.bus)

    async def agents(self) -> list[Heartbeat]:
        """The agents that are alive, with their slots, by name."""
        return await query.agents(self.bus)

    async def holds(self) -> list[SlotHold]:
        """What operators set for slots and agents, connected or not, by name."""
        return await query.holds(self.bus)

    async def explain(self, any_id: str) -> ExplainAnswer:
        """Why a job waits and what would change it, or why it went where it went; raises `NotFoundError`.

        Of a run, the first of its jobs that waits.
        """
        return await lab.explain(self.bus, any_id)

    async def timings(self) -> TimingsAnswer:
        """How long things took since the present leader took the lead, as histograms."""
        return await lab.timings(self.bus)

    async def history(self, test: str, *, org_id: str | None = None, limit: int = 50) -> HistoryAnswer:
        """The last outcomes of a test, newest first, of one organisation or of all.

        They are remembered for months, 50 of each test. Raises `NotFoundError` when there is none.
        """
        return await query.history(self.bus, test, org_id, limit)

    async def dead_letters(self, *, limit: int = 50) -> tuple[list[DeadLetterView], int]:
        """Messages that could not be read, newest first, each with its beginning; and how many there are."""
        return await deadletters.newest(self.bus, limit)

    async def dead_letter(self, number: int) -> DeadLetterView:
        """One of them with all that is kept of it; raises `NotFoundError`."""
        return await deadletters.one(self.bus, number)

    async def health(self) -> HealthAnswer:
        """The findings of the health check; a scheduler that does not answer is one of them, not an error."""
        return await query.health(self.bus)

    async def download_artifact(
        self, found: JobArtifact, folder: Path, *, progress: TransferProgress | None = None
    ) -> Path:
        """Write a file that a job left to `folder/JOB/ATTEMPT/NAME`; one that is there already is kept.

        Raises `NotFoundError` when it is not stored any more, `RefusedError` for a name that is not safe.
        """
        return await artifacts.download(self.bus, found, folder, progress=progress)
