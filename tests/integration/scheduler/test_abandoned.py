"""A cancelled job whose agent is gone ends once its lease has ended its processes, and not much later."""

from __future__ import annotations

import pytest

from agent.attempts.claim import claim
from agent.attempts.identity import Identity
from bus_schemas import streams, subjects
from bus_schemas.agents import SlotNext
from bus_schemas.events import Ended, Queued
from bus_schemas.jobs import JobMessage
from bus_schemas.tokens import encode_token
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.client import Client, SubmitRequest
from qgjob.clock import SystemClock
from qgjob.scheduler.attempts import reaper
from tests.support.pipeline import EventRecorder
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.views import heartbeat
from tests.support.wait import wait_for


async def test_a_cancelled_job_of_an_agent_that_is_gone_ends_soon(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaper, "_PATIENCE_S", 3600.0)  # how long others wait of whom less is known
    client = Client(bus, SystemClock())
    async with (
        scheduling(nats_server, valkey_server, ack_wait_s=1.0),
        EventRecorder().watching(bus) as witness,
    ):
        report = SlotNext(agent="a1", slot="s1", state="idle", driver="none")
        request = SubmitRequest(org_id="acme", app_version_id="1", tests=["a.py"])
        (job,) = (await client.submit(request)).jobs
        events = witness.events[job.job_id]

        async def is_released() -> bool:
            await bus.nc.publish(subjects.slot_next("a1", "s1"), report.encode())
            return any(event.kind == "released" for event in events)

        await wait_for(is_released, 20, "the job to be released to the slot")
        (told,) = (event for event in events if isinstance(event, Queued))
        assert await claim(bus, JobMessage(spec=told.spec), Identity("a1", "s1", "d"), "running") is not None
        gone = heartbeat("a1", state="gone")
        await kv.put(bus, streams.AGENTS_BUCKET, encode_token("a1"), gone.encode())
        assert (await client.cancel(job.job_id, reason="enough")).affected == (job.job_id,)
        await wait_for(lambda: witness.ends[job.job_id], 20, "the end")
        (end,) = (event for event in events if isinstance(event, Ended))
        assert (end.state, end.result.message) == ("cancelled", "enough")
