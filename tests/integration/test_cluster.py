"""A cluster of NATS servers, one of which is killed while jobs run: nothing is lost, each job has one result."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.runners import PLUGINS
from bench.system import planned, submit
from bus_schemas import streams
from tests.support.cluster import SIZE, clustered
from tests.support.pipeline import Witness, counted, idle_slots
from tests.support.wait import wait_for

JOBS = 60
pytestmark = [pytest.mark.integration, pytest.mark.timeout(150)]


async def test_streams_lose_the_servers_that_lead_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QGJOB_RUNNER_PLUGINS", PLUGINS)
    async with clustered(tmp_path) as (cluster, bus), Witness().watching(bus) as witness:
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
            await counted(bus, run.run_id, {"passed": JOBS}, 90)
            await victim.start()
            await cluster.healed(bus)
        await wait_for(lambda: len(witness.ends) >= 2 * JOBS, 30, "every end in the stream")
        assert set(witness.ends.values()) == {1}, "a job ended twice"
