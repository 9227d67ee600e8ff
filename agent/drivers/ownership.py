"""One agent a device: two agents of a machine that both serve all devices must not share one."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Final

from agent.errors import JobError

TAKEN: Final = "device_taken"
_BASE: Final = Path("/tmp")  # noqa: S108 - what a session or a service has in its environment differs


class Ownership:
    """A lock of this user's on this machine, which the kernel releases however the agent ends."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._file: IO[bytes] | None = None

    def take(self) -> None:
        """Own the device, if we do not yet. Raises `JobError` (`device_taken`) when another agent does."""
        if self._file is not None:
            return
        folder = _BASE / f"qgjob-devices-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            file = (folder / f"{self._device}.lock").open("wb")
        except OSError as error:
            text = f"the lock of {self._device} cannot be written: {error.strerror}"
            raise JobError(text, reason=TAKEN, retryable=True) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            text = f"another agent of this machine serves {self._device}"
            raise JobError(text, reason=TAKEN, retryable=True) from None
        self._file = file

    def release(self) -> None:
        """Own it no more."""
        if self._file is not None:
            self._file.close()
            self._file = None
