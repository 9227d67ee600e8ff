"""A job whose end a new leader reads before the job itself does not wait for ever."""

from __future__ import annotations

from bus_schemas import streams
from bus_schemas.events import Queued
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import end_unclaimed
from qgjob.bus.connect import Bus
from qgjob.bus.topology import stream_state
from qgjob.client import Client, SubmitRequest
from qgjob.clock import SystemClock
from tests.support.pipeline import EventRecorder, overview
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

JOBS = 800


async def stored(bus: Bus) -> int:
    return int((await stream_state(bus, streams.JOBS))["messages"])


async def test_a_job_that_a_former_reign_ended_and_did_not_take_out_does_not_wait(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer
) -> None:
    async with EventRecorder().watching(bus) as witness:
        async with scheduling(nats_server, valkey_server):
            request = SubmitRequest(org_id="acme", app_version_id="1", tests=["a.py"], repeat=JOBS)
            submitted = await Client(bus, SystemClock()).submit(request)
            last = submitted.jobs[-1].job_id
            await wait_for(lambda: last in witness.events, 60, "all jobs to be queued")
        (told,) = (event for event in witness.events[last] if isinstance(event, Queued))
        message = JobMessage(spec=told.spec)
        before = await stored(bus)
        assert await end_unclaimed(bus, message, "cancelled", "cancelled", "enough", now=told.at) is None
        async with scheduling(nats_server, valkey_server):

            async def one_less() -> bool:
                seen = await overview(bus)
                return seen is not None and seen.waiting == JOBS - 1 and await stored(bus) == before - 1

            await wait_for(one_less, 60, "one job less, in the backlog and in its stream")
