"""The server's clock, by which a leader reckons what is due: that of its own machine may be wrong, or jump.

When a job came, and when an attempt ended, the server noted by its clock. Compared with another one that is
an hour ahead, the whole backlog would have waited for an hour too long.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any, Final

from bus_schemas.streams import EVENTS
from qgjob.bus.connect import Bus
from qgjob.bus.topology import ASK_EVERY_S, stream_info
from qgjob.clock import Clock
from qgjob.domain.durations import show_duration
from qgjob.errors import QgjobError

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
_WRONG_S: Final = 30.0
"""A clock that is so far from the server's is worth a word."""


class ServerClock:
    """A `Clock` set by the server's once a minute; in between it follows this machine's monotonic clock."""

    def __init__(self, bus: Bus, own: Clock) -> None:
        self._bus = bus
        self._own = own
        self._at = own.now()
        self._since = own.monotonic()

    def now(self) -> float:
        """What the server's clock shows, in seconds since 1970."""
        return self._at + self._own.monotonic() - self._since

    def monotonic(self) -> float:
        """Seconds of this machine's monotonic clock."""
        return self._own.monotonic()

    async def synchronise(self) -> None:
        """Set it by the server's clock; raises `QgjobError` when the server does not answer."""
        asked = self._own.monotonic()
        at = await read_server_time(self._bus, EVENTS)
        heard = self._own.monotonic()
        # It may have been asked several times: the answer is to the last one.
        self._at, self._since = at, heard - min(heard - asked, ASK_EVERY_S) / 2

    async def run(self) -> None:
        """Follow the server's clock until cancelled."""
        self._log_when_wrong()
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.synchronise()
            except QgjobError as error:  # the next check decides
                log.debug("the server's clock cannot be read: %s", error)

    def _log_when_wrong(self) -> None:
        ahead = self._own.now() - self.now()
        if abs(ahead) > _WRONG_S:
            which = "ahead of" if ahead > 0 else "behind"
            log.warning(
                "the clock of this machine is %s %s the server's, which counts; set it right",
                show_duration(abs(ahead)),
                which,
            )


async def read_server_time(bus: Bus, stream: str) -> float:
    """What the clock of the server that leads a stream shows, in seconds since 1970."""
    return server_time(await stream_info(bus, stream))


def server_time(info: dict[str, Any]) -> float:
    """When the server answered that, by its clock, in seconds since 1970."""
    return datetime.fromisoformat(info["ts"]).timestamp()
