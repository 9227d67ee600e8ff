"""Something that takes connections as a server does, and goes as far with each as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from types import TracebackType
from typing import Self

INFO = {"server_id": "S", "version": "2.14.0", "headers": True, "max_payload": 1_000_000}


class Peer:
    """Says INFO where `greets`, answers the first `pongs` PINGs, and then refuses, hangs up or is silent.

    From then on nobody takes what comes where it does not `read`.
    """

    def __init__(
        self,
        *,
        greets: bool = True,
        pongs: int = 0,
        refuses: bool = False,
        hangs_up: bool = False,
        reads: bool = True,
    ) -> None:
        self._greets, self._pongs, self._refuses, self._hangs_up = greets, pongs, refuses, hangs_up
        self._reads = reads
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.came: list[float] = []
        """When each connection came, by the event loop's clock."""
        self.open = 0
        """How many of them the other side has not closed."""

    @property
    def port(self) -> int:
        assert self._server is not None
        return self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.came.append(asyncio.get_running_loop().time())
        self.open += 1
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._speak(reader, writer)
                if self._hangs_up and writer.can_write_eof():
                    writer.write_eof()
                while self._reads and await reader.read(65_536):
                    pass
                if not self._reads:
                    await asyncio.Event().wait()
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._greets:
            writer.write(f"INFO {json.dumps(INFO)}\r\n".encode())
            for _ in range(self._pongs):
                if not await _asked(reader):
                    return
                writer.write(b"PONG\r\n")
            if self._refuses and await _asked(reader):
                writer.write(b"-ERR 'Authorization Violation'\r\n")


async def _asked(reader: asyncio.StreamReader) -> bool:
    """Whether a PING came, and not the end."""
    while line := await reader.readline():
        if line == b"PING\r\n":
            return True
    return False
