"""Detects that the stream of events is not the one that was projected: replaced, or short of last writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bus_schemas.streams import EVENTS
from qgjob.backoff import Backoff
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_at
from qgjob.bus.follow import StreamMessage
from qgjob.errors import QgjobError
from qgjob.store.position import Position, StreamState

log = logging.getLogger(__name__)

_SAME_TIME_S: Final = 1e-3


class OtherStreamError(QgjobError):
    """The stream is another one than the projection was built from."""


class EventHistory:
    """Remembers the last message read, and compares it with the stream when that may have changed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._taken = (0, 0.0)
        self._suspects: list[tuple[int, float]] = []
        self.stream: StreamState | None = None
        """The stream as it was seen last."""

    async def begin(self, position: Position) -> None:
        """Start reading behind a position; raises `OtherStreamError` when the stream contradicts it."""
        self._taken = (position.seq, position.at)
        self._suspects = [self._taken]
        for callbacks in (self._bus.on_disconnect, self._bus.on_reconnect):
            if self._suspect not in callbacks:
                callbacks.append(self._suspect)
        await self._check()

    def end(self) -> None:
        """Stop reading."""
        for callbacks in (self._bus.on_disconnect, self._bus.on_reconnect):
            if self._suspect in callbacks:
                callbacks.remove(self._suspect)

    def on_message(self, message: StreamMessage) -> None:
        """Note that everything up to a message was read."""
        self._taken = (message.seq, message.at)

    async def watch(self, position: Callable[[], Position], every_s: float) -> None:
        """Check the stream at intervals, until `OtherStreamError` is raised."""
        while True:
            before = position()
            self.stream = stream = await self.read()
            opened = before.seq >= 0
            if opened and stream.created != before.stream:
                raise OtherStreamError(f"the stream {EVENTS} was made anew")
            if opened and stream.last_seq < before.seq:
                raise OtherStreamError(f"the stream {EVENTS} ends at {stream.last_seq}, before {before.seq}")
            await self._check()
            await asyncio.sleep(every_s)

    async def read(self) -> StreamState:
        """The stream as it is now; waits until the server tells."""
        backoff = Backoff()
        while True:
            try:
                info = await self._bus.requests.api(f"STREAM.INFO.{EVENTS}", timeout=3)
            except QgjobError as error:  # the server is away, restarting, or has no leader yet
                log.debug("no word of the stream %s: %s", EVENTS, error)
                await backoff.wait()
            else:
                state = info["state"]
                return StreamState(str(info["created"]), int(state["messages"]), int(state["last_seq"]))

    def _suspect(self) -> None:
        """Have the last message checked: the connection broke or is back, and the server may have lost it."""
        self._suspects.append(self._taken)

    async def _check(self) -> None:
        """A server that lost its last writes gives their places to other messages."""
        backoff = Backoff()
        while self._suspects:
            seq, at = self._suspects[0]
            try:
                message = await read_at(self._bus, EVENTS, seq) if seq > 0 else None
            except QgjobError:  # the server is away or restarting
                await backoff.wait()
                continue
            if message is not None and abs(message.at - at) > _SAME_TIME_S:
                raise OtherStreamError(f"the stream {EVENTS} holds another message at {seq}")
            self._suspects.pop(0)
