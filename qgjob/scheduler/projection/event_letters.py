"""Writes dead letters for unreadable events, one each, however often the projection is rebuilt."""

from __future__ import annotations

import contextlib

from bus_schemas import subjects
from bus_schemas.deadletters import DeadLetter
from bus_schemas.streams import DEAD, EVENTS
from qgjob.backoff import Backoff
from qgjob.bus.connect import Bus
from qgjob.bus.deadletters import set_aside
from qgjob.bus.direct import read_all
from qgjob.bus.follow import StreamMessage
from qgjob.errors import BadMessageError, QgjobError


class EventLetters:
    """Dead letters for unreadable events; a projection that is rebuilt does not write them again."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: set[int] | None = None
        self.count = 0
        """Unreadable messages met so far."""

    def forget(self) -> None:
        """Forget which letters are known: they are read again when that is next needed."""
        self._known = None

    async def set_aside(self, message: StreamMessage, reason: str, *, goal: int) -> None:
        """Write a letter; up to the place `goal`, only if there is none yet. Waits for the server."""
        self.count += 1
        backoff = Backoff()
        while True:
            with contextlib.suppress(QgjobError):
                if message.seq <= goal and message.seq in await self._letters():
                    return
                if await set_aside(self._bus, EVENTS, message.subject, message.data, reason, seq=message.seq):
                    return
            await backoff.wait()

    async def _letters(self) -> set[int]:
        if self._known is None:
            found: set[int] = set()
            async for page in read_all(self._bus, DEAD, subjects.dead(EVENTS)):
                for message in page:
                    with contextlib.suppress(BadMessageError):
                        found.add(DeadLetter.decode(message.data).seq or 0)
            self._known = found
        return self._known
