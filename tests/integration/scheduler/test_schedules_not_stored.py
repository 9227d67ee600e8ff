"""Schedules and a server that is full or was down."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from pathlib import Path

import pytest

from bus_schemas import streams, subjects
from bus_schemas.crons import CronPlan
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.requester import JsError
from qgjob.bus.topology import list_subjects
from qgjob.clock import SystemClock
from qgjob.errors import UnreachableError
from qgjob.scheduler.intake import crons
from qgjob.scheduler.intake.crons import Crons
from tests.support.runs import planned
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


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


async def test_what_was_due_while_the_server_was_down_is_submitted_late_and_once(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(crons, "CATCH_UP_AFTER_S", 0.1)
    schedules = Crons(bus, SystemClock())
    jobs = tuple(planned(1, runner="noop").specs)
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    for name, expression in (("c_missed", f"{soon.second} {soon.minute} * * * *"), ("c_yearly", "@yearly")):
        plan = CronPlan(
            schedule_id=name,
            org_id=jobs[0].org_id,
            expression=expression,
            by="ann",
            created_at=jobs[0].created_at,
            jobs=jobs,
        )
        # Without the headers that tell the server, which is as good as down.
        await bus.requests.publish(subjects.cron_plan(plan.org_id, name), plan.encode())

    async def due() -> dict[str, int]:
        await schedules.catch_up()
        return await list_subjects(bus, streams.CRON, subjects.CRON_DUE)

    expected = {subjects.cron_due(jobs[0].org_id, "c_missed"): 1}
    assert await wait_for(due, 20, "what was missed") == expected
    assert await due() == expected
