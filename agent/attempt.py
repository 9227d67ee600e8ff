"""One attempt on a slot: fetch, install, run, collect, from the claim to the result."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from agent.claim import Claim
from agent.drivers.base import DEFAULT_APP_ID, Device, InstalledApp, RunningApp
from agent.errors import JobError
from agent.files import JobFiles
from agent.identity import Identity
from agent.launch import EndReason, Exit, JobDirs
from agent.lease import kept_lease, lease_of
from agent.logs import LogShipper
from agent.removal import remove_tree
from agent.runners.base import CaseCounts, InProcessRunner, Runner, RunnerJob, RunResult, Verdict
from agent.runners.registry import Runners
from agent.supervision.job_supervisor import JobSupervisor
from bus_schemas import events, subjects
from bus_schemas.agents import InstalledBuild
from bus_schemas.base import Message
from bus_schemas.events import Attempt, EndState, Phase, Preparing, Running
from bus_schemas.jobs import JobMessage, JobSpec
from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

INSTALL_TIMEOUT_S: Final = 300.0
START_TIMEOUT_S: Final = 60.0


class Outcome(NamedTuple):
    """What an attempt came to; `retryable` is False when another slot would meet the same trouble."""

    state: EndState
    result: Attempt
    retryable: bool = True


@dataclass(slots=True)
class _Progress:
    """What is known of the attempt so far."""

    running_at: float | None = None
    installed: bool = False
    install_s: float | None = None
    duration_s: float | None = None


@dataclass(slots=True)
class AttemptRunner:
    """Runs attempts on one device, one at a time."""

    bus: Bus
    who: Identity
    driver: str
    device: Device
    files: JobFiles
    runners: Runners
    work_dir: Path
    supervisor: JobSupervisor | None = None
    mark: str = ""
    _reason: EndReason | None = None
    _why: str = ""
    _task: asyncio.Task[RunResult] | None = None
    _in_supervisor: bool = False
    _tails: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    # -- what the slot shows --

    @property
    def labels(self) -> tuple[str, ...]:
        """The device's labels, sorted."""
        return tuple(sorted(self.device.labels))

    @property
    def installs(self) -> int:
        """How many installs this device made since the agent started."""
        return self.device.installs.made

    def installed(self) -> tuple[InstalledBuild, ...]:
        """What the device holds, as messages carry it."""
        return tuple(
            InstalledBuild(
                org_id=a.org_id, app_version_id=a.app_version_id, app_id=a.app_id, at=a.installed_at
            )
            for a in self.device.installed()
        )

    def slow(self, message: JobMessage) -> bool:
        """Whether the attempt may take long enough for others to ask meanwhile."""
        runner = self.runners.in_process(message.spec.runner)
        return runner is None or runner.slow

    async def phase(self, message: JobMessage) -> Phase:
        """Whether something has to be prepared before the test can run."""
        spec = message.spec
        ready = self._holds(spec) and (
            spec.bundle is None or self.runners.in_process(spec.runner) is not None
        )
        return "running" if ready else "preparing"

    # -- what others ask --

    def cancel(self, reason: str) -> None:
        """End the attempt: it was cancelled."""
        self._end(EndReason.CANCELLED, reason)

    def hand_back(self) -> None:
        """End the attempt without a result."""
        self._end(EndReason.STOPPING, "the agent stops")

    # -- the attempt --

    def expect(self) -> None:
        """An attempt is about to be claimed: what is asked for from now on concerns it."""
        self._reason, self._why, self._in_supervisor = None, "", False

    async def run(self, claim: Claim, ack: str, ack_wait_s: float, *, since: float) -> Outcome | None:
        """Run a claimed attempt; None when it is handed back, or held by somebody else now.

        `since`: when its message came, by the event loop's clock.
        """
        spec = claim.message.spec
        shipper = LogShipper(self.bus, claim.message)
        progress = _Progress()
        dirs = JobDirs(root=self.work_dir / f"{_safe(spec.job_id)}-{claim.message.attempt}")
        runner = self.runners.in_process(spec.runner)
        job = self._steps(claim, dirs, shipper, progress, runner, ack_wait_s)
        self._task = asyncio.create_task(job, name=f"attempt {spec.job_id}")
        if self._reason is not None:  # asked for while it was claimed
            self._task.cancel()
        try:
            async with kept_lease(
                self.bus,
                ack,
                ack_wait_s,
                since=since,
                on_renewed=self._renewed,
                on_lost=lambda: self._end(EndReason.LEASE_LOST, "the lease was lost"),
            ):
                result = await self._result(self._task, claim, progress)
                if result is None:
                    shipper.abandon()
                    return None
                await shipper.close(always=runner is None)
                return result
        finally:
            self._task = None
            if runner is None or runner.needs_bundle:
                self._clean(dirs)

    async def _result(
        self, task: asyncio.Task[RunResult], claim: Claim, progress: _Progress
    ) -> Outcome | None:
        state: EndState
        try:
            result = await task
        except asyncio.CancelledError:
            if self._reason is None:  # it is us who are cancelled, not the attempt
                raise
            result = RunResult(verdict=Verdict.INFRASTRUCTURE, reason=self._why)
        except JobError as error:
            outcome = self._outcome(claim, progress, "errored", error.reason, error.message, None)
            return outcome._replace(retryable=error.retryable)
        except QgjobError as error:
            return self._outcome(claim, progress, "errored", "agent_error", error.message, None)
        except (
            Exception
        ) as error:  # a full disk, a fault of a driver's: one attempt's trouble, not the agent's
            log.exception("%s: %s", self.who.name, claim.message.spec.job_id)
            text = f"the agent met an error: {error or type(error).__name__}"
            return self._outcome(claim, progress, "errored", "agent_error", text, None)
        match self._reason:
            case EndReason.STOPPING | EndReason.LEASE_LOST:
                return None
            case EndReason.CANCELLED:
                return self._outcome(claim, progress, "cancelled", "cancelled", self._why, result)
            case EndReason.TIMED_OUT | EndReason.SILENT:
                return self._outcome(claim, progress, "timed_out", self._reason.value, self._why, result)
            case None:
                pass
        match result.verdict:
            case Verdict.PASSED:
                state, word = "passed", None
            case Verdict.FAILED:
                state, word = "failed", "test_failed"
            case Verdict.INFRASTRUCTURE:
                state, word = "errored", "runner_failed"
        outcome = self._outcome(claim, progress, state, word, result.reason, result)
        return outcome._replace(retryable=result.retryable)

    def _outcome(
        self,
        claim: Claim,
        progress: _Progress,
        state: EndState,
        word: str | None,
        text: str | None,
        result: RunResult | None,
    ) -> Outcome:
        attempt = Attempt(
            number=claim.message.attempt,
            agent=self.who.agent,
            slot=self.who.slot,
            device=self.who.device,
            started_at=claim.started_at,
            running_at=progress.running_at,
            finished_at=time.time(),
            outcome=state,
            reason=word,
            message=text[:4000] if text else None,
            installed=progress.installed,
            install_s=progress.install_s,
            duration_s=progress.duration_s,
            exit_code=result.exit_code if result else None,
            takeovers=claim.takeovers,
            cases=_counts(result.counts) if result and result.cases else None,
        )
        return Outcome(state, attempt)

    async def _steps(
        self,
        claim: Claim,
        dirs: JobDirs,
        shipper: LogShipper,
        progress: _Progress,
        runner: InProcessRunner | None,
        ack_wait_s: float,
    ) -> RunResult:
        message = claim.message
        spec = message.spec
        prepared = await self.phase(message) == "running"
        say = shipper.say
        if runner is None or runner.needs_bundle:
            await asyncio.to_thread(_fresh, dirs, bundle=spec.bundle is None)
        if spec.bundle is not None and (runner is None or runner.needs_bundle):
            await self._tell(message, Preparing, step="bundle")
            await self.files.unpack_bundle(spec, dirs.bundle)
        if not self._holds(spec):
            await self._install(message, progress, say)
        app = RunningApp()
        if runner is None or runner.needs_bundle:
            held = self._held(spec)
            app_id = held.app_id if held else spec.app_id or DEFAULT_APP_ID
            app = await self.device.start_app(app_id, timeout_s=START_TIMEOUT_S)
        job = self._job(message, app)
        progress.running_at = time.time()
        if not prepared:
            await self._tell(message, Running, installed=progress.installed, install_s=progress.install_s)
        with self._deadline(spec.timeout_s):
            began = time.monotonic()
            try:
                if runner is not None:
                    return await runner.run(job, dirs, shipper.write)
                return await self._run_process(spec, job, dirs, shipper, ack_wait_s)
            finally:
                progress.duration_s = time.monotonic() - began

    async def _install(self, message: JobMessage, progress: _Progress, say: Callable[[str], None]) -> None:
        spec = message.spec
        await self._tell(message, Preparing, step="install")
        async with self.files.build(spec, say) as build:
            result = await self.device.install(build, timeout_s=INSTALL_TIMEOUT_S, progress=say)
        if not result.ok:
            raise JobError(
                result.detail or f"the build {spec.app_version_id} could not be installed",
                reason="install_failed" if result.retryable else "build_broken",
                retryable=result.retryable,
            )
        if not result.skipped:
            progress.installed, progress.install_s = True, result.duration_s

    async def _run_process(
        self, spec: JobSpec, job: RunnerJob, dirs: JobDirs, shipper: LogShipper, ack_wait_s: float
    ) -> RunResult:
        found = self.runners.find(spec.runner, dirs.bundle, spec.test)
        if not isinstance(found, Runner):
            return await found.run(job, dirs, shipper.write)
        launch = await asyncio.to_thread(found.prepare, job, dirs)
        supervisor = await self._living_supervisor()
        self._in_supervisor = True
        try:
            if self._reason is not None:
                raise asyncio.CancelledError
            exit_ = await supervisor.run(launch, shipper.write, lease_s=lease_of(ack_wait_s))
        finally:
            self._in_supervisor = False
        self._note_end(exit_)
        if exit_.leftovers:
            shipper.say(f"{exit_.leftovers} processes outlived the test and were ended")
        if launch.reports:
            return await asyncio.to_thread(found.collect, exit_, dirs)
        return found.collect(exit_, dirs)

    def _note_end(self, exit_: Exit) -> None:
        if exit_.ended is not None and self._reason is None:
            self._reason, self._why = exit_.ended, "ended by the supervisor"

    async def _living_supervisor(self) -> JobSupervisor:
        if self.supervisor is not None and not self.supervisor.alive:
            await self.supervisor.close()
            self.supervisor = None
        if self.supervisor is None:
            self.supervisor = await JobSupervisor.start(mark=self.mark)
        return self.supervisor

    def _end(self, reason: EndReason, why: str) -> None:
        if self._reason is not None:
            return
        self._reason, self._why = reason, why
        if self._task is None:
            return  # it is being claimed: it ends as soon as it begins
        if self._in_supervisor and self.supervisor is not None:
            self.supervisor.end(reason)
        else:
            self._task.cancel()

    def _renewed(self, lease_s: float) -> None:
        if self._in_supervisor and self.supervisor is not None:
            self.supervisor.renew(lease_s)

    @contextlib.contextmanager
    def _deadline(self, seconds: float) -> Generator[None]:
        text = f"the test ran longer than {seconds:g} s"
        timer = asyncio.get_running_loop().call_later(seconds, self._end, EndReason.TIMED_OUT, text)
        try:
            yield
        finally:
            timer.cancel()

    def _held(self, spec: JobSpec) -> InstalledApp | None:
        wanted = (spec.org_id, spec.app_version_id)
        return next((a for a in self.device.installed() if (a.org_id, a.app_version_id) == wanted), None)

    def _holds(self, spec: JobSpec) -> bool:
        """Whether the build is there; a mere marker counts while no build is known to be uploaded."""
        held = self._held(spec)
        return held is not None and (held.sha256 is not None or self.files.surely_absent(spec))

    def _job(self, message: JobMessage, app: RunningApp) -> RunnerJob:
        spec = message.spec
        return RunnerJob(
            job_id=spec.job_id,
            run_id=spec.run_id,
            org_id=spec.org_id,
            app_version_id=spec.app_version_id,
            attempt=message.attempt,
            test=spec.test,
            slot=self.who.name,
            device=self.who.device,
            argv=spec.argv,
            env=spec.env,
            app_dir=app.dir,
            app_url=app.url,
        )

    async def _tell(self, message: JobMessage, kind: type[events.Event], **fields: object) -> None:
        """Publish an event beside the chain; lost ones are missed by nobody but the eye."""
        spec = message.spec
        event: Message = kind.model_validate(
            {
                "org_id": spec.org_id,
                "run_id": spec.run_id,
                "job_id": spec.job_id,
                "attempt": message.attempt,
                "at": time.time(),
                **fields,
            }
        )
        subject = subjects.event(spec.org_id, spec.run_id, spec.job_id, message.attempt, "info")
        with contextlib.suppress(QgjobError):
            answer = await self.bus.requests.send(subject, event.encode())
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())  # heard, not heeded

    def _clean(self, dirs: JobDirs) -> None:
        """Put the attempt's folder away beside the way: the slot need not wait for it."""
        task = asyncio.create_task(self._put_away(dirs), name="cleaning")
        self._tails.add(task)
        task.add_done_callback(self._tails.discard)

    async def _put_away(self, dirs: JobDirs) -> None:
        with contextlib.suppress(OSError):
            await self.files.return_bundle(dirs.bundle)
        await asyncio.to_thread(remove_tree, dirs.root)

    async def close(self) -> None:
        """Let go of the device and the supervisor."""
        if self.supervisor is not None:
            await self.supervisor.close()
        await self.device.close()
        await asyncio.gather(*self._tails, return_exceptions=True)


def _fresh(dirs: JobDirs, *, bundle: bool) -> None:
    remove_tree(dirs.root)
    dirs.create()
    if bundle:
        dirs.bundle.mkdir()  # a job without one starts in an empty folder


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80]


def _counts(counts: CaseCounts) -> events.CaseCounts:
    return events.CaseCounts(
        passed=counts.passed,
        failed=counts.failed + counts.errors,
        skipped=counts.skipped,
        flaky=counts.flaky,
    )
