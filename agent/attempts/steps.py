"""The steps of an attempt: fetch the bundle, install the build, run the test, collect."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.attempts.claim import Claim
from agent.attempts.interruption import Interruption
from agent.attempts.outcome import Progress
from agent.attempts.processes import SlotProcesses
from agent.attempts.watching import watched
from agent.config.secrets import refuse_without_secrets
from agent.config.settings import JobLimits
from agent.drivers.base import DEFAULT_APP_ID, Build, Device, InstalledApp, InstallResult, RunningApp
from agent.drivers.guarded import driver_failed
from agent.errors import JobError
from agent.launch import EndReason, JobDirs
from agent.output.logs import LogShipper
from agent.output.masking import masker_of
from agent.reports.stored import case_report, masking, store_cases
from agent.runners.base import (
    AnyRunner,
    AppiumSession,
    InProcessRunner,
    Runner,
    RunnerJob,
    RunResult,
)
from agent.runners.kit import Kit
from agent.runners.registry import AUTO, Runners
from agent.storage.files import JobFiles
from agent.storage.removal import remove_tree
from bus_schemas import events
from bus_schemas.events import Phase, Preparing, Running
from bus_schemas.jobs import JobMessage, JobSpec
from bus_schemas.streams import lease_of
from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError

DRIVER_GRACE_S: Final = 15.0
TIMED_OUT: Final = "install_timeout"


_Sought = tuple[str, str, str | None]


@dataclass(slots=True)
class SlotParts:
    """What all attempts of a slot share."""

    bus: Bus
    device: Device
    files: JobFiles
    runners: Runners
    kit: Kit
    processes: SlotProcesses
    interruption: Interruption
    limits: JobLimits
    digests: dict[_Sought, str] = field(default_factory=dict["_Sought", str])
    """Of the builds that jobs got here: a version may have one for each platform."""

    def installed(self) -> Sequence[InstalledApp]:
        """What the device holds; nothing while its driver cannot say."""
        try:
            return tuple(self.device.installed())
        except Exception as error:  # noqa: BLE001 - asked for each heartbeat, it would end the agent
            driver_failed(self.device, error)
            return ()

    def held(self, spec: JobSpec) -> InstalledApp | None:
        """The ledger's entry of the job's build, or its marker while none is uploaded."""
        digest = self.digests.get(_sought(spec))
        return next((app for app in self._same_digest(spec) if app.sha256 == digest), None)

    def installed_as(self, spec: JobSpec) -> str:
        """The app id under which the device has the job's build; not all drivers say which bytes it was."""
        alike = self._same_digest(spec)
        held = self.held(spec) or (alike[0] if alike else None)
        return held.app_id if held else spec.app_id or DEFAULT_APP_ID

    def _same_digest(self, spec: JobSpec) -> list[InstalledApp]:
        return [app for app in self.installed() if _version(app) == _version(spec)]

    def holds(self, spec: JobSpec) -> bool:
        """Whether the build is there; a mere marker counts while no build is known to be uploaded."""
        held = self.held(spec)
        return held is not None and (
            held.sha256 is not None or self.files.known_missing(spec, self.device.labels)
        )

    def knows(self, spec: JobSpec, digest: str | None) -> None:
        """Remember the digest of the build that the job wants; None: none was uploaded."""
        there = {_version(app) for app in self.installed()}
        self.digests = {key: value for key, value in self.digests.items() if key[:2] in there}
        self.digests.pop(_sought(spec), None)
        if digest is not None:
            self.digests[_sought(spec)] = digest

    def phase(self, spec: JobSpec) -> Phase:
        """Whether something has to be prepared before the test can run."""
        ready = self.holds(spec) and (spec.bundle is None or self.runners.in_process(spec.runner) is not None)
        return "running" if ready else "preparing"


