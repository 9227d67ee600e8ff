"""Ask for a slot's next job while the end of the present one is recorded: a round trip less between two."""

from __future__ import annotations

from typing import Final

from qgjob.bus.connect import Bus
from qgjob.bus.pull import NAK, Puller

_FRESH: Final = 1 / 6
"""Of the ack wait a message that came ahead is as good as new: its lease is renewed at a third."""


class Ahead:
    """What a slot asked for before it is free. Times are the event loop's."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._asked: float | None = None

    @property
    def asked(self) -> bool:
        """Whether what comes now is the next job."""
        return self._asked is not None

    async def ask(self, puller: Puller, now: float) -> None:
        """Want the next job. `heed` has to follow."""
        self._asked = now
        await puller.ask()

    async def heed(self, puller: Puller, ack_wait_s: float, now: float) -> None:
        """The slot is free: what came is its next job, unless that took long, as when the server was away."""
        asked, self._asked = self._asked, None
        waited = 0.0 if asked is None else now - asked
        if waited > ack_wait_s:
            puller.take()  # it may be another slot's by now, from whom a NAK would take it
        elif waited > ack_wait_s * _FRESH:
            await self.give_back(puller)

    async def give_back(self, puller: Puller) -> None:
        """Let others have what has come and is not for us now."""
        for msg in puller.take():
            await self._bus.nc.publish(msg.reply, NAK)
