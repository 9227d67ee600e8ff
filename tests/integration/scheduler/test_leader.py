"""The leader's key is kept while the server is slow, and lost when it is away for too long."""

from __future__ import annotations

import asyncio

import pytest

from bus_schemas.streams import LEADER_BUCKET, LEADER_TTL_S
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.clock import SystemClock
from qgjob.scheduler.leader import KEY, DeposedError, Election
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]


async def renewals(bus: Bus, more: int) -> None:
    """Wait until the key was written so often again."""
    before = await kv.get(bus, LEADER_BUCKET, KEY)

    async def written() -> bool:
        now = await kv.get(bus, LEADER_BUCKET, KEY)
        return before is not None and now is not None and now.seq >= before.seq + more

    await wait_for(written, 10, "the key being renewed")


async def test_an_answer_that_comes_late_costs_no_reign(bus: Bus, nats_server: NatsServer) -> None:
    election = Election(bus, SystemClock(), "a")
    await election.acquire()
    keeping = asyncio.create_task(election.keep())
    await renewals(bus, 1)
    for _ in range(3):
        await asyncio.sleep(0.4)  # just before the next renewal is sent
        nats_server.pause()
        await asyncio.sleep(
            LEADER_TTL_S * 0.4
        )  # the lateness itself: longer than a renewal, shorter than a reign
        nats_server.resume()
        await renewals(bus, 2)
        assert not keeping.done(), keeping
    keeping.cancel()
    await asyncio.wait([keeping])


async def test_a_server_that_is_silent_for_as_long_as_the_key_lives_ends_the_reign(
    bus: Bus, nats_server: NatsServer
) -> None:
    election = Election(bus, SystemClock(), "a")
    await election.acquire()
    keeping = asyncio.create_task(election.keep())
    await renewals(bus, 1)
    nats_server.pause()
    try:
        with pytest.raises(DeposedError):
            await asyncio.wait_for(keeping, 10)
    finally:
        nats_server.resume()
