"""Wait for an event, but not for ever."""

from __future__ import annotations

import asyncio
import contextlib


async def set_within(event: asyncio.Event, seconds: float | None) -> bool:
    """Wait for an event, at most so long (None: for ever); says whether it is set.

    Not `asyncio.wait_for`: that of Python 3.11 forgets a cancel that comes together with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
