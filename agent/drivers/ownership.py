"""A lock for each device, so that two agents of one machine never serve the same one."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from agent.errors import JobError

TAKEN: Final = "device_taken"
_BASE: Final = Path("/tmp")  # noqa: S108 - what a session or a service has in its environment differs
_BUSY: Final = frozenset({errno.EADDRINUSE, errno.EWOULDBLOCK})


class _Lock(Protocol):
    def close(self) -> None: ...


class Ownership:
    """A lock on this machine, which the kernel releases however the agent ends.

    On Linux the name of a socket, which is no file: a service with a /tmp of its own (systemd's PrivateTmp)
    would not see the file of another one, and what tidies up /tmp removes it after some days.
    """

    def __init__(self, device: str) -> None:
        self._device = device
        self._lock: _Lock | None = None

    def take(self) -> None:
        """Own the device, if we do not yet. Raises `JobError` (`device_taken`) when another agent does."""
        if self._lock is not None:
            return
        try:
            self._lock = _LOCKS.get(sys.platform, _locked_file)(self._device)
        except OSError as error:
            text = f"the lock of {self._device} cannot be had: {error.strerror}"
            if error.errno in _BUSY:
                text = f"another agent of this machine serves {self._device}"
            raise JobError(text, reason=TAKEN, retryable=True) from error

    def release(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _bound_socket(device: str) -> _Lock:
    name = hashlib.sha256(device.encode()).hexdigest()
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(f"\0qgjob-device-{name}")
    except OSError:
        lock.close()
        raise
    return lock


def _locked_file(device: str) -> _Lock:
    folder = _BASE / f"qgjob-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = (folder / f"{device}.lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise
    return file


_LOCKS: Final[Mapping[str, Callable[[str], _Lock]]] = {"linux": _bound_socket}
