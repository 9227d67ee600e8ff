"""Renews the lease on a message while its job runs, and notices when it is lost.

An in-progress ack is sent as a request, every third of the ack wait. After two thirds without an answer the
lease counts as lost: the server may redeliver the message at any moment now.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

from nats.errors import Error as NatsError

from bus_schemas.streams import lease_of
from qgjob.bus.connect import Bus
from qgjob.bus.pull import ACK, IN_PROGRESS
from qgjob.errors import QgjobError


@contextlib.asynccontextmanager
async def kept_lease(
    bus: Bus,
    ack: str,
    ack_wait_s: float,
    *,
    since: float,
    on_renewed: Callable[[float], None],
    on_lost: Callable[[], None],
) -> AsyncGenerator[None]:
    """Renew the lease of a message for the time of a block.

    `since`: when the message came, by the event loop's clock; a claim may have taken long.
    `on_renewed` is told for how many seconds the job may go on from now; `on_lost` is called once.
    """
    tasks: list[asyncio.Task[None]] = []

    def begin() -> None:
        keeping = _keep(bus, ack, ack_wait_s, since, on_renewed, on_lost)
        tasks.append(asyncio.create_task(keeping, name="lease"))

    # Most tests end before the first renewal: they need no task.
    timer = asyncio.get_running_loop().call_at(since + ack_wait_s / 3, begin)
    try:
        yield
    finally:
        timer.cancel()
        for task in tasks:
            task.cancel()


async def _keep(
    bus: Bus,
    ack: str,
    ack_wait_s: float,
    since: float,
    on_renewed: Callable[[float], None],
    on_lost: Callable[[], None],
) -> None:
    loop = asyncio.get_running_loop()
    renewed = since
    interval = pause = ack_wait_s / 3
    while True:
        asked = loop.time()
        left = renewed + lease_of(ack_wait_s) - asked
        try:
            if left > 0:
                await bus.requests.request(ack, IN_PROGRESS, timeout=min(interval, left))
                renewed, pause = asked, interval
                on_renewed(renewed + lease_of(ack_wait_s) - loop.time())
        except QgjobError:
            pause = min(0.5, interval)  # no answer: retry while the lease lasts
        if loop.time() - renewed >= lease_of(ack_wait_s):
            on_lost()
            return
        await asyncio.sleep(pause)


async def acknowledge(bus: Bus, ack: str) -> None:
    """Acknowledge work whose end is recorded; nobody waits for an answer.

    Should it be lost, with a connection or a crash of the server, that does no harm: the work is given again,
    and whoever gets it reads the recorded end.
    """
    with contextlib.suppress(NatsError):  # the connection is closed
        await bus.nc.publish(ack, ACK)
