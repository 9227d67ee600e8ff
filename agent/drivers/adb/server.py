"""The adb server of this machine: started when it is not there, asked, and followed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Final

from agent.drivers.adb.errors import AdbError, AdbServerError
from agent.drivers.adb.wire import Connection, Shell, connected, deadline
from agent.errors import JobError

log = logging.getLogger(__name__)

DEFAULT_PORT: Final = 5037
PORT_VARIABLE: Final = "ANDROID_ADB_SERVER_PORT"
_START_S: Final = 20.0
_HOST_S: Final = 5.0
_CONNECT_S: Final = 12.0
_PASSED_ON: Final = ("PATH", "HOME", "ANDROID_HOME", "ANDROID_SDK_ROOT", "ADB_VENDOR_KEYS", "TMPDIR", "USER")
_ADB_SETTING: Final = re.compile(r"ADB_[A-Z_]+")
_V1_END: Final = re.compile(r"\n?qgjob-exit:(\d+)\s*\Z")
KILL_PAUSE_S: Final = 3600.0
"""How often the server may be killed to cure a device: the other devices suffer from it."""


class AdbServer:
    """Speaks to the server at a port. All calls have deadlines and raise `AdbError`s only."""

    def __init__(self, port: int, binary: str | None, environ: Mapping[str, str]) -> None:
        self.port = port
        self._binary = binary
        self._environment = {
            name: value
            for name, value in environ.items()
            if name in _PASSED_ON or _ADB_SETTING.fullmatch(name)
        }
        self._starting = asyncio.Lock()
        self._killed_at: float | None = None

    @classmethod
    def of(cls, environ: Mapping[str, str], options: Mapping[str, str]) -> AdbServer:
        """The server that the driver's options (`port`, `adb`) or the environment name."""
        port = options.get("port") or environ.get(PORT_VARIABLE) or str(DEFAULT_PORT)
        if not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise AdbServerError(f"{port!r} is no port for an adb server")
        return cls(int(port), options.get("adb") or _find_adb(environ), environ)

    # -- the server itself --

    async def ensure(self) -> None:
        """Start the server unless it answers. Raises `JobError` (`adb_missing`) without an adb program."""
        async with self._starting:
            with contextlib.suppress(AdbError):
                await self.host("host:version")
                return
            if self._binary is None:
                raise JobError(
                    "there is no adb on this machine",
                    reason="adb_missing",
                    retryable=True,
                    hint="Install it (Debian: apt-get install adb), or name it in agent.toml: "
                    '[driver_options] adb = "/path/to/adb".',
                )
            await self._run_start(self._binary)

    async def _run_start(self, binary: str) -> None:
        # A session of its own: what ends the agent's processes must not end everybody's adb server.
        try:
            process = await asyncio.create_subprocess_exec(
                binary,
                *("-P", str(self.port), "start-server"),
                env=self._environment,
                cwd="/",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise AdbServerError(f"{binary} cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(_START_S):
                said = await process.stderr.read(4096) if process.stderr else b""
                code = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AdbServerError(f"the adb server did not start within {_START_S:g} s") from None
        if code != 0:
            tail = said.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise AdbServerError(f"the adb server did not start: {' '.join(tail) or f'exit code {code}'}")

    def may_kill(self, now: float) -> bool:
        """Whether it was not killed within the last hour; `now` is monotonic."""
        return self._killed_at is None or now - self._killed_at >= KILL_PAUSE_S

    async def kill(self, now: float) -> None:
        """Kill the server and start it anew: every device loses its link for a moment."""
        self._killed_at = now
        log.warning("the adb server on port %d is killed and started anew", self.port)
        with contextlib.suppress(AdbError):
            await self.host("host:kill", answer=False)
        await self.ensure()

    # -- questions --

    async def host(self, service: str, *, answer: bool = True, timeout_s: float = _HOST_S) -> str:
        """Ask the server itself; the text of its answer."""
        async with deadline(timeout_s, "the adb server"), connected(self.port) as connection:
            await connection.ask(service)
            try:
                return (await connection.block()).decode("utf-8", "replace") if answer else ""
            except (OSError, EOFError) as error:
                raise AdbServerError(f"the adb server hung up on {service[:80]}") from error

    @contextlib.asynccontextmanager
    async def service(self, serial: str, service: str) -> AsyncGenerator[Connection]:
        """A service of a device, which has the connection for itself; the caller sets the deadline."""
        async with connected(self.port, serial) as connection:
            await connection.ask(f"host:transport:{serial}")
            await connection.ask(service)
            yield connection

    async def shell(self, serial: str, command: str, *, timeout_s: float, v2: bool = True) -> Shell:
        """Run a command on a device. `v2`: whether it tells exit codes by itself (`shell_v2`)."""
        async with deadline(timeout_s, serial):
            if v2:
                async with self.service(serial, f"shell,v2,raw:{command}") as connection:
                    return await connection.shell()
            async with self.service(serial, f"shell:{command}; echo qgjob-exit:$?") as connection:
                text = (await connection.rest()).decode("utf-8", "replace").replace("\r\n", "\n")
            if (end := _V1_END.search(text)) is None:
                raise AdbError(f"the link to {serial} broke within a command", reason="device_lost")
            return Shell(int(end[1]), text[: end.start()])

    async def features(self, serial: str) -> frozenset[str]:
        """What a device's adb can do."""
        return frozenset((await self.host(f"host-serial:{serial}:features")).split(","))

    async def connect(self, address: str) -> str:
        """Let the server connect to `host:port`; its words (`connected to …`, `failed to connect …`)."""
        return await self.host(f"host:connect:{address}", timeout_s=_CONNECT_S)

    async def disconnect(self, address: str) -> None:
        """Let the server forget a network device."""
        await self.host(f"host:disconnect:{address}")

    async def reconnect(self, serial: str) -> None:
        """Let the server close and reopen its link to a device."""
        await self.host(f"host-serial:{serial}:reconnect")

    async def remove_forwards(self, serial: str) -> int:
        """End the port forwards to a device; how many there were.

        One by one: adb's own `--remove-all` ends those of all devices.
        """
        lines = (await self.host("host:list-forward")).splitlines()
        mine = [parts[1] for line in lines if len(parts := line.split()) >= 3 and parts[0] == serial]
        for local in mine:
            with contextlib.suppress(AdbError):
                await self.host(f"host-serial:{serial}:killforward:{local}", answer=False)
        return len(mine)

    async def track(self) -> AsyncGenerator[dict[str, str]]:
        """The states of all devices by serial: at once, and whenever one changes, until the server ends.

        Raises `AdbServerError` when it does.
        """
        async with connected(self.port) as connection:
            async with deadline(_HOST_S, "the adb server"):
                await connection.ask("host:track-devices")
            while True:
                try:
                    text = (await connection.block()).decode("utf-8", "replace")
                except (OSError, EOFError) as error:
                    raise AdbServerError("the adb server ended") from error
                yield parse_devices(text)


def parse_devices(text: str) -> dict[str, str]:
    """Serial and state of each line; what is no such line is passed over."""
    pairs = (line.split("\t", 1) for line in text.splitlines())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2 and pair[0] and pair[1].strip()}


def _find_adb(environ: Mapping[str, str]) -> str | None:
    if found := shutil.which("adb", path=environ.get("PATH", os.defpath)):
        return found
    for name in ("ANDROID_HOME", "ANDROID_SDK_ROOT"):
        candidate = Path(environ.get(name, "")) / "platform-tools" / "adb"
        if environ.get(name) and os.access(candidate, os.X_OK):
            return str(candidate)
    return None
