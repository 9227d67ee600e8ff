"""Driver `none`: a slot without a device. A build is a mere marker, yet changing it counts as an install."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from agent.drivers.base import (
    Build,
    Device,
    Driver,
    DriverContext,
    Health,
    InstallCounters,
    InstalledApp,
    InstallProgress,
    InstallResult,
    Presence,
    RunningApp,
)
from agent.drivers.ledger import Ledger
from agent.drivers.timed_install import timed_install
from agent.errors import JobError
from agent.storage.room import MIN_FREE_BYTES
from qgjob.clock import Clock
from qgjob.domain.wording import show_size
from qgjob.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotSpec:
    """A slot without hardware: its name, the folder that is its device, and its labels.

    Every install waits `install_seconds` first: what a real device would need, for demos and benchmarks.
    """

    name: str
    folder: Path
    labels: frozenset[str] = frozenset()
    install_seconds: float = 0.0


class MarkerDevice(Device):
    """Keeps a ledger and nothing else. Subclasses bring builds and run them."""

    def __init__(self, spec: SlotSpec, clock: Clock) -> None:
        self.name = spec.name
        self.labels = spec.labels
        self.installs = InstallCounters()
        self._folder = spec.folder
        self._install_seconds = spec.install_seconds
        self._clock = clock
        self._ledger = Ledger(spec.folder / "installed.json")

    async def open(self) -> None:
        """See `Device.open`."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ledger.load()

    async def health(self) -> Health:
        """See `Device.health`: well while there is room on the disk, and it can be written to."""
        try:
            free = shutil.disk_usage(self._folder).free
        except OSError as error:
            text = f"the slot's folder {self._folder} is gone: {error.strerror}"
            return Health(ok=False, silent=True, detail=text)
        wrong = None
        if free < MIN_FREE_BYTES:
            wrong = f"less than {show_size(MIN_FREE_BYTES)} of disk left"
        elif not os.access(self._folder, os.W_OK):  # a file system with errors becomes read-only
            wrong = f"the slot's folder {self._folder} cannot be written to"
        return Health(ok=wrong is None, detail=wrong, free_mib=free // 1024**2)

    def installed(self) -> Sequence[InstalledApp]:
        """See `Device.installed`."""
        return self._ledger.entries

    async def install(
        self, build: Build, *, timeout_s: float, progress: InstallProgress | None = None
    ) -> InstallResult:
        """See `Device.install`."""
        bring = self._install(build, progress or _unheard)
        return await timed_install(bring, self.installs, self._clock, timeout_s=timeout_s)

    async def _install(self, build: Build, progress: InstallProgress) -> bool:
        if self._is_there(build):
            return False
        entry = InstalledApp(
            org_id=build.org_id,
            app_version_id=build.app_version_id,
            app_id=build.app_id,
            sha256=build.sha256,
            installed_at=self._clock.now(),
        )
        await asyncio.sleep(self._install_seconds)
        await self._bring(build, entry, progress)
        await self._ledger.put(entry)
        return True

    async def uninstall(self, app_id: str) -> None:
        """See `Device.uninstall`."""
        await self._ledger.remove(app_id)

    async def start_app(self, app_id: str, *, timeout_s: float) -> RunningApp:
        """See `Device.start_app`: there is nothing to start."""
        del timeout_s
        if self._ledger.get(app_id) is None:
            raise JobError(f"{app_id} is not installed on {self.name}", reason="app_missing", retryable=True)
        return RunningApp()

    async def stop_app(self, app_id: str) -> None:
        """See `Device.stop_app`."""

    async def recover(self) -> Health:
        """See `Device.recover`: a folder that was removed is made again, with nothing installed."""
        try:
            await self.open()
        except OSError as error:
            return Health(ok=False, silent=True, detail=f"{self._folder} cannot be made: {error.strerror}")
        return await self.health()

    async def close(self) -> None:
        """See `Device.close`."""

    def _is_there(self, build: Build) -> bool:
        entry = self._ledger.get(build.app_id)
        return (
            entry is not None
            and (entry.org_id, entry.app_version_id) == (build.org_id, build.app_version_id)
            and entry.sha256 == build.sha256
        )

    async def _bring(self, build: Build, entry: InstalledApp, progress: InstallProgress) -> None:
        """Put the build in the place of its app's former one, or raise and leave no half of it."""


class NoneDriver(Driver):
    """Slots that run tests which need no device."""

    name: ClassVar[str] = "none"
    needs_build: ClassVar[bool] = False

    def __init__(self, context: DriverContext) -> None:
        self._context = context

    async def discover(self) -> Sequence[Presence]:
        """See `Driver.discover`: a device for each slot asked for."""
        context = self._context
        return [Presence(MarkerDevice(slot, context.clock), True) for slot in slot_specs(context, self.name)]


def slot_specs(context: DriverContext, driver: str) -> list[SlotSpec]:
    """Slots `s0`, `s1`, …: as many as were asked for, labelled with the driver's name too.

    Raises `UsageError` for devices or options: who names some wants another driver.
    """
    if context.devices or context.options:
        what = f"devices ({', '.join(context.devices)})" if context.devices else "options"
        raise UsageError(
            f"The driver {driver} has no {what}: its slots are made up.",
            hint="--slots says how many; phones and simulators want --driver adb, simctl or devicectl.",
        )
    names = [f"s{number}" for number in range(context.slots)]
    return [
        SlotSpec(
            name=name,
            folder=context.device_folder(name),
            labels=context.labels | context.device_labels.get(name, frozenset()) | {driver},
            install_seconds=context.install_seconds,
        )
        for name in names
    ]


def _unheard(_step: str) -> None:
    """Progress nobody asked for."""
