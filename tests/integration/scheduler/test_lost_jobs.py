"""Jobs whose messages vanished while no leader was there end as lost, and are tried again."""

from __future__ import annotations

import pytest

from bus_schemas import streams, subjects
from bus_schemas.events import Started, about
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import CHAIN_TTL, chain_subject
from qgjob.bus.connect import Bus
from qgjob.bus.publish import expect
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.scheduler.attempts import lost_jobs
from tests.support.pipeline import EventRecorder, overview
from tests.support.runs import planned, submit
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def waiting(bus: Bus, count: int) -> None:
    async def so() -> bool:
        seen = await overview(bus)
        return seen is not None and seen.waiting == count

    await wait_for(so, 30, f"{count} waiting jobs")


async def test_what_was_purged_while_nobody_reigned_waits_again(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_jobs, "_EVERY_S", 0.3)
    monkeypatch.setattr(lost_jobs, "_SURE_S", 0.0)
    client = Client(bus, SystemClock())
    run = planned(3, runner="noop")
    async with EventRecorder().watching(bus) as witness:
        async with scheduling(nats_server, valkey_server):
            await submit(bus, run)
            await wait_for(lambda: len(witness.events) == 3, 20, "three jobs that are told of")
        begun = JobMessage(spec=run.specs[0])
        started = Started(
            **about(begun.spec, 1, run.created_at), nonce="n", agent="gone", slot="s0", app_version_id="v1"
        )
        await bus.requests.publish(chain_subject(begun), started.encode(), headers={**expect(0), **CHAIN_TTL})
        await bus.requests.api(f"STREAM.PURGE.{streams.JOBS}", {"filter": subjects.jobs_of("medium")})
        async with scheduling(nats_server, valkey_server):
            await waiting(bus, 3)
            job = await client.job(begun.spec.job_id)
            assert [(a.outcome, a.reason) for a in job.attempts[:1]] == [("errored", "lost")]
            assert (await client.cancel(run.run_id)).affected
            await wait_for(lambda: set(witness.ends.values()) == {1}, 20, "an end of each")
