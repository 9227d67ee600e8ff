"""Jobs that a newer release stored are kept for a scheduler that can read them."""

from __future__ import annotations

import json

import pytest

from bus_schemas import streams, subjects
from bus_schemas.base import SCHEMA_VERSION
from bus_schemas.jobs import JobMessage, capability_of
from qgjob.bus.connect import Bus
from qgjob.bus.topology import list_subjects
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.errors import NotFoundError
from tests.support.pipeline import EventRecorder
from tests.support.runs import planned, submit
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def test_they_stay_where_they_are(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer
) -> None:
    """As when an older replica takes over in the middle of an upgrade."""
    (waits,) = planned(1, runner="noop").specs
    (runs,) = planned(1, runner="noop").specs
    backlog = subjects.job("medium", waits.org_id, waits.job_id)
    work = subjects.work(capability_of(runs.requires), runs.org_id, runs.app_version_id, runs.job_id)
    for subject, spec in ((backlog, waits), (work, runs)):
        newer = {**json.loads(JobMessage(spec=spec).encode()), "v": SCHEMA_VERSION + 1}
        await bus.requests.publish(subject, json.dumps(newer).encode())
    async with EventRecorder().watching(bus) as witness, scheduling(nats_server, valkey_server):
        known = planned(1, runner="noop")
        await submit(bus, known)
        await wait_for(lambda: known.specs[0].job_id in witness.events, 20, "a job behind it to be queued")
        assert backlog in await list_subjects(bus, streams.JOBS, subjects.JOBS_ALL)
        client = Client(bus, SystemClock())
        assert "until the scheduler is upgraded" in (await client.explain(waits.job_id)).summary
        with pytest.raises(NotFoundError):
            await client.explain(planned(1, runner="noop").specs[0].job_id)
        assert work in await list_subjects(bus, streams.WORK, subjects.WORK_ALL)
    assert await list_subjects(bus, streams.DEAD, subjects.DEAD_ALL) == {}
