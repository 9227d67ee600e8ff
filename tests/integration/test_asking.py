"""What is asked of the server and not answered, or refused: it is said in time, or asked again."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest

from bus_schemas import streams, subjects
from qgjob.bus import topology
from qgjob.bus.connect import Bus
from qgjob.bus.pull import Puller
from qgjob.bus.requester import JsError, RequestTimeoutError
from qgjob.bus.topology import ask, create_consumer, create_own_consumer
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

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


async def test_a_consumer_that_a_single_server_makes_slowly_is_not_made_anew(
    bus: Bus, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "ASK_EVERY_S", 0.1)
    asked_again: list[str] = []

    async def noted(bus: Bus, call: str, *more: Any, **named: Any) -> dict[str, Any]:
        asked_again.append(call)
        return await ask(bus, call, *more, **named)

    monkeypatch.setattr(topology, "ask", noted)
    nats_server.pause()
    making = asyncio.create_task(create_own_consumer(bus, streams.JOBS, streams.intake_consumer(1, 1)))
    await wait_for(lambda: asked_again, 20, "another question")
    nats_server.resume()
    assert (await making)["name"] == "intake_1_1"
    assert not [call for call in asked_again if "DELETE" in call]


async def test_of_a_question_that_was_asked_again_every_answer_is_read(
    bus: Bus, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topology, "_LOOK_S", 0.05)
    asked, api = 0, bus.requests.api
    unread: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unread.append(context))

    async def counted(*question: Any, **more: Any) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return await api(*question, **more)

    monkeypatch.setattr(bus.requests, "api", counted)
    nats_server.pause()
    asking = asyncio.create_task(ask(bus, f"CONSUMER.INFO.{streams.JOBS}.nobody"))
    await wait_for(lambda: asked >= 4, 20, "four questions")
    nats_server.resume()
    await asyncio.wait([asking])
    assert isinstance(asking.exception(), JsError)
    del asking
    gc.collect()
    assert not unread
