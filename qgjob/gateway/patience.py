"""An answer in time, also when the server gives none; what was begun is not left half done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from qgjob.bus import NatsError
from qgjob.bus.requester import RequestTimeoutError
from qgjob.client import Client
from qgjob.errors import QgjobError, UnreachableError

T = TypeVar("T")

log = logging.getLogger(__name__)

SERVER_ANSWERS_S: Final = 3.0
STORED_WITHIN_S: Final = 5.0
TRUSTED_FOR_S: Final = 1.0
"""A server that has just answered is not asked whether it does: that would cost half a millisecond."""


@dataclass(slots=True)
class Patience:
    """Carries out what stores something, and answers before it is done when that takes too long."""

    client: Client
    _answered_at: float = float("-inf")
    going_on: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]])

    async def stored(self, storing: Coroutine[Any, Any, T]) -> T:
        """What it returns. Raises what it raises, and `UnreachableError` when the server does not answer.

        Nothing is begun with a server that has been silent for a while. What one falls silent over goes
        on until it is done or has given up: who cut it off would leave a part of it there.
        """
        try:
            if self.client.clock.monotonic() - self._answered_at > TRUSTED_FOR_S:
                await self.client.bus.requests.round_trip(timeout=SERVER_ANSWERS_S)
        except (RequestTimeoutError, NatsError):
            storing.close()
            raise UnreachableError(
                "The NATS server does not answer: nothing was stored.", hint="Send it again."
            ) from None
        except BaseException:
            storing.close()
            raise
        task = asyncio.ensure_future(storing)
        self.going_on.add(task)
        task.add_done_callback(self.going_on.discard)
        await asyncio.wait({task}, timeout=STORED_WITHIN_S)
        if task.done():
            result = task.result()
            self._answered_at = self.client.clock.monotonic()
            return result
        task.add_done_callback(_late)
        raise UnreachableError(
            f"No answer of the NATS server for {STORED_WITHIN_S:g} s: whether it is stored is not known yet.",
            hint="It may still be. Sent again with the same run_key it is stored once; "
            "without one see GET /api/jobs first.",
        )


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
