"""A schedule that the server cannot store now is no refused one."""

from __future__ import annotations

import contextlib
import itertools
from pathlib import Path

import pytest

from bus_schemas import streams, subjects
from bus_schemas.crons import CronPlan
from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.bus.requester import JsError
from qgjob.clock import SystemClock
from qgjob.errors import UnreachableError
from qgjob.scheduler.intake.crons import Crons
from tests.support.runs import planned
from tests.support.servers import NatsServer


async def test_a_full_disk_is_no_fault_of_the_schedule(tmp_path: Path):
    settings = tmp_path / "nats.conf"
    settings.write_text("jetstream { max_file_store: 1MB }\n")
    server = NatsServer(tmp_path / "nats", config=settings)
    await server.start()
    try:
        async with open_bus(ServerOptions(server.url)) as bus:
            for config in streams.streams():
                if config["name"] in {streams.CRON, streams.JOBS}:
                    await bus.requests.api(f"STREAM.CREATE.{config['name']}", config)
            with contextlib.suppress(JsError):
                for number in itertools.count():
                    await bus.requests.publish(subjects.job("high", "acme", f"j{number}"), bytes(500_000))
            jobs = tuple(planned(1, runner="noop").specs)
            plan = CronPlan(
                schedule_id="c_1",
                org_id=jobs[0].org_id,
                expression="@daily",
                by="ann",
                created_at=1.0,
                jobs=jobs,
            )
            with pytest.raises(UnreachableError, match="not store the schedule: insufficient resources"):
                await Crons(bus, SystemClock()).add(plan.encode())
    finally:
        server.kill()
