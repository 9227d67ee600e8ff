"""A projector at work, some events for it, and how far it has come."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from bus_schemas.events import AnyEvent
from qgjob.bus.connect import Bus
from qgjob.scheduler.projection.projector import Projector
from qgjob.store.connect import Store
from qgjob.store.reader import Reader
from tests.support.histories import Ids, lifetime
from tests.support.wait import wait_for


@contextlib.asynccontextmanager
async def running(bus: Bus, store: Store, *, look_every_s: float = 0.1) -> AsyncGenerator[Projector]:
    projector = Projector(bus, store, look_every_s=look_every_s)
    task = asyncio.create_task(projector.run())
    try:
        yield projector
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def lives(first: int, count: int) -> list[AnyEvent]:
    return [
        event
        for n in range(first, first + count)
        for event in lifetime(Ids(run_id=f"r_{n // 10}", job_id=f"j_{n}"), position=n % 10, size=10)
    ]


async def wait_until_projected(store: Store, seq: int) -> None:
    reader = Reader(store)

    async def there() -> bool:
        with contextlib.suppress(Exception):  # the store may be away
            position = await reader.position()
            return position is not None and position.seq >= seq
        return False

    await wait_for(there, 20, f"the projection at {seq}")
