"""The dashboard's feed, filling a store from a server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from qgjob.bus.connect import ServerOptions
from qgjob.clock import SystemClock
from tui.feed.feed import Feed
from tui.store.store import Store


@contextlib.asynccontextmanager
async def feeding(url: str) -> AsyncGenerator[tuple[Feed, Store]]:
    """A feed from that server while the block runs, and the store that it fills."""
    store = Store(SystemClock(), server=url)
    feed = Feed(ServerOptions(url=url), store)
    task = asyncio.create_task(feed.run())
    try:
        yield feed, store
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def word(store: Store) -> str:
    """What the dashboard says of its connection."""
    return store.link.status(store.clock.monotonic()).word
