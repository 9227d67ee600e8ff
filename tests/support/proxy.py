"""A TCP proxy before a server, which can be told to swallow what the server says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator
from typing import Self


class Proxy:
    """Forwards to a port of this machine; `deaf` drops the server's answers, `cut` the connections.

    `rate`: how many bytes a second the server's answers may bring, `up_rate`: how many go to the server; 0 for
    as many as come. `hold` lets what goes to the server wait, until a `cut`.
    """

    def __init__(self, port: int) -> None:
        self.to = port
        """Where connections to come lead."""
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.deaf = False
        self.swallowed = 0
        self.rate = self.up_rate = 0
        self.held = asyncio.Event()
        """Something waits for a `cut`."""
        self._words, self._left = b"", 0
        self._deafening = b""

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self, words: bytes, after: int) -> None:
        """Let wait what goes to the server once these words were said about so often."""
        self._words, self._left = words, after

    def deafen(self, words: bytes) -> None:
        """Be deaf once these words were said to the server."""
        self._deafening = words

    @contextlib.contextmanager
    def outage(self) -> Generator[None]:
        """Be deaf, and drop every connection at the end: what was answered meanwhile is lost."""
        self.deaf = True
        yield
        self.cut()
        self.deaf = False

    def cut(self) -> None:
        """Drop every connection, and what waits to be sent; those to come are as in the beginning."""
        self.held.clear()
        self._words = b""
        for task in tuple(self._tasks):
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                there, back = await asyncio.open_connection("127.0.0.1", self.to)
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._pump(reader, back, answers=False))
                        group.create_task(self._pump(there, writer, answers=True))
                finally:
                    back.close()
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pump(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        loop = asyncio.get_running_loop()
        free = 0.0
        with contextlib.suppress(OSError):
            while data := await source.read(16_384):
                if answers and self.deaf:
                    self.swallowed += len(data)
                    continue
                if self._deafening and not answers and self._deafening in data:
                    self.deaf, self._deafening = True, b""
                if self._words and not answers:
                    self._left -= data.count(self._words)
                    if self._left <= 0:
                        self.held.set()
                        await asyncio.Event().wait()
                if rate := self.rate if answers else self.up_rate:
                    free = max(free, loop.time()) + len(data) / rate
                    await asyncio.sleep(free - loop.time())
                target.write(data)
                await target.drain()
        target.close()
