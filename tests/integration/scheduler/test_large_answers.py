"""Answers that would be larger than the server takes, and labs of more agents than it tells of at once."""

from __future__ import annotations

import asyncio

from bus_schemas import subjects
from bus_schemas.agents import Heartbeat
from bus_schemas.control import CtlAnswer
from bus_schemas.streams import AGENTS_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from qgjob.bus.requester import NoRespondersError
from qgjob.clock import SystemClock
from qgjob.scheduler.control.requests import Control
from qgjob.scheduler.queries.health_check import read_agents
from qgjob.scheduler.queries.lab_facts import read_clocks
from tests.support.wait import wait_for

MANY = 1100
"""More than the last messages of subjects that the server gives in one answer."""


async def test_who_asked_hears_that_it_is_done_though_the_answer_is_too_large(bus: Bus) -> None:
    async def many(_: bytes) -> CtlAnswer:
        return CtlAnswer(affected=tuple(f"j_{number:026d}" for number in range(1000)))

    ready = asyncio.Event()
    ready.set()
    bus.max_payload = 20_000
    answering = asyncio.create_task(Control(bus, {"cancel": many}, ready).run())

    async def answer() -> CtlAnswer | None:
        try:
            return CtlAnswer.decode((await bus.requests.request(subjects.ctl("cancel"))).data)
        except NoRespondersError:
            return None

    answered = await wait_for(answer)
    answering.cancel()
    assert answered
    assert answered.problem
    assert (answered.problem.code, answered.affected) == ("refused", ())
    assert answered.problem.message.startswith("It is done, ")


async def test_a_lab_may_have_more_than_a_thousand_agents(bus: Bus) -> None:
    beats = [
        Heartbeat(agent=f"a{number:04d}", host="h", pid=1, version="1", started_at=1, at=1)
        for number in range(MANY)
    ]
    await publish_each(
        bus, [OutMsg(kv.key_subject(AGENTS_BUCKET, beat.agent), beat.encode()) for beat in beats], timeout=30
    )
    assert [agent.agent for agent in await read_agents(bus)] == [beat.agent for beat in beats]
    assert len(await read_clocks(bus, SystemClock())) == 1 + MANY
