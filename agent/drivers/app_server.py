"""Runs a build as a server on this machine, under supervision of its own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from agent.drivers.manifest import AppManifest
from agent.errors import JobError
from agent.launch import LaunchSpec, StreamName
from agent.supervision.server import SupervisedServer

MAX_LOG_BYTES = 4 * 1024 * 1024
_TAIL_BYTES = 2048
_PORT_TRIES = 3
_LOOK_EVERY_S = 0.02
_LOOK_S = 2.0


class AppServer(SupervisedServer):
    """One build's process, from its start to its end. It is started once; start another to restart."""

    def __init__(
        self, manifest: AppManifest, folder: Path, environment: Mapping[str, str], mark: str
    ) -> None:
        super().__init__(mark)
        self._manifest = manifest
        self._folder = folder
        self._environment = environment
        self._log: _Log | None = None

    async def start(self, log_path: Path, timeout_s: float) -> None:
        """Start it and wait until it is ready; its output goes to `log_path`, up to 4 MiB.

        Raises `JobError` (`build_start_failed`, not retryable) when it ends or is not ready in time, with
        the end of its output. Nothing runs after a failure.
        """
        try:
            for tries_left in range(_PORT_TRIES - 1, -1, -1):
                self._take_port()
                self._log = log = _Log(log_path)
                if await self._start_once(log, timeout_s):
                    return
                if not tries_left or _is_free(self._port):
                    raise self._failure(f"it ended before it was ready, with {self._how_it_ended()}", log)
                # Another process took the port in between: that is not the build's fault.
                await self.close()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """End it and everything it started."""
        await super().close()
        if self._log is not None:
            self._log.close()

    async def _start_once(self, log: _Log, timeout_s: float) -> bool:
        """Whether it became ready; False when it ended instead."""
        manifest = self._manifest
        limit_s = min(timeout_s, manifest.ready_timeout_s)
        launch = LaunchSpec(
            argv=tuple(word.replace("{port}", str(self._port)) for word in manifest.start),
            env={**self._environment, manifest.port_env: str(self._port)},
            cwd=self._folder,
        )
        try:
            return await self._start_process(
                launch,
                log.write,
                self._answers,
                timeout_s=limit_s,
                look_every_s=_LOOK_EVERY_S,
            )
        except TimeoutError:
            wanted = f"GET {manifest.http_path}" if manifest.http_path else "a connection"
            raise self._failure(
                f"it did not answer {wanted} on port {self._port} within {limit_s:g} s", log
            ) from None

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                return await _answers(self._port, self._manifest.http_path)
        return False

    def _failure(self, what: str, log: _Log) -> JobError:
        tail = log.tail.decode("utf-8", "replace").strip()
        return JobError(
            f"the build does not start: {what}" + (f"; the end of its output:\n{tail}" if tail else ""),
            reason="build_start_failed",
            retryable=False,
        )


class _Log:
    """A file for the server's output, which may not grow for ever, and the end of it in memory."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("wb", buffering=0)
        self._left = MAX_LOG_BYTES
        self.tail = b""

    def write(self, _stream: StreamName, data: bytes) -> None:
        self.tail = (self.tail + data)[-_TAIL_BYTES:]
        if self._left > 0:
            with contextlib.suppress(OSError):
                self._file.write(data[: self._left])
            self._left -= len(data)

    def close(self) -> None:
        self._file.close()


async def _answers(port: int, http_path: str | None) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        if http_path is None:
            return True
        writer.write(f"GET {http_path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        await writer.drain()
        words = (await reader.read(64)).split(b" ", 2)
        return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1][:1] in {b"2", b"3"}
    finally:
        writer.close()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
