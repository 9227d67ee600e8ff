"""Messages delivered to a slot and not yet claimed or handed back, with one job of prefetch.

Where tests take some hundredths of a second, the time to fetch the next one counts. So as long as its group
has enough work for all slots, a busy slot fetches its next job while the test runs. It keeps it for a moment
only, as another slot may be idle meanwhile, and notes it on disk, as it notes what it claims.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agent.attempts.claim import new_nonce
from agent.slots.held_work import HeldWork, Note
from bus_schemas.jobs import JobMessage
from bus_schemas.streams import lease_of
from qgjob.bus.chain import chain_subject
from qgjob.bus.connect import Bus
from qgjob.bus.follow import stream_message
from qgjob.bus.pull import NAK, Puller
from qgjob.errors import NewerMessageError

if TYPE_CHECKING:
    from nats.aio.msg import Msg

PREFETCH_KEPT_S: Final = 0.1
"""How long a job is kept while a test runs."""
ENOUGH: Final = 2
"""With so many for each slot that pulls from a group, nobody misses one that is fetched ahead."""


@dataclass(slots=True)
class Delivery:
    """One delivery of a job; its lease runs from `came`, by the event loop's clock."""

    msg: Msg
    message: JobMessage
    received_at: float
    ack_wait_s: float
    nonce: str = field(default_factory=new_nonce)
    """By which it will be claimed."""
    _note: Note | None = None

    @property
    def ack(self) -> str:
        """Where it is acknowledged."""
        return self.msg.reply

    def backlog_covers(self, slots: int) -> bool:
        """Whether enough messages were left for so many slots when it came, so that one may be prefetched."""
        return stream_message(self.msg).pending >= ENOUGH * slots

    @property
    def ours_until(self) -> float:
        """When it may be redelivered to another slot, by the event loop's clock."""
        return self.received_at + lease_of(self.ack_wait_s)

    def is_expired(self, now: float) -> bool:
        """Whether it may have been redelivered by now."""
        return now >= self.ours_until

    def with_note(self, notes: HeldWork) -> Note:
        """Its note on the disk, which is made when there is none."""
        if self._note is None:
            came_s = asyncio.get_running_loop().time() - self.received_at
            chain = chain_subject(self.message)
            self._note = notes.note(chain, self.nonce, self.ack, self.ack_wait_s, came_s=came_s)
        return self._note

    def forget(self) -> None:
        """Clear its note, so that no later start hands it back; to be called before it is handed back."""
        if self._note is not None:
            self._note.clear()


class Inbox:
    """Reads the messages of a slot's puller, and keeps at most one job for later."""

    def __init__(
        self,
        bus: Bus,
        notes: HeldWork,
        read: Callable[[Msg], Awaitable[JobMessage | None]],
        too_new: Callable[[], None],
    ) -> None:
        """`read`: see `DeliveryHandler.read`; `too_new` is told when this agent is too old for a job."""
        self._bus = bus
        self._notes = notes
        self._read = read
        self._too_new = too_new
        self._prefetched: Delivery | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def kept_until(self) -> float | None:
        """Until when the prefetched job is kept, if there is one."""
        return None if self._prefetched is None else self._prefetched.received_at + PREFETCH_KEPT_S

    def has_work(self, puller: Puller) -> bool:
        """Whether there is something to take."""
        return self._prefetched is not None or puller.has_message

    async def take(self, puller: Puller, ack_wait_s: float) -> Delivery | None:
        """The next job; None when what came is not for this slot, or not any more."""
        delivery, self._prefetched = self._prefetched, None
        if delivery is None:
            delivery = await self._read_next(puller, ack_wait_s)
        if delivery is not None and delivery.is_expired(self._loop.time()):
            delivery.forget()
            return None
        return delivery

    async def prefetch(self, puller: Puller, ack_wait_s: float, *, keep: bool) -> None:
        """Prefetch a job while a test runs, and hand back what is not to be kept."""
        if self._prefetched is None and keep:
            self._prefetched = await self._read_next(puller, ack_wait_s)
            if self._prefetched is not None:
                self._prefetched.with_note(self._notes)
        elif not keep or (self.kept_until or 0.0) <= self._loop.time():
            self.put_back(puller)
        for msg in puller.take():
            await self._bus.nc.publish(msg.reply, NAK)

    def put_back(self, puller: Puller) -> None:
        """Give the prefetched job back to the puller, which hands it back with the rest."""
        kept = self._prefetched
        self.drop()
        if kept is not None and not kept.is_expired(self._loop.time()):
            puller.put_back(kept.msg)

    def drop(self) -> None:
        """Drop the prefetched job: it may be another slot's by now, so it is neither run nor handed back."""
        kept, self._prefetched = self._prefetched, None
        if kept is not None:
            kept.forget()

    async def _read_next(self, puller: Puller, ack_wait_s: float) -> Delivery | None:
        came = puller.oldest_received_at
        for msg in puller.take(1):
            try:
                message = await self._read(msg)
            except NewerMessageError:
                self._too_new()
                continue
            if message is not None:
                return Delivery(msg, message, came, ack_wait_s)
        return None
