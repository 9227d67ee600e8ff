"""Runs blocking work in a thread; a caller that is cancelled still waits for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def finished(work: Callable[[], None], *, on_cancel: Callable[[], None] | None = None) -> None:
    """Carry it out in a thread; raises what it raises. A cancel waits for its end, too.

    `on_cancel` is called before that, to make it end soon.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        if on_cancel is not None:
            on_cancel()
        await asyncio.wait((working,))
        working.exception()
        raise
