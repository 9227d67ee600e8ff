"""What is asked of the server and not answered, or refused: it is said in time, or asked again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from bus_schemas import streams, subjects
from qgjob.bus.connect import Bus
from qgjob.bus.pull import Puller
from qgjob.bus.requester import RequestTimeoutError
from qgjob.bus.topology import create_consumer

if TYPE_CHECKING:
    from nats.aio.msg import Msg


async def test_each_request_has_its_time_also_after_a_rest(bus: Bus) -> None:
    async def silent(_: Msg) -> None:
        pass

    await bus.nc.subscribe("nobody.says", cb=silent)
    await bus.requests.round_trip()
    for _ in range(2):  # with the first its timer ends: nobody waits for anything then
        with pytest.raises(RequestTimeoutError, match=r"nobody\.says"):
            await asyncio.wait_for(bus.requests.request("nobody.says", timeout=0.05), 10)


async def test_a_pull_that_is_refused_is_made_again_soon(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after an election: not only when it is looked whether the server is silent, which here is never."""
    monkeypatch.setattr("qgjob.bus.pull._LOOK_S", 3600.0)
    monkeypatch.setattr("qgjob.bus.pull.SILENCE_S", 3600.0)
    config = {"name": "one", "durable_name": "one", "ack_policy": "explicit", "max_batch": 1}
    await create_consumer(bus, streams.DEAD, config)
    async with Puller(bus, streams.DEAD, "one", ahead=2) as puller:  # asks for more than is given
        await bus.nc.publish(subjects.dead("QG_JOBS"), b"1")
        await bus.requests.round_trip()
        assert not puller.ready
        await create_consumer(bus, streams.DEAD, {**config, "max_batch": 2})
        await asyncio.wait_for(puller.next(), 20)
