"""One Android device, as the agent's `Device`, with the ledger of what is installed on it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.drivers.adb import facts
from agent.drivers.adb.errors import DOUBTFUL, AdbError
from agent.drivers.adb.evidence import keep_evidence
from agent.drivers.adb.gates import Limits, judge, needs_room
from agent.drivers.adb.recovery import Step, next_step
from agent.drivers.adb.server import AdbServer
from agent.drivers.adb.steps import take_step
from agent.drivers.adb.wire import deadline
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

UNINSTALL_S: Final = 30.0
RECOVERY_LOOKS: Final = 5
RECOVERY_PAUSE_S: Final = 1.0
_NETWORK: Final = re.compile(r"\S+:\d{1,5}")
_LOG_TIME: Final = re.compile(r"\d\d-\d\d \d\d:\d\d:\d\d")
_DATE: Final = "date '+%m-%d %H:%M:%S'"


@dataclass(slots=True, kw_only=True)
class Host:
    """What the devices of one driver share."""

    server: AdbServer
    context: DriverContext
    limits: Limits = field(default_factory=Limits)
    answer_s: float = 8.0
    """How long a device may take to answer a small question."""
    may_reboot: bool = False
    at_work: set[str] = field(default_factory=set[str])
    """Serials of the devices that have a job: nothing is done that would cut their links."""


class AdbDevice(Device):
    """A phone or an emulator. Its ledger is by package; every entry is proved by what the device says."""

    def __init__(self, serial: str, name: str, host: Host) -> None:
        self.serial = serial
        self.name = name
        self.installs = InstallCounters()
        self.state: str | None = None
        """What the adb server says of it, None when it does not know it. Set by the driver."""
        context = host.context
        own = context.device_labels
        self._own_labels = context.labels | own.get(name, frozenset()) | own.get(serial, frozenset())
        self.labels = self._own_labels | {"android", f"serial:{serial}"[:64]}
        self._host = host
        self._server = host.server
        self._folder = context.device_folder(name)
        self._ownership = Ownership(name)
        self.ledger = Ledger(self._folder / "installed.json")
        self.features: frozenset[str] = frozenset()
        self._resting = False
        self._tried: list[Step] = []
        self._log_since: str | None = None
        self._package: str | None = None
        self._unproved: AdbError | None = None

    @property
    def network(self) -> bool:
        """Whether its serial is an address, so that the adb server can be told to connect to it."""
        return is_address(self.serial)

    # -- its life --

    async def open(self) -> None:
        """See `Device.open`. Raises `AdbError`, or `JobError` when another agent has it."""
        self._ownership.take()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.ledger.load()
        self.features = await self._server.features(self.serial)
        answer = await self.ask(facts.properties_command())
        self.labels = self._own_labels | facts.labels(self.serial, facts.properties(answer))
        for entry in self.ledger.entries:
            await self._prove_entry(entry)
        if self.serial not in self._host.at_work:
            await self._free_ports()

    async def health(self) -> Health:
        """See `Device.health`. Old builds are removed when they are what fills the storage."""
        try:
            vitals = facts.vitals(await self.ask(facts.VITALS_COMMAND, doubt=False))
            idle = self.serial not in self._host.at_work
            if idle and needs_room(vitals, self._host.limits) and await self.make_room(None):
                vitals = facts.vitals(await self.ask(facts.VITALS_COMMAND, doubt=False))
        except AdbError as error:
            self._resting = True
            return Health(ok=False, silent=True, detail=error.message)
        health = judge(vitals, self._host.limits, resting=self._resting)
        self._resting = not health.ok
        if health.ok:
            self._tried.clear()
        return health

    async def recover(self) -> Health:
        """See `Device.recover`: one step further on the ladder of `recovery`."""
        server, host = self._server, self._host
        now = host.context.clock.monotonic()
        step = next_step(
            state=self.state,
            network=self.network,
            tried=self._tried,
            may_kill=not host.at_work - {self.serial} and server.may_kill(now),
            may_reboot=host.may_reboot,
        )
        if step is None:
            return await self.health()
        self._tried.append(step)
        with contextlib.suppress(JobError):
            await take_step(step, server, self.serial, network=self.network, answer_s=host.answer_s, now=now)
        health = await self.health()
        for _ in range(RECOVERY_LOOKS):
            if health.ok or not health.silent:
                break
            await asyncio.sleep(RECOVERY_PAUSE_S)
            health = await self.health()
        return health

    async def close(self) -> None:
        """See `Device.close`."""
        self._host.at_work.discard(self.serial)
        self._ownership.release()

    # -- builds --

    def installed(self) -> Sequence[InstalledApp]:
        """See `Device.installed`."""
        return self.ledger.entries

    async def prove(self, org_id: str, app_version_id: str) -> None:
        """See `Device.prove`: one question to the device."""
        self._unproved = None
        for entry in self.ledger.entries:
            if (entry.org_id, entry.app_version_id) == (org_id, app_version_id):
                try:
                    await self._prove_entry(entry)
                except AdbError as error:  # the device is in doubt, not the build; `start_app` reports it
                    self._unproved = error

    async def _prove_entry(self, entry: InstalledApp) -> None:
        if await self.proof(entry.app_id) != entry.proof:
            await self.ledger.remove(entry.app_id)

    async def proof(self, package: str) -> str | None:
        """What the device reports of a package, as proof of its build; also reads the device's clock."""
        answer = await self.ask(facts.joined(f"dumpsys package {package}", _DATE))
        dump, date = facts.parts(answer, 2)
        self._log_since = f"{date}.000" if _LOG_TIME.fullmatch(date) else None
        return facts.package_proof(dump, package)

    async def install(
        self, build: Build, *, timeout_s: float, progress: InstallProgress | None = None
    ) -> InstallResult:
        """See `Device.install`."""
        from agent.drivers.adb.bringing import bring

        self.claim()
        bringing = bring(self, build, timeout_s, progress or _unheard)
        result = await timed_install(bringing, self.installs, self._host.context.clock, timeout_s=timeout_s)
        if result.reason in DOUBTFUL:
            self.doubt(result.detail or result.reason or "")
        return result

    async def uninstall(self, app_id: str) -> None:
        """See `Device.uninstall`. Raises `AdbError` when the device does not answer."""
        await self.ledger.remove(app_id)
        await self.ask(f"pm uninstall {app_id}", timeout_s=UNINSTALL_S)

    async def make_room(self, keep: str | None) -> int:
        """Uninstall the builds that this agent installed, except `keep`; how many."""
        old = [entry.app_id for entry in self.ledger.entries if entry.app_id != keep]
        for package in old:
            await self.uninstall(package)
        return len(old)

    def now(self) -> float:
        """The agent's clock."""
        return self._host.context.clock.now()

    @property
    def server(self) -> AdbServer:
        """The adb server through which it is reached."""
        return self._server

    @property
    def limits(self) -> Limits:
        """Its health limits."""
        return self._host.limits

    # -- jobs --

    async def start_app(self, app_id: str, *, timeout_s: float) -> RunningApp:
        """See `Device.start_app`: the test starts the app itself, as Appium and Maestro do."""
        del timeout_s
        if self._unproved is not None:
            raise self._unproved
        if self.ledger.get(app_id) is None:
            raise JobError(
                f"{app_id} is not installed on {self.serial}", reason="app_missing", retryable=True
            )
        self.claim()
        self._package = app_id
        return RunningApp(
            package=app_id,
            env={
                "ANDROID_SERIAL": self.serial,
                "ANDROID_ADB_SERVER_PORT": str(self._server.port),
                "QGJOB_UDID": self.serial,
                "QGJOB_PLATFORM": "android",
                "QGJOB_APP_PACKAGE": app_id,
            },
        )

    def claim(self) -> None:
        """Mark it as used by a job: until `settle`, nothing is done to the host that would cut its link."""
        self._host.at_work.add(self.serial)

    async def stop_app(self, app_id: str) -> None:
        """See `Device.stop_app`."""
        await self.ask(f"am force-stop {app_id}")

    async def evidence(self, folder: Path) -> None:
        """See `Device.evidence`: `screenshot.png` and `logcat.txt`, since the job began."""
        await keep_evidence(self._server, self.serial, folder, since=self._log_since)

    async def settle(self) -> None:
        """See `Device.settle`: the app is stopped, forwarded ports are closed."""
        package, self._package = self._package, None
        try:
            if package is not None:
                await self.stop_app(package)
            await self._free_ports()
        except AdbError:
            pass  # the device is in doubt already, and checked before it gets more work
        finally:
            self._host.at_work.discard(self.serial)

    async def _free_ports(self) -> None:
        await self._server.remove_forwards(self.serial)
        with contextlib.suppress(AdbError):  # devices before Android 5 have none
            async with (
                deadline(self._host.answer_s, self.serial),
                self._server.service(self.serial, "reverse:killforward-all") as connection,
            ):
                await connection.rest()

    # -- asking --

    async def ask(self, command: str, *, timeout_s: float | None = None, doubt: bool = True) -> str:
        """What a command on the device writes, whatever its exit code. Raises `AdbError`."""
        try:
            v2 = not self.features or "shell_v2" in self.features
            return (
                await self._server.shell(
                    self.serial, command, timeout_s=timeout_s or self._host.answer_s, v2=v2
                )
            ).output
        except AdbError as error:
            if doubt:
                self.doubt(error.message)
            raise


def is_address(serial: str) -> bool:
    """Whether a serial is `host:port`, to which the adb server can be told to connect."""
    return _NETWORK.fullmatch(serial) is not None


def _unheard(_step: str) -> None:
    """Progress nobody asked for."""
