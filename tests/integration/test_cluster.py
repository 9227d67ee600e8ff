"""A cluster of NATS servers, one of which is killed while jobs run: nothing is lost, each job has one result."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.runners import PLUGINS
from bus_schemas import streams
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology, stream_state
from tests.support.cluster import SIZE, NatsCluster, clustered
from tests.support.pipeline import EventRecorder, counts_reached, idle_slots
from tests.support.runs import planned, submit
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

JOBS = 60


async def test_streams_lose_the_servers_that_lead_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QGJOB_RUNNER_PLUGINS", PLUGINS)
    async with clustered(tmp_path) as (cluster, bus), EventRecorder().watching(bus) as witness:
        await idle_slots(bus, 4, 60)
        for number, stream in enumerate((streams.WORK, streams.EVENTS)):
            info = await bus.requests.api(f"STREAM.INFO.{stream}")
            assert info["config"]["num_replicas"] == SIZE
            before = number * JOBS
            run = planned(JOBS, runner="sleep", argv=("0.1",))
            await submit(bus, run)
            await wait_for(lambda before=before: len(witness.ends) >= before + JOBS // 6, 60, "some ends")
            victim = await cluster.leads(bus, stream)
            victim.kill()
            await counts_reached(bus, run.run_id, {"passed": JOBS}, 90)
            await victim.start()
            await cluster.healed(bus)
        await wait_for(lambda: len(witness.ends) >= 2 * JOBS, 30, "every end in the stream")
        assert set(witness.ends.values()) == {1}, "a job ended twice"


async def test_streams_that_an_agent_made_before_the_first_scheduler_are_kept_as_often_as_that_says(
    tmp_path: Path,
) -> None:
    cluster = NatsCluster(tmp_path)
    try:
        await cluster.start()
        async with open_bus(ServerOptions(url=cluster.url)) as bus:

            async def copies() -> set[int]:
                names = (await bus.requests.api("STREAM.NAMES"))["streams"]
                infos = [await bus.requests.api(f"STREAM.INFO.{name}") for name in names]
                return {info["config"]["num_replicas"] for info in infos}

            await ensure_topology(bus)
            assert await copies() == {1}
            await bus.requests.publish("qg.jobs.high.acme.j_1", b"waits")

            async def kept_on_all() -> bool:
                # As each reign does: a server that does not know its peers yet refuses.
                await ensure_topology(bus, replicas=SIZE)
                return await copies() == {SIZE}

            await wait_for(kept_on_all, 60, "copies on all servers")
            await cluster.healed(bus)
            assert await copies() == {SIZE}
            await ensure_topology(bus)
            assert await copies() == {SIZE}, "the next agent takes none away"
            assert (await stream_state(bus, streams.JOBS))["messages"] == 1
    finally:
        cluster.stop()


async def test_a_server_without_others_keeps_its_streams_once_and_says_so(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_bus(ServerOptions(url=nats_server.url)) as bus:
        await ensure_topology(bus)
        await ensure_topology(bus, replicas=SIZE)
    assert f"{streams.JOBS} is kept 1 times, not 3" in caplog.text
