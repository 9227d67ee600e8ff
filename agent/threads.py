"""Runs blocking work in a thread; a caller that is cancelled still waits for its end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def finished(work: Callable[[], T], *, on_cancel: Callable[[], None] | None = None) -> T:
    """Carry it out in a thread; returns and raises what it does. A cancelled caller waits for its end, too.

    `on_cancel` is called before that, to make it end soon.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((working,))
        working.exception()  # retrieve the exception, so that asyncio does not log it
        raise
