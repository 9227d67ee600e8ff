"""Reads a process's output pipes on the event loop, no faster than their consumer takes it."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from collections.abc import Callable

from agent.launch import OutputSink, StreamName

CHUNK = 65536


class OutputPipe:
    """One pipe. The write end goes to the supervisor; at most one chunk is in our memory."""

    def __init__(
        self, name: StreamName, sink: OutputSink, on_failure: Callable[[BaseException], None]
    ) -> None:
        self._name: StreamName = name
        self._sink = sink
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._delivering: asyncio.Future[None] | None = None
        self._reading = False
        self._ended = False

    def start(self) -> None:
        """Read from now on; our copy of the write end is closed."""
        self._close_write_end()
        self._resume()

    async def drain(self) -> None:
        """Deliver what is in the pipe now, and stop.

        To be called when all that could write has ended: what is in the pipe then is the rest, even when
        a stranger still holds it open.
        """
        ended, self._ended = self._ended, True
        self._pause()
        if self._delivering is not None:
            await asyncio.wait((self._delivering,))
        if ended or self._read_end < 0:
            return
        rest = self._available()
        while rest > 0 and (data := os.read(self._read_end, min(rest, CHUNK))):
            rest -= len(data)
            delivery = self._sink(self._name, data)
            if delivery is not None:
                await delivery

    def close(self) -> None:
        """Close both ends."""
        self._ended = True
        self._pause()
        self._close_write_end()
        if self._delivering is not None:
            self._delivering.cancel()
        if self._read_end >= 0:
            os.close(self._read_end)
            self._read_end = -1

    def _resume(self) -> None:
        if not self._ended:
            self._reading = True
            self._loop.add_reader(self._read_end, self._readable)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._read_end)

    def _readable(self) -> None:
        try:
            data = os.read(self._read_end, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._ended = True
            self._pause()
            return
        try:
            delivery = self._sink(self._name, data)
        except Exception as error:  # noqa: BLE001 - whatever the consumer raised is given to the caller of run
            self._fail(error)
            return
        if delivery is not None:
            self._pause()
            self._delivering = asyncio.ensure_future(delivery)
            self._delivering.add_done_callback(self._delivered)

    def _delivered(self, delivery: asyncio.Future[None]) -> None:
        self._delivering = None
        if delivery.cancelled():
            return
        error = delivery.exception()
        if error is not None:
            self._fail(error)
        else:
            self._resume()

    def _fail(self, error: BaseException) -> None:
        self._ended = True
        self._pause()
        self._on_failure(error)

    def _available(self) -> int:
        count = array.array("i", [0])
        fcntl.ioctl(self._read_end, termios.FIONREAD, count)
        return count[0]

    def _close_write_end(self) -> None:
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1
