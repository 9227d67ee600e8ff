"""A slot's next job is asked for before the present one's end is recorded; what came too early goes back."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from agent.ahead import Ahead
from bus_schemas import streams, subjects
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import publish_each
from qgjob.bus.pull import Puller
from qgjob.bus.topology import create_consumer, ensure_topology
from tests.support.pipeline import planned
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

pytestmark = pytest.mark.integration

ACK_WAIT_S = 30.0


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncGenerator[Bus]:
    async with open_bus(ServerOptions(url=nats_server.url)) as bus:
        await ensure_topology(bus)
        yield bus


@pytest.mark.parametrize(
    ("waited_s", "kept", "naked"),
    [(1.0, True, False), (10.0, False, True), (31.0, False, False)],
    ids=["fresh", "late", "perhaps another slot's"],
)
async def test_what_came_ahead(bus: Bus, waited_s: float, *, kept: bool, naked: bool) -> None:
    spec = planned(1, runner="noop").specs[0]
    config = streams.group_consumer("any", spec.org_id, spec.app_version_id, ACK_WAIT_S)
    await create_consumer(bus, streams.WORK, config)
    async with (
        Puller(bus, streams.WORK, config["name"]) as puller,
        Puller(bus, streams.WORK, config["name"]) as other,
    ):
        ahead = Ahead(bus)
        await ahead.ask(puller, 100.0)
        assert ahead.asked
        work = subjects.work("any", spec.org_id, spec.app_version_id, spec.job_id)
        await publish_each(bus, [OutMsg(work, JobMessage(spec=spec).encode())])
        await wait_for(lambda: puller.ready, 10, "the next job to come")
        await other.ask()
        await ahead.heed(puller, ACK_WAIT_S, 100.0 + waited_s)
        assert not ahead.asked
        assert puller.ready is kept
        if naked:
            await wait_for(lambda: other.ready, 10, "the job to be another's")
        else:
            await bus.requests.round_trip()
            assert not other.ready
