"""The client: each method hands over to the module that has the duty."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.client.later import Later
from qgjob.clock import Clock, SystemClock

if TYPE_CHECKING:
    from bus_schemas.agents import Heartbeat
    from bus_schemas.builds import BuildRecord
    from bus_schemas.cases import CaseReport
    from bus_schemas.crons import CronView
    from bus_schemas.events import Attempt
    from bus_schemas.explain import ExplainAnswer
    from bus_schemas.history import HistoryAnswer
    from bus_schemas.holds import SlotHold
    from bus_schemas.jobs import BlobRef
    from bus_schemas.lab import HoldVerb, SlotsAnswer
    from bus_schemas.requests import (
        CtlAnswer,
        HealthAnswer,
        JobState,
        JobView,
        Overview,
        RunView,
        StoredChunk,
    )
    from bus_schemas.rules import QueueRules
    from qgjob.client import (
        artifacts,
        builds,
        bundles,
        control,
        crons,
        downloads,
        lab,
        labfeed,
        live,
        logs,
        models,
        packed,
        query,
        submit,
        wait,
        watch,
    )
    from qgjob.client.downloads import JobArtifact
    from qgjob.client.labfeed import LabFeed
    from qgjob.client.live import Live
    from qgjob.client.models import (
        LiveEvent,
        SubmitRequest,
        Submitted,
        TransferProgress,
        Waited,
        WaitOptions,
    )
    from qgjob.client.watch import Watch
else:  # a command uses one or two of them, and waits for the import of each
    artifacts = Later("qgjob.client.artifacts")
    builds = Later("qgjob.client.builds")
    bundles = Later("qgjob.client.bundles")
    control = Later("qgjob.client.control")
    crons = Later("qgjob.client.crons")
    downloads = Later("qgjob.client.downloads")
    lab = Later("qgjob.client.lab")
    labfeed = Later("qgjob.client.labfeed")
    live = Later("qgjob.client.live")
    logs = Later("qgjob.client.logs")
    models = Later("qgjob.client.models")
    packed = Later("qgjob.client.packed")
    query = Later("qgjob.client.query")
    submit = Later("qgjob.client.submit")
    wait = Later("qgjob.client.wait")
    watch = Later("qgjob.client.watch")


@contextlib.asynccontextmanager
async def open_client(options: ServerOptions, *, clock: Clock | None = None) -> AsyncGenerator[Client]:
    """A connected client for the time of a block.

    Raises `UnreachableError`, `NotAllowedError` or `UsageError`, as `qgjob.bus.connect` does.
    """
    async with open_bus(options) as bus:
        yield Client(bus, clock or SystemClock())


class Client:
    """What can be asked of a qgjob system. Errors are `QgjobError`s whose text is for people."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self.bus = bus
        self.clock = clock

    # --- Putting work in ---------------------------------------------------------------------

    async def upload_bundle(self, file: Path, *, progress: TransferProgress | None = None) -> BlobRef:
        """Store a packed test bundle, unless it is there already; what it returns goes into a submit.

        Raises `RefusedError` when the file is over the limit.
        """
        return await bundles.upload(self.bus, file, now=self.clock.now(), progress=progress)

    async def stored_bundle(self, digest: str) -> BlobRef | None:
        """A test bundle that was stored, by its SHA-256; None when there is none."""
        return await bundles.stored(self.bus, digest)

    async def submit(self, request: SubmitRequest) -> Submitted:
        """Store a run: all of its jobs or none.

        Raises `UsageError` (a value is wrong), `RefusedError` (the run key was used for another
        submit, a job is too large), `NotFoundError` (its build was uploaded, and its bytes are not kept
        until its jobs have started), `UnreachableError` (the server stayed away for 30 s).
        """
        return await submit.submit(self.bus, request, clock=self.clock)

    async def submit_tests(
        self, request: SubmitRequest, *, folder: Path | None = None, progress: TransferProgress | None = None
    ) -> Submitted:
        """Pack the tests' bundle out of a folder of this machine, upload it, and store the run.

        `request.tests`: files, folders or globs, relative to `folder` (else the current one). Raises
        `NoTestsError` when nothing matches, else as `submit` does.
        """
        place = folder or Path.cwd()
        return await packed.submit_tests(self.bus, request, place, clock=self.clock, progress=progress)

    async def upload_app(
        self,
        path: Path,
        *,
        org_id: str,
        app_version_id: str | None = None,
        version_name: str | None = None,
        platform: str | None = None,
        app_id: str | None = None,
        progress: TransferProgress | None = None,
    ) -> BuildRecord:
        """Store a build, a file or a folder, as (organisation, app version, platform).

        Without an `app_version_id` it gets one made from its bytes, behind its `version_name` if there
        is one; the record says which. `progress` is called only when there is something to send: bytes
        that are stored already are not sent again. Raises `RefusedError` when that id has other bytes
        already, or the build is too large.
        """
        return await builds.upload(
            self.bus,
            path,
            org_id=org_id,
            app_version_id=app_version_id,
            version_name=version_name,
            platform=platform,
            app_id=app_id,
            clock=self.clock,
            progress=progress,
        )

    # --- Asking ------------------------------------------------------------------------------

    async def builds(self, *, org_id: str | None = None) -> list[BuildRecord]:
        """The builds that were uploaded, newest first."""
        return await builds.list_builds(self.bus, org_id=org_id)

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

    async def explain(self, job_id: str) -> ExplainAnswer:
        """Why a job waits and what would change it, or why it went where it went; raises `NotFoundError`."""
        return await lab.explain(self.bus, job_id)

    async def history(self, test: str, *, org_id: str | None = None, limit: int = 50) -> HistoryAnswer:
        """The last outcomes of a test, newest first, of one organisation or of all.

        They are remembered for months, 50 of each test. Raises `NotFoundError` when there is none.
        """
        return await query.history(self.bus, test, org_id, limit)

    async def health(self) -> HealthAnswer:
        """How the system is; a scheduler that does not answer is a finding, not an error."""
        return await query.health(self.bus)

    async def download_artifact(
        self, found: JobArtifact, folder: Path, *, progress: TransferProgress | None = None
    ) -> Path:
        """Write a file that a job left to `folder/JOB/ATTEMPT/NAME`; one that is there already is kept.

        Raises `NotFoundError` when it is not stored any more, `RefusedError` for a name that is not safe.
        """
        return await downloads.download(self.bus, found, folder, progress=progress)

    # --- Acting ------------------------------------------------------------------------------

    # Of a large run these three take a while. What the scheduler has taken it carries out, also when
    # whoever asked goes away or another scheduler takes over; `on_left` hears how many jobs are to come.

    async def cancel(
        self,
        any_id: str,
        *,
        reason: str | None = None,
        by: str | None = None,
        on_left: Callable[[int], None] | None = None,
    ) -> CtlAnswer:
        """Cancel a job, or all jobs of a run that have not ended; raises `NotFoundError`."""
        return await control.cancel(self.bus, any_id, reason=reason, by=by, on_left=on_left)

    async def retry(
        self,
        any_id: str,
        *,
        failed: bool = False,
        by: str | None = None,
        on_left: Callable[[int], None] | None = None,
    ) -> CtlAnswer:
        """Try a job that ended once more, or all of a run's that did; with `failed` only those that failed.

        Raises `NotFoundError`, and `RefusedError` when what they were made of is not kept any more.
        """
        return await control.retry(self.bus, any_id, failed=failed, by=by, on_left=on_left)

    async def reprioritise(
        self,
        any_id: str,
        priority: int,
        *,
        by: str | None = None,
        on_left: Callable[[int], None] | None = None,
    ) -> CtlAnswer:
        """Give a job, or all jobs of a run, another priority, 1 to 10; raises `NotFoundError`.

        It counts at once for those that wait, and in later attempts for those that a slot has.
        """
        return await control.reprioritise(self.bus, any_id, priority, by=by, on_left=on_left)

    async def pause_queue(
        self,
        *,
        org_id: str | None = None,
        capability: str | None = None,
        note: str | None = None,
        by: str | None = None,
    ) -> QueueRules:
        """Start no more jobs of an organisation, of a capability, of both, or none at all.

        Returns all rules that are in force then.
        """
        return await control.pause(self.bus, org_id=org_id, capability=capability, note=note, by=by)

    async def resume_queue(
        self, *, org_id: str | None = None, capability: str | None = None, by: str | None = None
    ) -> QueueRules:
        """Lift exactly that pause; returns all rules that are in force then."""
        return await control.resume(self.bus, org_id=org_id, capability=capability, by=by)

    async def limit_org(
        self,
        org_id: str,
        *,
        max_running: int | None = None,
        unlimited: bool = False,
        weight: float | None = None,
        by: str | None = None,
    ) -> QueueRules:
        """Set how many jobs an organisation may have running at once, and its weight among the others."""
        return await control.limit(
            self.bus, org_id, max_running=max_running, unlimited=unlimited, weight=weight, by=by
        )

    async def hold(
        self,
        verb: HoldVerb,
        name: str,
        *,
        note: str | None = None,
        for_s: float | None = None,
        by: str | None = None,
    ) -> SlotsAnswer:
        """Drain, pause, quarantine or reserve a slot (`agent/slot`) or an agent, or resume it.

        A running job is finished first. `for_s`: for how long, in seconds; None: until it is resumed.
        Raises `NotFoundError` (no such slot) and `RefusedError` (somebody else holds it).
        """
        return await lab.hold(self.bus, verb, name, note=note, for_s=for_s, by=by)

    async def resume_build(self, org_id: str, app_version_id: str, *, by: str | None = None) -> None:
        """Let the jobs of a build start that is held because it failed on slot after slot.

        Raises `NotFoundError` when it is not held.
        """
        await lab.resume_build(self.bus, org_id, app_version_id, by=by)

    async def add_schedule(
        self, request: SubmitRequest, expression: str, zone: str | None = None, *, by: str | None = None
    ) -> tuple[CronView, bool]:
        """Have a run submitted again and again; returns the schedule, and whether it replaced one.

        `expression`: five fields as crontab has them, six with the second before them, or `@hourly`,
        `@every 30m`, …; `zone`: of the IANA's database, else UTC. With a `run_key`, the one of that
        key is replaced. Raises `UsageError` when the server takes no such schedule.
        """
        return await crons.add(self.bus, request, expression, zone, clock=self.clock, by=by)

    async def schedules(self, *, org_id: str | None = None) -> list[CronView]:
        """The schedules, oldest first."""
        return await crons.list_all(self.bus, org_id=org_id)

    async def delete_schedule(self, schedule_id: str, *, by: str | None = None) -> CronView:
        """Delete a schedule, whose runs go on; raises `NotFoundError`."""
        return await crons.delete(self.bus, schedule_id, by=by)

    # --- Following ---------------------------------------------------------------------------

    def watch(self, any_id: str, *, known: Submitted | None = None) -> Watch:
        """A job or a run kept up to date while it is entered; see `Watch`.

        `known`: what `submit` returned, so that a run can be watched that no scheduler read yet.
        """
        return watch.Watch(self.bus, any_id, known=known, clock=self.clock)

    async def wait(
        self,
        any_id: str,
        options: WaitOptions | None = None,
        *,
        known: Submitted | None = None,
        on_change: Callable[[Watch], None] | None = None,
    ) -> Waited:
        """Wait until a job, or all jobs of a run, have ended; restarts of servers are sat out.

        `on_change` is called with the watched state after every change, and every 10 s without one. Raises
        `NotFoundError`.
        """
        return await wait.wait(
            self.bus,
            any_id,
            options or models.WaitOptions(),
            clock=self.clock,
            known=known,
            on_change=on_change,
        )

    def logs(
        self, job_id: str, *, follow: bool = False, tail: int | None = None
    ) -> AsyncGenerator[StoredChunk]:
        """The output of a job in order, each chunk once; with `follow`, until the job has ended.

        `tail`: of what is stored only the last so many lines, 1 to 10,000; what comes before them is not
        read. Raises `NotFoundError`. Close the generator to stop following.
        """
        return logs.read(self.bus, job_id, follow=follow, tail=tail, clock=self.clock)

    def lab_feed(self) -> LabFeed:
        """The whole lab, kept up to date while it is entered; see `LabFeed`."""
        return labfeed.LabFeed(self.bus, self.clock)

    def live_events(self, *, run_id: str | None = None, job_id: str | None = None) -> Live[LiveEvent]:
        """Events as they are stored: of one job, of one run, or all."""
        return live.events(self.bus, run_id=run_id, job_id=job_id)

    def live_overview(self) -> Live[Overview]:
        """The overview as the leader publishes it: when something changed, at most 4 times a second."""
        return live.overview(self.bus)

    def live_agents(self) -> Live[Heartbeat]:
        """Heartbeats: every 5 s and on change of each agent; state `gone` at a clean stop."""
        return live.agents(self.bus)

    def live_logs(self, job_id: str) -> Live[StoredChunk]:
        """Output of one job as it is stored; `logs` joins it with what was stored before."""
        return live.logs(self.bus, job_id)

    # --- The connection ----------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the connection is up now; it comes back by itself."""
        return self.bus.connected

    def on_connection(self, callback: Callable[[bool], None]) -> Callable[[], None]:
        """Call back with True after every reconnect, with False after every loss; returns the undoing."""

        def up() -> None:
            callback(True)

        def down() -> None:
            callback(False)

        self.bus.on_reconnect.append(up)
        self.bus.on_disconnect.append(down)

        def undo() -> None:
            self.bus.on_reconnect.remove(up)
            self.bus.on_disconnect.remove(down)

        return undo