@dataclass(slots=True)
class Steps:
    """The steps of one attempt. `run` returns the test's result, or raises an infrastructure error."""

    slot: SlotParts
    claim: Claim
    dirs: JobDirs
    shipper: LogShipper
    progress: Progress
    runner: InProcessRunner | None
    ack_wait_s: float
    secrets: Mapping[str, str]

    @property
    def _message(self) -> JobMessage:
        return self.claim.message

    @property
    def _spec(self) -> JobSpec:
        return self.claim.message.spec

    @property
    def has_folders(self) -> bool:
        """Whether the attempt works in folders of its own, or merely in the agent."""
        return self.runner is None or self.runner.needs_bundle

    async def run(self) -> RunResult:
        """Run all steps."""
        refuse_without_secrets(self._spec, self.secrets, self.claim.who.agent)
        prepared = self.slot.phase(self._spec) == "running"
        if not self.has_folders and self.runner is not None:
            return await self._run_with(self.runner, prepared=prepared)
        await self._make_folders()
        spec, slot = self._spec, self.slot
        runner = self.runner or slot.runners.find(spec.runner, self.dirs.bundle, *spec.files)
        if spec.runner == AUTO:
            self.shipper.say(f"--- runner {runner.name}, by the look of the test; --runner names another ---")
        async with slot.kit.equipped(
            runner,
            self.dirs.bundle,
            spec.files[0],
            org_id=spec.org_id,
            labels=slot.device.labels,
            say=self.shipper.say,
        ):
            return await self._run_with(runner, prepared=prepared)

    async def _run_with(self, runner: AnyRunner, *, prepared: bool) -> RunResult:
        if not self.slot.holds(self._spec):
            await self._install(self.shipper.say)
        app = await self._start_app() if self.has_folders else RunningApp()
        job = self._job(app, await self.slot.kit.appium(runner, app))
        self.progress.running_at = time.time()
        if not prepared:
            await self._post_event(
                Running,
                installed=self.progress.installed,
                install_s=self.progress.install_s,
                takeovers=self.claim.takeovers,
            )
        try:
            result = await self._run_test(runner, job)
        finally:
            await self.slot.kit.settle()
        await self._store_cases(runner.name, result)
        return result

    # -- fetch --

    async def _make_folders(self) -> None:
        spec = self._spec
        await asyncio.to_thread(_fresh, self.dirs, bundle=spec.bundle is None)
        if spec.bundle is not None:
            await self._post_preparing("bundle")
            await self.slot.files.unpack_bundle(
                spec, self.dirs.bundle, lambda text: self._post_preparing("bundle", text)
            )

    # -- install --

    async def _install(self, say: Callable[[str], None]) -> None:
        spec = self._spec
        self.slot.knows(spec, await self.slot.files.digest(spec, self.slot.device.labels))
        if self.slot.holds(spec):
            return  # found by its digest: installed by an earlier agent, or under another name
        await self._post_preparing("install")

        async def fetching(text: str) -> None:
            await self._post_preparing("download", text)

        async with self.slot.files.build(spec, self.slot.device.labels, say, fetching) as build:
            # What was said of a download is over; and where an install hangs, this is what is seen.
            said = f"installing {spec.app_version_id}"
            if build.path is not None:  # else there is nothing to install, and a log is the test's alone
                say(said)
            await self._post_preparing("install", said)
            result = await self._install_in_time(build, say)
        if not result.ok:
            usual = "install_failed" if result.retryable else "build_broken"
            raise JobError(
                result.detail or f"the build {spec.app_version_id} could not be installed",
                reason=result.reason or usual,
                retryable=result.retryable,
            )
        if not result.skipped:
            self.progress.installed, self.progress.install_s = True, result.duration_s

    async def _install_in_time(self, build: Build, say: Callable[[str], None]) -> InstallResult:
        limit = self.slot.limits.install_timeout_s
        try:
            async with asyncio.timeout(limit + DRIVER_GRACE_S):  # the driver itself keeps the limit
                return await self.slot.device.install(build, timeout_s=limit, progress=say)
        except TimeoutError:
            raise JobError(
                f"the install took longer than {limit:g} s", reason=TIMED_OUT, retryable=True
            ) from None

    async def _start_app(self) -> RunningApp:
        device, app_id = self.slot.device, self.slot.installed_as(self._spec)
        limit = self.slot.limits.install_timeout_s  # an install starts it too
        try:
            async with asyncio.timeout(limit + DRIVER_GRACE_S):  # the driver itself keeps the limit
                return await device.start_app(app_id, timeout_s=limit)
        except TimeoutError as error:
            driver_failed(device, error)
            text = f"the app was not started within {limit:g} s"
            raise JobError(text, reason="start_timeout", retryable=True) from None

    # -- run --

    async def _run_test(self, runner: AnyRunner, job: RunnerJob) -> RunResult:
        spec, interruption = self._spec, self.slot.interruption
        text = f"the test ran longer than {spec.timeout_s:g} s"
        with (
            interruption.deadline(spec.timeout_s, EndReason.TIMED_OUT, text),
            watched(
                self.shipper, self.dirs if self.has_folders else None, interruption, spec, self.slot.limits
            ),
        ):
            began = time.monotonic()
            try:
                if isinstance(runner, InProcessRunner):
                    return await runner.run(job, self.dirs, self.shipper.write)
                return await self._run_process(runner, job)
            finally:
                self.progress.duration_s = time.monotonic() - began

    async def _run_process(self, runner: Runner, job: RunnerJob) -> RunResult:
        dirs = self.dirs
        launch = await asyncio.to_thread(runner.prepare, job, dirs)
        exit_ = await self.slot.processes.run(
            launch, self.shipper.write, lease_s=lease_of(self.ack_wait_s), begin=self._unless_ended
        )
        if exit_.ended is not None:
            self.slot.interruption.record_end(exit_.ended, "ended by the supervisor")
        if exit_.leftovers:
            self.shipper.say(f"{exit_.leftovers} processes outlived the test and were ended")
        if launch.reports:
            result = await asyncio.to_thread(runner.collect, exit_, dirs)
        else:
            result = runner.collect(exit_, dirs)
        if result.problem:
            self.shipper.say(result.problem)
        return result

    async def _store_cases(self, runner: str, result: RunResult) -> None:
        unwanted = {EndReason.STOPPING, EndReason.LEASE_LOST}
        if not result.cases or not self.has_folders or self.slot.interruption.reason in unwanted:
            return
        masked = masking(masker_of(self.secrets), self.dirs.bundle)
        try:
            # Thousands of cases take seconds, in which the job's lease has to be kept.
            report = await asyncio.to_thread(
                case_report,
                self._spec.job_id,
                self._message.attempt,
                runner,
                result.cases,
                masked,
            )
            self.progress.report = await store_cases(self.slot.bus, self.dirs.root, report)
        except (QgjobError, OSError) as error:  # the counts are in the result all the same
            self.shipper.say(f"the report's cases could not be stored: {error}")

    def _unless_ended(self) -> None:
        if self.slot.interruption.reason is not None:
            raise asyncio.CancelledError

    def _job(self, app: RunningApp, appium: AppiumSession | None) -> RunnerJob:
        spec, who = self._spec, self.claim.who
        return RunnerJob(
            job_id=spec.job_id,
            run_id=spec.run_id,
            org_id=spec.org_id,
            app_version_id=spec.app_version_id,
            attempt=self._message.attempt,
            test=spec.test,
            tests=spec.tests,
            slot=who.name,
            device=who.device,
            argv=spec.argv,
            env={**spec.env, **self.secrets},
            app_dir=app.dir,
            app_url=app.url,
            app_package=app.package,
            device_env=app.env,
            appium=appium,
        )

    # -- what others see of it --

    async def _post_preparing(self, step: str, message: str | None = None) -> None:
        await self._post_event(Preparing, step=step, message=message, takeovers=self.claim.takeovers)

    async def _post_event(self, kind: type[Preparing | Running], **fields: object) -> None:
        """Publish an event that is not part of the chain; losing one affects only what is displayed."""
        spec, attempt = self._spec, self._message.attempt
        event = kind.model_validate({**events.about(spec, attempt, time.time()), **fields})
        with contextlib.suppress(QgjobError):
            answer = await self.slot.bus.requests.send(events.subject_of(event), event.encode())
            # A failure is retrieved, or asyncio would log it.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())


def _version(of: JobSpec | InstalledApp) -> tuple[str, str]:
    return of.org_id, of.app_version_id


def _sought(spec: JobSpec) -> _Sought:
    return (*_version(spec), spec.platform)


def _fresh(dirs: JobDirs, *, bundle: bool) -> None:
    remove_tree(dirs.root)
    dirs.create()
    if bundle:
        dirs.bundle.mkdir()  # a job without one starts in an empty folder
