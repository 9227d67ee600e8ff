"""Live subscriptions, typed; they yield a `Resync` when messages may have been missed.

Subscribe first, then take a snapshot, then apply what came meanwhile; on `Resync` take the
snapshot again. Nothing here polls, and a reader that is too slow costs a bounded queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Generic, Self, TypeVar

from bus_schemas import subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.events import decode_event
from bus_schemas.logs import LogChunk, StoredChunk
from bus_schemas.queries import Overview
from qgjob.bus.connect import Bus
from qgjob.client.models import LiveEvent, Resync
from qgjob.errors import BadMessageError, QgjobError

if TYPE_CHECKING:
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_WAITING: Final = 50_000
"""What a slow reader may leave unread; beyond it everything is dropped for a `Resync`."""

_SEQUENCE = "Nats-Sequence"


class Live(Generic[T]):
    """Messages of a subject as they come: `async with live: async for item in live: …`.

    Items are of the subject's type, or a `Resync`. Entering returns after the server knows the
    subscription, so that a snapshot taken next misses nothing.
    """

    def __init__(self, bus: Bus, subject: str, read: Callable[[Msg], T]) -> None:
        self._bus = bus
        self._subject = subject
        self._read = read
        self._items: deque[T | Resync] = deque()
        self._wake = asyncio.Event()
        self._nudged = False
        self._subscription: Subscription | None = None
        self.unreadable = 0
        """Messages that were no such message, and were left out."""

    async def __aenter__(self) -> Self:
        """Subscribe, and wait until the server has heard of it."""
        await self._subscribe()
        self._bus.on_reconnect.append(self._on_reconnect)
        with contextlib.suppress(QgjobError):  # a lost connection: the reconnect yields a Resync
            await self._bus.requests.round_trip()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Unsubscribe."""
        self._bus.on_reconnect.remove(self._on_reconnect)
        await self._unsubscribe()

    def __aiter__(self) -> Self:
        """Return itself."""
        return self

    async def __anext__(self) -> T | Resync:
        """The next item; waits for as long as it takes."""
        while not self._items:
            self._wake.clear()
            await self._wake.wait()
        return self._items.popleft()

    async def ready(self) -> None:
        """Wait until there is something to take, or until `nudge`."""
        while not self._items and not self._nudged:
            self._wake.clear()
            await self._wake.wait()
        self._nudged = False

    def nudge(self) -> None:
        """Wake whoever waits in `ready`, though nothing came."""
        self._nudged = True
        self._wake.set()

    def take(self, limit: int | None = None) -> list[T | Resync]:
        """What has come already, without waiting, oldest first."""
        count = len(self._items) if limit is None else min(limit, len(self._items))
        return [self._items.popleft() for _ in range(count)]

    async def rest(self, seconds: float) -> None:
        """Have nothing sent for a time: for messages of which the next tells all that one left out told."""
        await self._unsubscribe()
        await asyncio.sleep(seconds)
        await self._subscribe()

    async def _subscribe(self) -> None:
        self._subscription = await self._bus.nc.subscribe(
            self._subject, cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
        )

    async def _unsubscribe(self) -> None:
        if self._subscription:
            with contextlib.suppress(Exception):  # the connection may be going away
                await self._subscription.unsubscribe()
        self._subscription = None

    def _put(self, item: T | Resync) -> None:
        if len(self._items) >= MAX_WAITING:
            self._items.clear()
            self._items.append(Resync("overrun"))
        self._items.append(item)
        self._wake.set()

    def _on_reconnect(self) -> None:
        self._put(Resync("reconnected"))

    async def _on_message(self, msg: Msg) -> None:
        try:
            item = self._read(msg)
        except (BadMessageError, ValueError) as error:
            self.unreadable += 1
            log.debug("left out a message on %s: %s", msg.subject, error)
            return
        self._put(item)


def _sequence(msg: Msg) -> int:
    return int((msg.headers or {}).get(_SEQUENCE, "0"))


def _event(msg: Msg) -> LiveEvent:
    return LiveEvent(decode_event(msg.data), _sequence(msg))


def _chunk(msg: Msg) -> StoredChunk:
    return StoredChunk.of(LogChunk.decode(msg.data), _sequence(msg))


def _heartbeat(msg: Msg) -> Heartbeat:
    heartbeat = Heartbeat.decode(msg.data)
    if subjects.live_agent(heartbeat.agent) != msg.subject:
        raise BadMessageError(f"{heartbeat.agent} does not belong there")
    return heartbeat


def events(bus: Bus, *, run_id: str | None = None, job_id: str | None = None) -> Live[LiveEvent]:
    """Events of one job, of one run, or all."""
    if job_id is not None:
        subject = subjects.live_job_events(job_id)
    elif run_id is not None:
        subject = subjects.live_run_events(run_id)
    else:
        subject = subjects.LIVE_EVENTS
    return Live(bus, subject, _event)


def overview(bus: Bus) -> Live[Overview]:
    """The overview, when something changed."""
    return Live(bus, subjects.LIVE_OVERVIEW, lambda msg: Overview.decode(msg.data))


def agents(bus: Bus) -> Live[Heartbeat]:
    """Heartbeats of all agents."""
    return Live(bus, f"{subjects.LIVE_AGENTS}.*", _heartbeat)


def logs(bus: Bus, job_id: str) -> Live[StoredChunk]:
    """Output of one job."""
    return Live(bus, subjects.live_logs(job_id), _chunk)
