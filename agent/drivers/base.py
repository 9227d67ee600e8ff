"""The interface of drivers: finding devices, and what a slot may ask of its device.

A lab adds a kind of device with a `Driver` class of its own; docs/drivers.md shows one. What need not
differ has a default here: a device that is always there and proves nothing is a page of code.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

from qgjob.clock import Clock

InstallProgress = Callable[[str], None]
"""Takes one short line about a step of an install (`unpacking`, `waiting for /healthz`, …)."""

DEFAULT_APP_ID = "app"
"""The app id of builds that were uploaded without one: a slot then holds one build at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build to install. `path` is the downloaded file, or a folder; None means a mere marker.

    `sha256` is of the file, which was verified just now. `file_name` is set for a build that
    is one file and no archive: the name it is to have.
    """

    org_id: str
    app_version_id: str
    app_id: str = DEFAULT_APP_ID
    path: Path | None = None
    sha256: str | None = None
    file_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledApp:
    """An entry of a device's ledger: what the agent knows to be installed.

    `proof` is what the device itself said of the app after the install (such as its version code and the
    time of its last update); a device that says something else holds another build. None: nothing to say.
    """

    org_id: str
    app_version_id: str
    app_id: str
    sha256: str | None
    installed_at: float
    proof: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallResult:
    """How an install went. Refusals of a build are values, not exceptions.

    `skipped`: the version was already there. `duration_s` is monotonic. On failure `reason` is a stable
    code (`build_corrupt`, `build_start_failed`, `install_timeout`, `disk_full`, …), `detail` the sentence
    for people, and `retryable` tells whether the lab rather than the build is to blame.
    """

    ok: bool
    duration_s: float
    skipped: bool = False
    reason: str | None = None
    detail: str | None = None
    retryable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """Whether a device may be given work, and if not the sentence why.

    `silent`: it did not answer at all, or with nonsense, so that recovery may help; a flat battery needs
    patience only. The rest is shown to operators; None is what the device does not tell.
    """

    ok: bool
    detail: str | None = None
    silent: bool = False
    battery_percent: int | None = None
    temperature_c: float | None = None
    free_mib: int | None = None
    """Storage for builds and what tests write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningApp:
    """The installed build as a job sees it: its folder, its address when it serves, its package or bundle id.

    `env` is added to the job's environment, after all else: how tests address this device.
    """

    dir: Path | None = None
    url: str | None = None
    package: str | None = None
    env: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class InstallCounters:
    """Counted by the device itself since the agent started; seconds are of real installs only."""

    made: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0


class Device(ABC):
    """One device, owned by one slot. Calls are made one at a time, by that slot.

    `name` is stable over restarts and safe as a file's name; `labels` are complete after `open`.
    """

    name: str
    labels: frozenset[str]
    installs: InstallCounters
    on_doubt: Callable[[str], None] | None = None
    """Set by the slot's device monitor; a device calls it with a sentence when it met trouble within a call,
    and is then looked at before it gets more work."""

    def doubt(self, note: str) -> None:
        """Have the device looked at before it gets more work; `note` says why."""
        if self.on_doubt is not None:
            self.on_doubt(note)

    @abstractmethod
    async def open(self) -> None:
        """Make the device usable: read its ledger, clear what a former agent left behind."""

    @abstractmethod
    async def health(self) -> Health:
        """Look at the device; never raises for an unwell one."""

    @abstractmethod
    def installed(self) -> Sequence[InstalledApp]:
        """What is installed, from the ledger in memory: cheap enough for every question."""

    async def prove(self, org_id: str, app_version_id: str) -> None:  # noqa: B027
        """Forget this build if the device does not hold it any more: a test may have removed or replaced it.

        Called before each job, so it has to be quick; never raises. Nothing to do when only the agent can
        change what is installed.
        """

    @abstractmethod
    async def install(
        self, build: Build, *, timeout_s: float, progress: InstallProgress | None = None
    ) -> InstallResult:
        """Bring `build` onto the device, replacing another version of its app; skip when it is there.

        Returns within about `timeout_s`. A cancelled install leaves no half-installed version.
        """

    @abstractmethod
    async def uninstall(self, app_id: str) -> None:
        """Remove an app, and forget it. Nothing happens when it is not there."""

    @abstractmethod
    async def start_app(self, app_id: str, *, timeout_s: float) -> RunningApp:
        """Make sure the installed app is usable before a job: started again if it died.

        Raises `JobError` when it is not installed or does not start.
        """

    @abstractmethod
    async def stop_app(self, app_id: str) -> None:
        """Stop the app; it stays installed."""

    async def evidence(self, folder: Path) -> None:  # noqa: B027
        """After a test that did not pass: leave in `folder` what explains it (screenshot, device log).

        Takes a few seconds at most; never raises.
        """

    async def settle(self) -> None:  # noqa: B027
        """After each job: take back what it may have left on the device (a running app, forwarded ports).

        Never raises.
        """

    @abstractmethod
    async def recover(self) -> Health:
        """Try to bring an unwell device back, by what means there are; says how it is afterwards."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the device: everything it runs for us is ended."""


class Presence(NamedTuple):
    """A device came or went. `note` says why it cannot be used while it is not `present`."""

    device: Device
    present: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverContext:
    """What a driver is made with.

    `folder` is the agent's data folder; a device keeps what it must remember in `device_folder(name)`.
    `labels` are the user's own, for every device; `device_labels` those of single devices, by name or
    serial. `devices` are the serials to serve, empty for all (`--devices auto`). `slots` is for drivers whose
    devices are made up. `environment` is the one jobs start from; `agent_mark` marks processes as ours.
    `options` are the driver's own settings, as strings.
    """

    folder: Path
    clock: Clock
    labels: frozenset[str] = frozenset()
    device_labels: Mapping[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    devices: tuple[str, ...] = ()
    slots: int = 1
    install_seconds: float = 0.0
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    agent_mark: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])

    def device_folder(self, name: str) -> Path:
        """Where a device's ledger is kept."""
        return self.folder / "slots" / name


class Driver(ABC):
    """A kind of device: finds those attached to this machine, and tells when they come and go.

    Made with a `DriverContext`. `dynamic` drivers may begin with no device at all. `needs_build` False: a
    version that was never uploaded is a mere marker on these devices, instead of an error.
    """

    name: ClassVar[str]
    dynamic: ClassVar[bool] = False
    needs_build: ClassVar[bool] = True

    @abstractmethod
    def __init__(self, context: DriverContext) -> None: ...

    @abstractmethod
    async def discover(self) -> Sequence[Presence]:
        """The devices there are now, in a stable order; none of them is opened.

        Raises `UsageError` or `JobError` when this machine cannot have any, with what to do about it.
        """

    async def watch(self) -> AsyncGenerator[Presence]:
        """What changed since `discover`, for ever: new devices, and known ones that leave or come back."""
        await asyncio.Event().wait()
        yield  # type: ignore[misc]  # never reached: it makes this a generator

    async def close(self) -> None:  # noqa: B027
        """Let go of what all devices share."""
