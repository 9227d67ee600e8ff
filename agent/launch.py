"""The types that runners, drivers and supervision share: what to launch, and how it ended."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

StreamName = Literal["stdout", "stderr"]

OutputSink = Callable[[StreamName, bytes], Awaitable[None] | None]
"""Takes a piece of output (at most 64 KiB, cut anywhere, not necessarily UTF-8).

When it returns an awaitable, that stream is not read again before the awaitable is done: a slow sink
slows the process down instead of filling the agent's memory.
"""

_CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP})
"""Signals that a program brings upon itself, whatever the machine: Node out of its heap aborts, or traps."""


class EndReason(StrEnum):
    """Why the agent ended a process that had not ended by itself."""

    TIMED_OUT = "timed_out"
    SILENT = "silent"
    DISK_LIMIT = "disk_limit"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    STOPPING = "stopping"
    DEVICE_LOST = "device_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchSpec:
    """A process to start: nothing of it passes through a shell.

    `env` is the whole environment. `reports` are files the process is expected to write. `first_signal`
    goes to the process group first when the job has to end, `grace_s` seconds before stronger means.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    reports: tuple[Path, ...] = ()
    first_signal: signal.Signals = signal.SIGINT
    grace_s: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended. Exactly one of `code` and `signal` is set.

    `duration_s` is monotonic, from the start of the main process to its end. `leftovers` counts processes
    that outlived the main one and were ended; `survivors` those that even SIGKILL did not end.
    `ended` is the reason given to `JobSupervisor.end`, None when the process ended by itself.
    """

    code: int | None
    signal: int | None
    duration_s: float
    leftovers: int = 0
    survivors: int = 0
    ended: EndReason | None = None

    @property
    def exit_code(self) -> int:
        """The code as shells report it: 128 + n for death by signal n."""
        if self.code is not None:
            return self.code
        return 128 + (self.signal or 0)

    def describe(self) -> str:
        """`exit code 3` or `killed by SIGSEGV`: for the reason of a result."""
        if self.code is not None:
            return f"exit code {self.code}"
        try:
            name = signal.Signals(self.signal or 0).name
        except ValueError:
            name = f"signal {self.signal}"
        return f"killed by {name}"

    @property
    def crashed(self) -> bool:
        """Whether it died of what it did itself: that would be so on any machine."""
        return self.signal in _CRASHES

    def tell(self, name: str) -> str:
        """The same as the beginning of a sentence: `pytest was killed by SIGSEGV`."""
        return f"{name} {'was' if self.code is None else 'ended with'} {self.describe()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDirs:
    """The folders of one attempt, all below `root`; nothing exists before `create`."""

    root: Path

    @property
    def bundle(self) -> Path:
        """The job's own working copy of the test bundle, where it is started."""
        return self.root / "bundle"

    @property
    def home(self) -> Path:
        """The job's HOME."""
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        """The job's TMPDIR."""
        return self.root / "tmp"

    @property
    def reports(self) -> Path:
        """Where runners have their reports written."""
        return self.root / "reports"

    @property
    def artifacts(self) -> Path:
        """What the test wants kept."""
        return self.root / "artifacts"

    @property
    def junit(self) -> Path:
        """Where a JUnit report is looked for, whatever the runner."""
        return self.reports / "junit.xml"

    def create(self) -> None:
        """Make the folders; the bundle's is made by whoever fills it."""
        for folder in (self.home, self.tmp, self.reports, self.artifacts):
            folder.mkdir(parents=True, exist_ok=True)
