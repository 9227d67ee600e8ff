"""Real nats-servers and Valkeys for the tests, each on a port and in a folder of its own.

They run under the project's guard, so that none of them outlives a test session that is killed.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path

from qgjob.local import guard
from qgjob.local.binaries import nats_config_file, nats_server_binary, valkey_server_binary
from qgjob.local.ports import free_port
from qgjob.local.probes import nats_ready, valkey_ready
from tests.support.wait import wait_for

_START_TRIES = 3


class Server(ABC):
    """A server process that a test may stop, kill, pause and start again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = "127.0.0.1"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server itself."""
        assert self._process is not None, "the server was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process lives (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """What the server has written so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def start(self) -> None:
        """Start it and wait until it answers; the port is chosen at the first start and kept."""
        for left in reversed(range(_START_TRIES)):
            first = self.port == 0
            if first:
                self.port = free_port(self.host)
            self._spawn()
            try:
                await wait_for(self._ready_or_dead, 15, f"{type(self).__name__} on port {self.port}")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{self.log}") from None
            if self.running:
                return
            if not first or not left:
                raise AssertionError(f"{type(self).__name__} ended at its start:\n{self.log}")
            self.port = 0  # somebody was quicker at that port

    async def restart(self) -> None:
        """Kill it if it runs, and start it again: same address, what it stored is kept."""
        self.kill()
        await self.start()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it with SIGTERM, as an operator does."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stop the process from running (SIGSTOP): connections stay, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)  # until every thread of it stands still

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        if number != signal.SIGKILL:
            process.send_signal(signal.SIGCONT)
        process.wait(timeout=15)

    def _spawn(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), "-1", *self._argv()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def _ready_or_dead(self) -> bool:
        return not self.running or await self._ready()

    @abstractmethod
    def _argv(self) -> list[str]: ...

    @abstractmethod
    async def _ready(self) -> bool: ...


class NatsServer(Server):
    """A nats-server with JetStream and the project's nats.conf, or with another file."""

    def __init__(self, folder: Path, *, config: Path | None = None, extra: tuple[str, ...] = ()) -> None:
        super().__init__(folder)
        self._config = config or nats_config_file()
        self._extra = extra
        self.name = f"test-{secrets.token_hex(8)}"

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"nats://{self.host}:{self.port}"

    def _argv(self) -> list[str]:
        return [
            str(nats_server_binary()),
            *("-c", str(self._config)),
            *("-a", self.host),
            *("-p", str(self.port)),
            *("-n", self.name),
            *("-sd", str(self.folder / "store")),
            *self._extra,
        ]

    async def _ready(self) -> bool:
        return await nats_ready(self.host, self.port, name=self.name)


class ValkeyServer(Server):
    """A Valkey that keeps nothing: after a restart it is empty, as in production."""

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"redis://{self.host}:{self.port}/0"

    def _argv(self) -> list[str]:
        return [
            str(valkey_server_binary()),
            *("--port", str(self.port)),
            *("--bind", self.host),
            *("--dir", str(self.folder)),
            *("--save", ""),
            *("--appendonly", "no"),
        ]

    async def _ready(self) -> bool:
        return await valkey_ready(self.host, self.port, folder=self.folder)
