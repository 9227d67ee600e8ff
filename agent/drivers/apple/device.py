"""An iOS device or simulator; what differs between the two is in `tools`."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agent.drivers.apple.bundle import unpack_app
from agent.drivers.apple.tools import Tools
from agent.drivers.base import (
    Build,
    Device,
    DriverContext,
    Health,
    InstallCounters,
    InstalledApp,
    InstallProgress,
    InstallResult,
    RunningApp,
)
from agent.drivers.ledger import Ledger
from agent.drivers.ownership import Ownership
from agent.drivers.timed_install import timed_install
from agent.errors import JobError


class AppleDevice(Device):
    """Its ledger is by bundle id; every entry is proved by where the system says that the app is."""

    def __init__(self, udid: str, labels: frozenset[str], tools: Tools, context: DriverContext) -> None:
        self.name = self.udid = udid
        self.labels = labels | context.labels | context.device_labels.get(udid, frozenset())
        self.installs = InstallCounters()
        self.note: str | None = None
        """Why it cannot be used, as last listed. Set by the driver."""
        self._tools = tools
        self._clock = context.clock
        self._folder = context.device_folder(udid)
        self._ownership = Ownership(udid)
        self._ledger = Ledger(self._folder / "installed.json")
        self._bundle_id: str | None = None
        self._unproved: JobError | None = None

    async def open(self) -> None:
        """See `Device.open`. Raises `JobError` when another agent has it."""
        self._ownership.take()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ledger.load()
        for entry in self._ledger.entries:
            await self._prove_entry(entry)

    async def health(self) -> Health:
        """See `Device.health`: whether it is listed as usable."""
        try:
            listed = {device.udid: device for device in await self._tools.listed()}
        except JobError as error:
            return Health(ok=False, silent=True, detail=error.message)
        found = listed.get(self.udid)
        note = found.note if found else "it is not connected"
        return Health(ok=note is None, silent=note is not None, detail=note)

    async def recover(self) -> Health:
        """See `Device.recover`: a simulator is booted; for a phone there are no means."""
        with contextlib.suppress(JobError):
            await self._tools.recover(self.udid)
        return await self.health()

    async def close(self) -> None:
        """See `Device.close`."""
        self._ownership.release()

    def installed(self) -> Sequence[InstalledApp]:
        """See `Device.installed`."""
        return self._ledger.entries

    async def prove(self, org_id: str, app_version_id: str) -> None:
        """See `Device.prove`."""
        self._unproved = None
        for entry in self._ledger.entries:
            if (entry.org_id, entry.app_version_id) == (org_id, app_version_id):
                try:
                    await self._prove_entry(entry)
                except JobError as error:
                    self._unproved = error
                    self.doubt(error.message)

    async def _prove_entry(self, entry: InstalledApp) -> None:
        if await self._tools.proof(self.udid, entry.app_id) != entry.proof:
            await self._ledger.remove(entry.app_id)

    async def install(
        self, build: Build, *, timeout_s: float, progress: InstallProgress | None = None
    ) -> InstallResult:
        """See `Device.install`."""
        bring = self._bring(build, timeout_s, progress)
        result = await timed_install(bring, self.installs, self._clock, timeout_s=timeout_s)
        if result.reason == "install_timeout":
            self.doubt(result.detail or result.reason)
        return result

    async def _bring(self, build: Build, timeout_s: float, progress: InstallProgress | None) -> bool:
        if build.path is None:
            raise JobError(
                f"no build {build.app_version_id} was uploaded", reason="build_missing", retryable=False
            )
        wanted = (build.org_id, build.app_version_id, build.sha256)
        for entry in self._ledger.entries:
            if (entry.org_id, entry.app_version_id, entry.sha256) == wanted:
                await self._prove_entry(entry)
                if entry in self._ledger.entries:
                    return False
        with tempfile.TemporaryDirectory(prefix="qgjob-", dir=self._folder) as folder:
            app = await asyncio.to_thread(unpack_app, build.path, Path(folder) / "app")
            former = self._ledger.get(app.bundle_id)
            await self._ledger.remove(app.bundle_id)
            if former is not None and former.org_id != build.org_id:
                await self._tools.uninstall(self.udid, app.bundle_id)
            if progress is not None:
                progress(f"installing {app.bundle_id} {app.version} on {self.udid}")
            await self._tools.install(self.udid, app.path, timeout_s)
        proof = await self._tools.proof(self.udid, app.bundle_id)
        if proof is None:
            text = f"{self.udid} took {app.bundle_id}, but does not have it"
            raise JobError(text, reason="install_failed", retryable=True)
        await self._ledger.put(
            InstalledApp(
                org_id=build.org_id,
                app_version_id=build.app_version_id,
                app_id=app.bundle_id,
                sha256=build.sha256,
                installed_at=self._clock.now(),
                proof=proof,
            )
        )
        return True

    async def uninstall(self, app_id: str) -> None:
        """See `Device.uninstall`."""
        await self._ledger.remove(app_id)
        await self._tools.uninstall(self.udid, app_id)

    async def start_app(self, app_id: str, *, timeout_s: float) -> RunningApp:
        """See `Device.start_app`: the test starts the app itself."""
        del timeout_s
        if self._unproved is not None:
            raise self._unproved
        if self._ledger.get(app_id) is None:
            text = f"{app_id} is not installed on {self.udid}"
            raise JobError(text, reason="app_missing", retryable=True)
        self._bundle_id = app_id
        env = {"QGJOB_UDID": self.udid, "QGJOB_PLATFORM": "ios", "QGJOB_APP_PACKAGE": app_id}
        return RunningApp(package=app_id, env=env)

    async def stop_app(self, app_id: str) -> None:
        """See `Device.stop_app`."""
        await self._tools.stop(self.udid, app_id)

    async def evidence(self, folder: Path) -> None:
        """See `Device.evidence`: a screenshot, of simulators only."""
        with contextlib.suppress(JobError, OSError):
            folder.mkdir(parents=True, exist_ok=True)
            await self._tools.screenshot(self.udid, folder / "screenshot.png")

    async def settle(self) -> None:
        """See `Device.settle`."""
        bundle_id, self._bundle_id = self._bundle_id, None
        if bundle_id is not None:
            with contextlib.suppress(JobError):
                await self.stop_app(bundle_id)
