"""A scheduler within the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from qgjob.bus.connect import ServerOptions
from qgjob.clock import Clock, SystemClock
from qgjob.scheduler.service import SchedulerOptions, run_scheduler
from qgjob.scheduler.wiring import ReignSettings
from tests.support.servers import NatsServer, ValkeyServer


@contextlib.asynccontextmanager
async def scheduling(
    nats: NatsServer, valkey: ValkeyServer, *, clock: Clock | None = None, **settings: Any
) -> AsyncGenerator[None]:
    """One that stands for election, with these settings of its reigns, for the time of a block."""
    stop, ready = asyncio.Event(), asyncio.Event()
    options = SchedulerOptions(
        ServerOptions(url=nats.url), valkey.url, "one", reign=ReignSettings(**settings)
    )
    task = asyncio.create_task(run_scheduler(options, clock or SystemClock(), stop=stop, ready=ready))
    await ready.wait()
    try:
        yield
    finally:
        stop.set()
        await task
