"""What a leader finds that came into being in another order, or long ago."""

from __future__ import annotations

import asyncio

import pytest

from bus_schemas import streams, subjects
from bus_schemas.events import Refused
from bus_schemas.jobs import priority_class
from qgjob.bus.connect import Bus
from qgjob.bus.topology import create_consumer
from qgjob.scheduler.intake import intake
from tests.support.pipeline import EventRecorder, overview
from tests.support.runs import part_of, planned
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def purge(bus: Bus, stream: str, subject: str) -> None:
    await bus.requests.api(f"STREAM.PURGE.{stream}", {"filter": subject})


async def test_what_waits_for_longer_than_its_runs_marker_is_not_refused_as_incomplete(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a large run with `--at` more than a week ahead, whose last part has run by now."""
    monkeypatch.setattr(intake, "_MARKER_GONE_S", 1.0)
    run = planned(6, runner="noop")
    async with EventRecorder().watching(bus) as witness:
        async with scheduling(nats_server, valkey_server):
            await part_of(bus, run, 0, parts=2)
            await part_of(bus, run, 1, parts=2)
            await wait_for(lambda: len(witness.events) == 6, 20, "all jobs to be queued")
        for spec in run.specs[3:]:
            await purge(
                bus,
                streams.JOBS,
                subjects.job(priority_class(spec.priority), spec.org_id, spec.job_id),
            )
        await purge(bus, streams.JOBS, subjects.run_marker(run.org_id, run.run_id))
        await asyncio.sleep(1.1)  # so old they have to be
        async with scheduling(nats_server, valkey_server, open_run_s=0.1):

            async def wait_on() -> bool:
                assert not any(isinstance(e, Refused) for events in witness.events.values() for e in events)
                seen = await overview(bus)
                return seen is not None and seen.waiting == 3

            await wait_for(wait_on, 10, "the other jobs to wait")


@pytest.mark.parametrize("first", ["fence", "readers"])
async def test_a_leader_key_that_begins_anew_does_not_stop_the_lab(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer, first: str
) -> None:
    """Its stream was lost, or put back from another copy than the work was: epochs go back."""
    if first == "fence":
        await bus.requests.publish(subjects.WORK_FENCE, b'{"v": 1, "epoch": 500000}')
    else:
        await create_consumer(bus, streams.EVENTS, streams.chain_consumer(500_000, 1))
    async with scheduling(nats_server, valkey_server):

        async def reigns() -> bool:
            seen = await overview(bus)
            return seen is not None and seen.leader is not None and seen.leader.epoch > 500_000

        await wait_for(reigns, 20, "a reign")
