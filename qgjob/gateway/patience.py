"""Answers in time even when server or scheduler do not; what was begun is not left half done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from qgjob.bus import NatsError
from qgjob.bus.requester import RequestTimeoutError
from qgjob.client import Client, TransferProgress
from qgjob.errors import QgjobError, UnreachableError

T = TypeVar("T")

log = logging.getLogger(__name__)

SERVER_ANSWERS_S: Final = 3.0
SCHEDULER_ANSWERS_S: Final = 4.0
"""Then a second goes into finding out whether it is the server that stands still."""
STORED_WITHIN_S: Final = 5.0
STILL_THERE_S: Final = 2.0
TRUSTED_FOR_S: Final = 1.0
"""A server that has just answered is not asked whether it does: that would cost half a millisecond."""


@dataclass(slots=True)
class Patience:
    """Bounds how long a request may wait for the server or the scheduler."""

    client: Client
    _answered_at: float = float("-inf")
    going_on: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    async def server(self, *, otherwise: str) -> None:
        """Make sure that the server answers; raises `UnreachableError` when it has been silent for a while.

        `otherwise`: what is so when it does not.
        """
        try:
            if self.client.clock.monotonic() - self._answered_at > TRUSTED_FOR_S:
                await self.client.bus.requests.round_trip(timeout=SERVER_ANSWERS_S)
        except (RequestTimeoutError, NatsError):
            raise UnreachableError(
                f"The NATS server does not answer: {otherwise}.", hint="Send it again."
            ) from None
        self._answered_at = self.client.clock.monotonic()

    async def stored(self, storing: Coroutine[Any, Any, T]) -> T:
        """What it returns. Raises what it raises, and `UnreachableError` when the server does not answer.

        Nothing is begun with a server that has been silent for a while. What one falls silent over goes
        on until it is done or has given up: who cut it off would leave a part of it there. One that
        answers may take its time over a large run.
        """
        try:
            await self.server(otherwise="nothing was stored")
        except BaseException:
            storing.close()
            raise
        task = asyncio.ensure_future(storing)
        self.going_on.add(task)
        task.add_done_callback(self.going_on.discard)
        await asyncio.wait({task}, timeout=STORED_WITHIN_S)
        while not task.done() and await self._answers():
            await asyncio.wait({task}, timeout=STORED_WITHIN_S)
        if task.done():
            result = task.result()
            self._answered_at = self.client.clock.monotonic()
            return result
        task.add_done_callback(_late)
        raise UnreachableError(
            "The NATS server does not answer any more: whether it is stored is not known yet.",
            hint="It may still be. Sent again with the same run_key it is stored once; "
            "without one see GET /api/jobs first.",
        )

    async def _answers(self) -> bool:
        """Whether the server answers just now."""
        try:
            await self.client.bus.requests.round_trip(timeout=STILL_THERE_S)
        except (RequestTimeoutError, NatsError):
            return False
        return True

    async def moving(self, sending: Callable[[TransferProgress], Awaitable[T]]) -> T:
        """The same of a file, which may take its time as long as it gets on, and of which no part counts.

        It is cut off when nothing of it was taken for `STORED_WITHIN_S`.
        """
        await self.server(otherwise="nothing was stored")
        clock = asyncio.get_running_loop().time
        try:
            async with asyncio.timeout(STORED_WITHIN_S) as limit:

                def moved(done: int, total: int) -> None:
                    del done, total
                    limit.reschedule(clock() + STORED_WITHIN_S)

                return await sending(moved)
        except TimeoutError:
            raise UnreachableError(
                f"No answer of the NATS server for {STORED_WITHIN_S:g} s: nothing was stored.",
                hint="Send it again.",
            ) from None


def _late(task: asyncio.Task[Any]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is None:
        log.warning("what was answered with 503 is stored now")
    elif isinstance(error, QgjobError):
        log.warning("what was answered with 503 was not stored: %s", error)
    else:
        log.error("what was answered with 503 failed", exc_info=error)
