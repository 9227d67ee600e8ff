"""What a job says is stored once, whatever becomes of the answers."""

from __future__ import annotations

import asyncio

import pytest

from agent.output import logs
from agent.output.logs import LogShipper
from bus_schemas.jobs import JobMessage
from bus_schemas.logs import LogChunk
from bus_schemas.streams import LOGS
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.direct import read_page
from tests.support.proxy import Proxy
from tests.support.runs import planned
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


async def test_a_chunk_whose_answer_was_lost_is_not_stored_twice(
    bus: Bus, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_ANSWER_S", 0.2)
    message = JobMessage(spec=planned(1, runner="noop").specs[0])
    async with Proxy(nats_server.port) as proxy, open_bus(ServerOptions(url=proxy.url)) as far:
        shipper = LogShipper(far, message)
        proxy.deaf = True
        shipper.write("stdout", b"once\n")
        await wait_for(lambda: proxy.swallowed, 10, "the answer to be lost")
        closing = asyncio.create_task(shipper.close(always=True))
        swallowed = proxy.swallowed
        await wait_for(lambda: proxy.swallowed > swallowed, 10, "it to be tried again")
        proxy.deaf = False
        await asyncio.wait_for(closing, 20)
        page = await read_page(bus, LOGS, "qg.logs.>")
        chunks = [LogChunk.decode(stored.data) for stored in page.messages]
    assert "".join(text for chunk in chunks for _, text in chunk.parts) == "once\n"
    assert [chunk.eof for chunk in chunks] == [False, True]
