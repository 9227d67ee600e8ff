"""The data folder of one `qgjob up`: its parts, and the lock that keeps a second one out."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from qgjob.errors import RefusedError, UsageError

# After a SIGKILL of an `up` its nats-server still holds the lock for the moment it takes to die.
_PATIENCE_S = 5.0
_POLL_S = 0.05


class DataFolder:
    """Where a system keeps its things; every part is made on first use, for this user alone."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()

    @property
    def nats(self) -> Path:
        """The streams: the truth, kept between runs."""
        return self._part("nats")

    @property
    def valkey(self) -> Path:
        """The working folder of Valkey, which writes nothing."""
        return self._part("valkey")

    @property
    def logs(self) -> Path:
        """What the children write."""
        return self._part("logs")

    def agent(self, name: str) -> Path:
        """Return the folder of one agent: devices, installed builds, running jobs."""
        return self._part(f"agent-{name}")

    def _part(self, name: str) -> Path:
        path = self.path / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncGenerator[int]:
        """Hold the folder for this process; gives the descriptor of the lock.

        A child that inherits the descriptor holds the folder too, so that nobody starts a second
        server over a store that a dying one still has open.

        Raises RefusedError, naming the holder, when another `up` has the folder, and UsageError
        when the folder cannot be written.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise UsageError(
                f"The data folder {self.path} cannot be used: {error.strerror}.",
                hint="Give another one with --data-dir.",
            ) from error
        try:
            await self._take(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    async def _take(self, descriptor: int) -> None:
        deadline = asyncio.get_running_loop().time() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
                late = asyncio.get_running_loop().time() > deadline
                if _lives(holder) or late:
                    raise RefusedError(
                        f"Another `qgjob up` (pid {holder or 'unknown'}) already runs on {self.path}.",
                        hint="Stop it first, or give this one a folder of its own with --data-dir.",
                    ) from None
                await asyncio.sleep(_POLL_S)
            else:
                return


def _lives(holder: str) -> bool:
    try:
        os.kill(int(holder), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, ValueError):
        return False
    return True
