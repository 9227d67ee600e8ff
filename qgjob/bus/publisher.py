"""Publish many messages without waiting for each: a window in flight, errors and timeouts delivered.

A hundred in flight are five times as fast as one after the other. The client library's own
`publish_async` is not used: an error answer never resolves its future and keeps its place for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg, lost_compare
from qgjob.bus.requester import JsError, NoRespondersError, PubAck, RequestTimeoutError, read_ack
from qgjob.waiting import set_within

if TYPE_CHECKING:
    from nats.aio.msg import Msg

log = logging.getLogger(__name__)

WINDOW: Final = 200
MANY: Final = 40
"""So many need not be gathered any longer; more at a time would keep others waiting."""
PATIENCE_S: Final = 60.0
"""How long a stream may be away: one that loses the server that leads it is for 4 to 8 s."""
_PAUSE_S: Final = 0.2


async def publish_each(bus: Bus, messages: list[OutMsg], *, timeout: float = 5.0) -> list[PubAck]:
    """Publish messages one by one, all in flight at once, and wait for all answers.

    Raises the first error (`JsError`, `RequestTimeoutError`, …) once every answer is in.
    """
    futures = [
        await bus.requests.send(m.subject, m.payload, headers=m.headers, timeout=timeout) for m in messages
    ]
    answers = await asyncio.gather(*futures, return_exceptions=True)
    acks: list[PubAck] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        acks.append(read_ack(answer))
    return acks


class Publisher:
    """A background writer of messages that nobody waits for, in order as long as all goes well.

    A message whose answer is lost is sent again, so it may be stored twice; who reads such messages
    takes them as facts, not as counts. One that the stream refuses is logged and left out.
    """

    def __init__(
        self, bus: Bus, *, after: Callable[[], Awaitable[None]] | None = None, gather_s: float = 0.0
    ) -> None:
        """`after`: waited for before each burst of messages, as others go first.

        `gather_s`: behind a burst messages are gathered for so long, unless they become many or somebody
        waits in `flushed`: one at a time they would each wake the server, and its answers us.
        """
        self._bus = bus
        self._after = after
        self._gather_s = gather_s
        self._hurry = asyncio.Event()
        self._queue: deque[OutMsg] = deque()
        self._wake = asyncio.Event()
        self._stored = asyncio.Event()
        self.refused = 0
        self.posted = 0
        """How many messages were to be published so far."""
        self.done = 0
        """How many of them, in the order of their posting, are stored (or given up)."""

    def post(self, message: OutMsg) -> None:
        """Queue a message to be published."""
        self._queue.append(message)
        self.posted += 1
        self._wake.set()
        if len(self._queue) >= MANY:
            self._hurry.set()

    async def flushed(self) -> None:
        """Wait until all that was posted so far is stored (or given up)."""
        through = self.posted
        while self.done < through:
            self._hurry.set()
            self._stored.clear()
            await self._stored.wait()

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            if self._queue and self._after is not None:
                await self._after()
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(len(self._queue), WINDOW))]
                await self._store(batch)
                self.done += len(batch)
                self._stored.set()
            await self._gather()
            self._wake.clear()
            if not self._queue:
                await self._wake.wait()

    async def _gather(self) -> None:
        self._hurry.clear()
        if self._gather_s:
            await set_within(self._hurry, self._gather_s)

    async def _store(self, batch: list[OutMsg]) -> None:
        until = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            futures = [
                await self._bus.requests.send(m.subject, m.payload, headers=m.headers or None) for m in batch
            ]
            answers = await asyncio.gather(*futures, return_exceptions=True)
            left: list[OutMsg] = []
            for message, answer in zip(batch, answers, strict=True):
                if isinstance(answer, RequestTimeoutError | NoRespondersError):
                    left.append(message)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    self._check(message, answer)
            if not left:
                return
            batch = left
            if asyncio.get_running_loop().time() >= until:
                break
            await asyncio.sleep(_PAUSE_S)
        log.warning("%d messages could not be published, the first on %s", len(batch), batch[0].subject)

    def _check(self, message: OutMsg, answer: Msg) -> None:
        try:
            read_ack(answer)
        except JsError as error:
            if not lost_compare(error):
                self.refused += 1
                log.warning("a message on %s was refused: %s", message.subject, error)
