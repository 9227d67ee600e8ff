"""Runs the attempts of one slot, one at a time: from the claim to the result."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from agent.attempts.artifacts import keep
from agent.attempts.claim import Claim
from agent.attempts.identity import Identity
from agent.attempts.interruption import Interruption
from agent.attempts.lease import kept_lease
from agent.attempts.outcome import Outcome, Progress, masked, of_error, of_result, outcome, with_artifacts
from agent.attempts.processes import SlotProcesses
from agent.attempts.steps import SlotParts, Steps
from agent.config.settings import JobLimits
from agent.drivers.base import Device, Health
from agent.drivers.guarded import guarded
from agent.launch import EndReason, JobDirs
from agent.output.logs import LogShipper
from agent.output.masking import masker_of
from agent.runners.base import RunResult, Verdict
from agent.runners.kit import Kit
from agent.runners.registry import Runners
from agent.storage.files import JobFiles
from agent.storage.removal import remove_tree
from agent.storage.short_tmp import forget_short_tmp
from bus_schemas.agents import InstalledBuild
from bus_schemas.events import Phase
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)


class AttemptRunner:
    """Runs attempts on one device, one at a time."""

    def __init__(
        self,
        *,
        bus: Bus,
        who: Identity,
        driver: str,
        device: Device,
        files: JobFiles,
        runners: Runners,
        kit: Kit,
        work_dir: Path,
        mark: str = "",
        secrets: Mapping[str, str] | None = None,
        limits: JobLimits | None = None,
    ) -> None:
        self.who = who
        self.driver = driver
        self.device = device
        self._work_dir = work_dir
        self._processes = SlotProcesses(mark)
        self._interruption = Interruption(self._processes)
        self._secrets = secrets or {}
        self._limits = limits or JobLimits()
        self._slot = SlotParts(
            bus, device, files, runners, kit, self._processes, self._interruption, self._limits
        )
        self._tails: set[asyncio.Task[None]] = set()

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
        """The builds installed on the device, as messages carry them."""
        return tuple(
            InstalledBuild(
                org_id=a.org_id, app_version_id=a.app_version_id, app_id=a.app_id, at=a.installed_at
            )
            for a in self._slot.installed()
        )

    def slow(self, message: JobMessage) -> bool:
        """Whether the attempt may take long enough that the slot has to report while it runs."""
        runner = self._slot.runners.in_process(message.spec.runner)
        return runner is None or runner.slow

    async def phase(self, message: JobMessage) -> Phase:
        """Whether something has to be prepared before the test can run."""
        spec = message.spec
        await guarded(self.device, self.device.prove(spec.org_id, spec.app_version_id), None)
        return self._slot.phase(spec)

    @property
    def lost_lease(self) -> bool:
        """Whether the last attempt ended because its lease was over."""
        return self._interruption.reason is EndReason.LEASE_LOST

    # -- what others ask --

    def cancel(self, reason: str) -> None:
        """End the attempt: it was cancelled."""
        self._interruption.end(EndReason.CANCELLED, reason)

    def hand_back(self) -> None:
        """End the attempt without a result."""
        self._interruption.end(EndReason.STOPPING, "the agent stops")

    def lose_device(self, why: str) -> None:
        """End the attempt: its device is gone."""
        self._interruption.end(EndReason.DEVICE_LOST, why)

    # -- the attempt --

    def prepare_for_next(self) -> None:
        """An attempt is about to be claimed: what is asked for from now on concerns it."""
        self._interruption.reset()

    async def run(
        self,
        claim: Claim,
        ack: str,
        ack_wait_s: float,
        *,
        since: float,
        on_renewed: Callable[[float], None] | None = None,
    ) -> Outcome | None:
        """Run a claimed attempt; None when it is handed back, or held by somebody else now.

        `since`: when its message came, by the event loop's clock. `on_renewed` hears for how many seconds
        the attempt may go on, each time that its lease was renewed.
        """
        spec = claim.message.spec
        bus, interruption = self._slot.bus, self._interruption
        secrets = {name: self._secrets[name] for name in spec.secrets if name in self._secrets}
        masker = masker_of(secrets)
        shipper = LogShipper(bus, claim.message, masker=masker)
        _log_header(shipper, claim)
        # One folder a claim: that of an earlier claim of the same attempt may just be being removed.
        name = f"{_safe(spec.job_id)}-{claim.message.attempt}-{claim.nonce[:6]}"
        dirs = JobDirs(root=self._work_dir / name)
        runner = self._slot.runners.in_process(spec.runner)
        steps = Steps(self._slot, claim, dirs, shipper, Progress(), runner, ack_wait_s, secrets)

        def renewed(left_s: float) -> None:
            self._processes.renew(left_s)
            if on_renewed is not None:
                on_renewed(left_s)

        task = asyncio.create_task(steps.run(), name=f"attempt {spec.job_id}")
        try:
            with interruption.attempt_task(task):
                async with kept_lease(
                    bus,
                    ack,
                    ack_wait_s,
                    since=since,
                    on_renewed=renewed,
                    on_lost=lambda: interruption.end(EndReason.LEASE_LOST, "the lease was lost"),
                ):
                    try:
                        result = await self._result(task, claim, steps)
                        if result is not None and result.state != "passed" and steps.has_folders:
                            await guarded(self.device, self.device.evidence(dirs.artifacts), None)
                    finally:
                        await guarded(self.device, self.device.settle(), None)
                    if result is None:
                        shipper.abandon()
                        return None
                    if steps.has_folders:
                        kept = await keep(bus, dirs, self._limits.artifacts, shipper.say)
                        result = with_artifacts(result, kept)
                    await shipper.close(always=runner is None)
                    return masked(result, masker)
        finally:
            if steps.has_folders:
                self._clean(dirs)

    async def _result(self, task: asyncio.Task[RunResult], claim: Claim, steps: Steps) -> Outcome | None:
        asked, progress = self._interruption, steps.progress
        try:
            result = await task
        except asyncio.CancelledError:
            us = asyncio.current_task()
            if asked.reason is None and us is not None and us.cancelling():  # this task is cancelled
                raise
            # Nobody cancelled us: a cancel of something within escaped. Passed on, it would end the slot.
            why = asked.why if asked.reason is not None else "a step of the attempt was cancelled by no one"
            result = RunResult(verdict=Verdict.INFRASTRUCTURE, reason=why)
        except Exception as error:
            if not isinstance(error, QgjobError):
                log.exception("%s: %s", self.who.name, claim.message.spec.job_id)
            if asked.reason is not None:  # it was ended on purpose: an error that followed does not count
                verdicted = of_result(RunResult(verdict=Verdict.INFRASTRUCTURE), asked.reason, asked.why)
                return verdicted and outcome(claim, verdicted, progress, None, now=time.time())
            if isinstance(error, QgjobError) and error.hint:
                steps.shipper.say(error.hint)  # the reason is in the result; the hint is only in the log
            return outcome(claim, of_error(error), progress, None, now=time.time())
        reason, why = asked.reason, asked.why
        if _suspects_device(result, reason) and (silence := await self._silence()):
            reason, why = EndReason.DEVICE_LOST, silence
        verdicted = of_result(result, reason, why)
        return verdicted and outcome(claim, verdicted, progress, result, now=time.time())

    async def _silence(self) -> str | None:
        """Why the device does not answer, after a test that did not pass; None when it does."""
        health = await guarded(self.device, self.device.health(), Health(ok=False, silent=True))
        return health.detail or "the device does not answer" if health.silent else None

    # -- cleaning --

    def _clean(self, dirs: JobDirs) -> None:
        """Clean the attempt's folder up in the background: the slot need not wait for it."""
        task = asyncio.create_task(self._clean_up_folders(dirs), name="cleaning")
        self._tails.add(task)
        task.add_done_callback(self._tails.discard)

    async def _clean_up_folders(self, dirs: JobDirs) -> None:
        with contextlib.suppress(OSError):
            await self._slot.files.return_bundle(dirs.bundle)
        await asyncio.to_thread(remove_tree, dirs.root)

    async def close(self) -> None:
        """Let go of the device and the supervisor."""
        await self._processes.close()
        await self._slot.kit.close()
        await self.device.close()
        await asyncio.gather(*self._tails, return_exceptions=True)
        forget_short_tmp(self._work_dir)


def _log_header(shipper: LogShipper, claim: Claim) -> None:
    """Tell the reader of the log that this is a takeover, or not the first attempt."""
    if claim.takeovers:
        shipper.say(f"--- taken over by {claim.who.name}: it begins again (takeover {claim.takeovers}) ---")
    elif claim.message.attempt > 1:
        shipper.say(f"--- attempt {claim.message.attempt}, on {claim.who.name} ---")


def _suspects_device(result: RunResult, reason: EndReason | None) -> bool:
    if reason is None:
        return result.verdict is not Verdict.PASSED
    return reason in {EndReason.TIMED_OUT, EndReason.SILENT}


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:80]
