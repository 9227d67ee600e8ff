"""One device's Appium server: started when a test first needs it, kept warm, ended with the agent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent.errors import JobError
from agent.launch import LaunchSpec, StreamName
from agent.runners.toolchain import AppiumTool
from agent.supervision.server import SupervisedServer

START_S: Final = 60.0
"""How long a server may take until it answers; 1.5 s are usual, but drivers are large."""

_PORT_TRIES: Final = 3
_LOOK_EVERY_S: Final = 0.05
_ANSWER_S: Final = 5.0
_TAIL_LINES: Final = 12
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppiumSetup:
    """What a server is started with."""

    tool: AppiumTool
    node: str
    environment: Mapping[str, str]
    folder: Path
    mark: str


class AppiumServer(SupervisedServer):
    """The server of one slot, which makes its calls."""

    def __init__(self, setup: AppiumSetup) -> None:
        super().__init__(setup.mark)
        self._setup = setup
        self._capabilities: str | None = None
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self.starts = 0
        """How often it was started."""

    async def ready(self, capabilities: Mapping[str, Any]) -> str:
        """The address of a server that answers, started or started again if need be.

        `capabilities` of the device become the defaults of its sessions, so that a test which names no device
        gets this one. Sessions that an earlier test left open are closed. Raises `JobError`
        (`appium_failed`, retryable) with the end of what the server said.
        """
        wanted = json.dumps(capabilities, sort_keys=True)
        if self.alive and self._capabilities == wanted and await self._answers():
            await self._end_sessions()
            return self.url
        await self.close()
        try:
            await self._start(wanted)
        except BaseException:
            await self.close()
            raise
        return self.url

    async def settle(self) -> None:
        """Close the sessions that a test left open, so that nothing of it goes on; never raises."""
        if self.alive:
            await self._end_sessions()

    # -- starting -----------------------------------------------------------------------------------

    async def _start(self, capabilities: str) -> None:
        for tries_left in range(_PORT_TRIES - 1, -1, -1):
            self._take_port()
            self._tail.clear()
            if await self._start_once(capabilities):
                self._capabilities = capabilities
                self.starts += 1
                return
            # Somebody else may have taken the port in between.
            if not tries_left or not any("EADDRINUSE" in line for line in self._tail):
                raise self._failure(f"ended with {self._how_it_ended()}")
            await self.close()

    async def _start_once(self, capabilities: str) -> bool:
        """Whether it became ready; False when it ended instead."""
        setup = self._setup
        home, tmp = setup.folder / "home", setup.folder / "tmp"
        for folder in (home, tmp):
            folder.mkdir(parents=True, exist_ok=True)
        driver = str(json.loads(capabilities).get("appium:automationName", "")).lower()
        launch = LaunchSpec(
            argv=(
                setup.node,
                str(setup.tool.main),
                "server",
                "--address",
                "127.0.0.1",
                "--port",
                str(self._port),
                *(("--use-drivers", driver) if driver else ()),
                "--default-capabilities",
                capabilities,
                # It answers this machine alone; sessions are listed so that left ones can be closed.
                *(("--allow-insecure", "*:session_discovery") if self._major >= 3 else ()),
                "--log-no-colors",
                "--log-level",
                "info",
                "--tmp",
                str(tmp),
            ),
            env={
                **setup.environment,
                "HOME": str(home),
                "APPIUM_HOME": str(setup.tool.home),
                # Appium asks npm for newer drivers before it listens: without the internet, for minutes.
                "npm_config_offline": "true",
            },
            cwd=setup.folder,
        )
        try:
            return await self._start_process(
                launch, self._note, self._answers, timeout_s=START_S, look_every_s=_LOOK_EVERY_S
            )
        except TimeoutError:
            raise self._failure(f"did not answer on port {self._port} within {START_S:g} s") from None

    def _note(self, _stream: StreamName, data: bytes) -> None:
        self._tail.extend(
            line[:400]
            for line in _ESCAPES.sub("", data.decode("utf-8", "replace")).splitlines()
            if line.strip()
        )

    def _failure(self, what: str) -> JobError:
        tail = "\n".join(self._tail)
        hint = None
        if "it is not installed" in tail:
            home = self._setup.tool.home
            hint = f"Install it on the lab machine: APPIUM_HOME={home} appium driver install NAME"
        return JobError(
            f"the device's Appium server {what}" + (f"; the end of its output:\n{tail}" if tail else ""),
            reason="appium_failed",
            retryable=True,
            hint=hint,
        )

    @property
    def _major(self) -> int:
        try:
            package = json.loads((self._setup.tool.main.parent / "package.json").read_text("utf-8"))
            return int(str(package["version"]).partition(".")[0])
        except (OSError, ValueError, LookupError, TypeError):
            return 3

    # -- asking -------------------------------------------------------------------------------------

    async def _answers(self) -> bool:
        return (await self._ask("GET", "/status"))[0] == 200

    async def _end_sessions(self) -> None:
        status, body = await self._ask("GET", "/appium/sessions" if self._major >= 3 else "/sessions")
        if status != 200:
            return
        with contextlib.suppress(ValueError, KeyError, TypeError):
            for session in json.loads(body)["value"]:
                await self._ask("DELETE", f"/session/{session['id']}")

    async def _ask(self, method: str, path: str) -> tuple[int, bytes]:
        """Status and body; (0, b"") when it does not answer in time."""
        with contextlib.suppress(OSError, TimeoutError, ValueError, IndexError, asyncio.IncompleteReadError):
            async with asyncio.timeout(_ANSWER_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                try:
                    head = f"{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{self._port}\r\n\r\n"
                    writer.write(head.encode())
                    await writer.drain()
                    answer = await reader.read(1 << 20)
                    while not reader.at_eof() and len(answer) < 1 << 20:
                        answer += await reader.read(1 << 20)
                finally:
                    writer.close()
                return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]
        return 0, b""
