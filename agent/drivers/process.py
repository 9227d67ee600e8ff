"""Driver `process`: the device is a folder, a build is an archive unpacked into it, which may be a server.

<slot folder>/installed.json   the ledger
<slot folder>/apps/<id>/       one folder for each installed app
<slot folder>/app.log          what the server wrote since its last start
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import shutil
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from agent import threads
from agent.archive import unpack
from agent.drivers.app_server import AppServer
from agent.drivers.base import (
    Build,
    Driver,
    DriverContext,
    InstalledApp,
    InstallProgress,
    Presence,
    RunningApp,
)
from agent.drivers.manifest import find_app
from agent.drivers.marker import MarkerDevice, SlotSpec, slot_specs
from agent.errors import ArchiveError, JobError
from agent.storage.removal import remove_tree
from agent.storage.room import require_room, room_while_writing
from agent.supervision.sweep import slot_mark
from qgjob.clock import Clock


class ProcessDevice(MarkerDevice):
    """A folder in which one version of each app is installed; a build without a file is a marker."""

    def __init__(self, spec: SlotSpec, clock: Clock, environment: Mapping[str, str], agent_mark: str) -> None:
        super().__init__(spec, clock)
        self._apps = self._folder / "apps"
        self._environment = environment
        self._mark = slot_mark(agent_mark, f"{spec.name}/app")
        self._servers: dict[str, AppServer] = {}

    async def open(self) -> None:
        """See `Device.open`. What is not in the ledger, such as an install cut short, is removed."""
        await super().open()
        await self._forget_gone(self._ledger.entries)
        await asyncio.to_thread(self._tidy)

    async def prove(self, org_id: str, app_version_id: str) -> None:
        """See `Device.prove`: a test knows the build's folder, and may have removed what is in it."""
        asked = (org_id, app_version_id)
        await self._forget_gone(
            entry for entry in self._ledger.entries if (entry.org_id, entry.app_version_id) == asked
        )

    async def uninstall(self, app_id: str) -> None:
        """See `Device.uninstall`."""
        await self.stop_app(app_id)
        entry = self._ledger.get(app_id)
        await super().uninstall(app_id)
        if entry is not None:
            await asyncio.to_thread(remove_tree, self._place(entry))

    async def start_app(self, app_id: str, *, timeout_s: float) -> RunningApp:
        """See `Device.start_app`. A running server is left running."""
        await super().start_app(app_id, timeout_s=timeout_s)
        entry = self._ledger.get(app_id)
        if entry is None:
            return RunningApp()
        try:
            return await self._start(entry, timeout_s)
        except JobError as error:
            # It started when it was installed, so a test has broken it since: reinstall it.
            await self.uninstall(app_id)
            raise JobError(error.message, reason=error.reason, retryable=True) from error

    async def stop_app(self, app_id: str) -> None:
        """See `Device.stop_app`."""
        server = self._servers.pop(app_id, None)
        if server is not None:
            await server.close()

    async def close(self) -> None:
        """See `Device.close`."""
        for app_id in list(self._servers):
            await self.stop_app(app_id)

    # -- installing ---------------------------------------------------------------------------------

    def _is_there(self, build: Build) -> bool:
        entry = self._ledger.get(build.app_id)
        return super()._is_there(build) and (
            build.path is None or (entry is not None and self._place(entry).is_dir())
        )

    async def _bring(self, build: Build, entry: InstalledApp, progress: InstallProgress) -> None:
        if build.path is None:
            await self.uninstall(build.app_id)
            return
        incoming = self._apps / f".{uuid.uuid4().hex}"
        try:
            progress("unpacking the build")
            await _unpack(build, build.path, incoming)
            # Not earlier: a build that cannot be unpacked leaves the installed one in place.
            await self.uninstall(build.app_id)
            await asyncio.to_thread(_move, incoming, self._place(entry))
        finally:
            await asyncio.to_thread(remove_tree, incoming)
        try:
            progress("starting the build")
            await self._start(entry, math.inf)  # the install has a limit
        except BaseException:
            await self.stop_app(build.app_id)
            await asyncio.to_thread(remove_tree, self._place(entry))
            raise

    async def _start(self, entry: InstalledApp, timeout_s: float) -> RunningApp:
        if not self._place(entry).is_dir():
            return RunningApp()
        folder, manifest = find_app(self._place(entry))
        if manifest is None:
            return RunningApp(dir=folder)
        server = self._servers.get(entry.app_id)
        if server is None or not server.alive:
            await self.stop_app(entry.app_id)
            home = self._folder / "home"
            home.mkdir(exist_ok=True)
            environment = {
                **self._environment,
                "HOME": str(home),
                "QGJOB_APP_VERSION_ID": entry.app_version_id,
            }
            server = AppServer(manifest, folder, environment, self._mark)
            await server.start(self._folder / "app.log", timeout_s)
            self._servers[entry.app_id] = server
        return RunningApp(dir=folder, url=server.url)

    def _place(self, entry: InstalledApp) -> Path:
        identity = "\0".join((entry.app_id, entry.org_id, entry.app_version_id, entry.sha256 or ""))
        return self._apps / hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    async def _forget_gone(self, entries: Iterable[InstalledApp]) -> None:
        for entry in entries:
            if self._is_gone(entry):
                await self._ledger.remove(entry.app_id)

    def _is_gone(self, entry: InstalledApp) -> bool:
        """Whether a build that was unpacked is there no more, or nothing of it."""
        if entry.sha256 is None:
            return False
        try:
            with os.scandir(self._place(entry)) as items:
                return next(items, None) is None
        except OSError:
            return True

    def _tidy(self) -> None:
        self._apps.mkdir(exist_ok=True)
        known = {self._place(entry) for entry in self._ledger.entries}
        for folder in self._apps.iterdir():
            if folder not in known:
                remove_tree(folder)


