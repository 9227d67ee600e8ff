"""What nobody waits for is published after what somebody does wait for."""

from __future__ import annotations

import asyncio

from bus_schemas import streams, subjects
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import Publisher
from qgjob.bus.topology import ensure_topology, stream_state
from tests.support.servers import NatsServer


async def test_events_wait_for_those_who_go_first_and_then_go_all_at_once(nats_server: NatsServer) -> None:
    async with open_bus(ServerOptions(url=nats_server.url)) as bus:
        await ensure_topology(bus)
        asked, free = asyncio.Event(), asyncio.Event()

        async def after() -> None:
            asked.set()
            await free.wait()

        publisher = Publisher(bus, after=after)
        subject = subjects.event("o", "r_1", "j_1", 1, "info")
        for number in range(3):
            publisher.post(OutMsg(subject, b"%d" % number))
        running = asyncio.create_task(publisher.run())
        try:
            await asked.wait()
            await bus.requests.round_trip()
            assert (await stream_state(bus, streams.EVENTS))["messages"] == 0
            free.set()
            await publisher.flushed()
            assert (await stream_state(bus, streams.EVENTS))["messages"] == 3
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
