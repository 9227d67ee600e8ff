"""The interface of drivers: finding devices, and what a slot may ask of its device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

InstallProgress = Callable[[str], None]
"""Takes one short line about a step of an install (`unpacking`, `waiting for /healthz`, …)."""

DEFAULT_APP_ID = "app"
"""The app id of builds that were uploaded without one: a slot then holds one build at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build to install. `path` is the downloaded file, or a folder; None means a mere marker.

    `sha256` is of the file; it is verified before anything is unpacked. `file_name` is set for a build that
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
    """An entry of a device's ledger: what the agent knows to be installed."""

    org_id: str
    app_version_id: str
    app_id: str
    sha256: str | None
    installed_at: float


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
    """Whether a device may be given work, and if not the sentence why; `facts` are for display."""

    ok: bool
    detail: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningApp:
    """The installed build as a job sees it: its folder, and its address when it serves."""

    dir: Path | None = None
    url: str | None = None


@dataclass(slots=True)
class InstallCounters:
    """Counted by the device itself since the agent started; seconds are of real installs only."""

    made: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0


class Device(ABC):
    """One device, owned by one slot. Calls are made one at a time, by that slot."""

    name: str
    labels: frozenset[str]
    installs: InstallCounters

    @abstractmethod
    async def open(self) -> None:
        """Make the device usable: read its ledger, clear what a former agent left behind."""

    @abstractmethod
    async def health(self) -> Health:
        """Look at the device; never raises for an unwell one."""

    @abstractmethod
    def installed(self) -> Sequence[InstalledApp]:
        """What is installed, from the ledger in memory: cheap enough for every question."""

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

    @abstractmethod
    async def recover(self) -> Health:
        """Try to bring an unwell device back, by what means there are; says how it is afterwards."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the device: everything it runs for us is ended."""


class Driver(ABC):
    """A kind of device: finds those attached to this machine."""

    name: ClassVar[str]

    @abstractmethod
    async def discover(self) -> Sequence[Device]:
        """The devices there are now, in a stable order; none of them is opened."""