class ProcessDriver(Driver):
    """Slots whose device is a folder of this machine."""

    name: ClassVar[str] = "process"
    needs_build: ClassVar[bool] = False

    def __init__(self, context: DriverContext) -> None:
        self._context = context

    async def discover(self) -> Sequence[Presence]:
        """See `Driver.discover`: a device for each slot asked for."""
        context = self._context
        return [
            Presence(ProcessDevice(slot, context.clock, context.environment, context.agent_mark), True)
            for slot in slot_specs(context, self.name)
        ]


class _StoppedError(Exception):
    """Ends the unpacking thread of a cancelled install."""


async def _unpack(build: Build, source: Path, dest: Path) -> None:
    """Unpack in a thread that ends soon after we are cancelled, and is waited for."""
    stop = threading.Event()

    look_for_room = room_while_writing(dest.parent)

    def checkpoint(written: int) -> None:
        if stop.is_set():
            raise _StoppedError
        look_for_room(written)

    def work() -> None:
        if build.file_name is not None:
            require_room(dest.parent, source.stat().st_size)
            _place_file(source, dest, build.file_name)
            return
        try:
            unpack(source, dest, checkpoint=checkpoint)
        except ArchiveError as error:
            raise JobError(
                f"the build cannot be unpacked: {error.message}",
                reason=error.reason.replace("archive", "build"),
                retryable=False,
            ) from error

    await threads.finished(work, on_cancel=stop.set)


def _place_file(source: Path, dest: Path, name: str) -> None:
    name = name.rpartition("/")[2]
    if name in {"", ".", ".."} or "\0" in name:
        raise JobError(
            f"the build's file has no usable name: {name!r}", reason="build_corrupt", retryable=False
        )
    dest.mkdir(parents=True)
    shutil.copyfile(source, dest / name)
    (dest / name).chmod(0o755)  # any file of a build may be a program


def _move(source: Path, dest: Path) -> None:
    remove_tree(dest)
    source.rename(dest)
