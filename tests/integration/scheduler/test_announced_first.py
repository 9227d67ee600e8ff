"""A job leaves the backlog when it was announced: who leads next tells what it is from there, or nobody does."""

from __future__ import annotations

import pytest

from bus_schemas import streams
from qgjob.bus.connect import Bus
from qgjob.bus.topology import list_subjects
from qgjob.client import Client
from qgjob.client.submitting.publish_run import PlannedRun
from qgjob.clock import SystemClock
from qgjob.scheduler import wiring
from tests.support.runs import planned, submit
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def test_a_leader_that_ends_before_it_told_of_a_cancelled_job_leaves_that_to_the_next(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(bus, SystemClock())
    told, untold = planned(1, runner="noop", test="told.py"), planned(1, runner="noop", test="untold.py")

    async def waits(run: PlannedRun) -> bool:
        return bool(await list_subjects(bus, streams.JOBS, f"qg.jobs.*.*.{run.specs[0].job_id}"))

    async def announced() -> bool:
        return bool(await list_subjects(bus, streams.EVENTS, f"qg.events.*.{told.run_id}.>"))

    async def taken_out() -> bool:
        return not await waits(told)

    with monkeypatch.context() as patch:
        patch.setattr(wiring, "GATHER_S", 60.0)
        async with scheduling(nats_server, valkey_server):
            await submit(bus, told)
            await wait_for(announced, 20, "the first job, which is told at once")
            await submit(bus, untold)
            for run in (untold, told):
                answer = await client.cancel(run.run_id)
                assert len(answer.affected) == 1
            await wait_for(taken_out, 20, "the job that was announced to leave the backlog")
            assert await waits(untold)
    async with scheduling(nats_server, valkey_server):

        async def complete() -> bool:
            job = await client.job(untold.specs[0].job_id)
            return (job.test, job.state, job.runner) == ("untold.py", "cancelled", "noop")

        await wait_for(complete, 20, "what the job was")
        answer = await client.retry(untold.run_id)
        assert len(answer.affected) == 1
