"""Schedules on a whole system: each time one run, also over a kill of the leader."""

from __future__ import annotations

import datetime as dt
import os
import signal
import time
import zoneinfo
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nats.aio.msg import Msg

from bus_schemas import streams
from bus_schemas.crons import CronView
from qgjob.bus.direct import read_page
from qgjob.bus.requester import RequestTimeoutError
from qgjob.client.models import SubmitRequest
from qgjob.client.submitting.crons import expression_of
from qgjob.domain.cron import next_due
from qgjob.errors import NotFoundError, UsageError
from tests.support.lab_system import Lab, lab
from tests.support.wait import wait_for

NIGHTLY = SubmitRequest(
    org_id="bench",
    app_version_id="v1",
    tests=("a.py", "b.py"),
    runner="noop",
    name="nightly",
    run_key="night",
)


async def test_a_schedule_submits_one_run_each_time_over_a_kill(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, witness):
        schedule, replaced = await client.add_schedule(NIGHTLY, "* * * * * *", by="ann")
        assert (schedule.tests, schedule.expression, replaced) == (2, "* * * * * *", False)
        await wait_for(lambda: len(witness.ends) >= 2, 30, "a first run")
        os.kill(running.pids()["scheduler"], signal.SIGKILL)
        before = len(witness.ends)
        await wait_for(lambda: len(witness.ends) >= before + 6, 60, "runs after the kill")
        (listed,) = await client.schedules(org_id="bench")
        assert listed.last_run_id is not None
        assert listed.last_at is not None
        assert listed.next_at is not None
        assert listed.next_at > listed.last_at
        assert await client.schedules(org_id="other") == []
        assert (await client.delete_schedule(schedule.schedule_id)).schedule_id == schedule.schedule_id
        assert await client.schedules() == []
        with pytest.raises(NotFoundError):
            await client.delete_schedule(schedule.schedule_id)
        due = len((await read_page(bus, streams.CRON, "qg.cron.due.*.*")).messages)
        await wait_for(lambda: len(witness.ends) == 2 * due, 30, "one run of two jobs each time")
        assert set(witness.ends.values()) == {1}
        run = await client.run(next(iter(witness.events.values()))[0].run_id)
        assert (run.name, run.state, run.size) == ("nightly", "passed", 2)


async def test_when_it_is_due_next_is_shown_from_the_beginning_as_the_server_reckons(shared_lab: Lab) -> None:
    _, _bus, client, _witness = shared_lab
    wanted: dict[str, tuple[str, str | None]] = {}
    at = int(time.time()) + 8
    for zone in (None, "Europe/Berlin", "America/St_Johns"):
        soon = dt.datetime.fromtimestamp(at, zoneinfo.ZoneInfo(zone or "UTC"))
        daily = f"{soon.second} {soon.minute} {soon.hour} * * *"
        request = replace(NIGHTLY, run_key=zone or "none")
        made, replaced = await client.add_schedule(request, daily, zone)
        assert (made.next_at, replaced) == (at, False)
        wanted[made.schedule_id] = (daily, zone)
    listed = await client.schedules()
    assert {view.schedule_id: (view.last_at, view.next_at) for view in listed} == dict.fromkeys(
        wanted, (None, at)
    )

    async def repeated() -> list[CronView]:
        views = await client.schedules()
        assert all(view.last_at is not None for view in views), views
        return views

    for later in await wait_for(repeated, 30, "the first run of each"):
        assert later.next_at is not None
        assert later.next_at == next_due(*wanted[later.schedule_id], 0.0, at), "what the server says"
        assert later.next_at - at > 22 * 3600


async def test_a_schedule_of_the_same_key_replaces_it_and_what_the_server_refuses_is_said(
    shared_lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _bus, client, _witness = shared_lab
    request, asked = client.bus.requests.request, list[str]()

    async def late_at_first(subject: str, payload: bytes = b"", **more: Any) -> Msg:
        answer = await request(subject, payload, **more)
        asked.append(subject)
        if asked.count(subject) == 1 and ".cron_add." in subject:
            raise RequestTimeoutError("As on a machine with much to do.")
        return answer

    monkeypatch.setattr(client.bus.requests, "request", late_at_first)
    first, replaced = await client.add_schedule(NIGHTLY, "30 5 * * 1-5", "Europe/Berlin")
    assert len([subject for subject in asked if ".cron_add." in subject]) == 2
    assert (first.expression, first.zone, replaced) == ("0 30 5 * * 1-5", "Europe/Berlin", False)
    second, replaced = await client.add_schedule(NIGHTLY, "@hourly")
    assert (second.schedule_id, replaced) == (first.schedule_id, True)
    assert [s.expression for s in await client.schedules()] == ["@hourly"]
    for wrong in ("bad", "61 * * * *", "0 0 31 2 *", "@every", "* * * * * * *"):
        with pytest.raises(UsageError, match="takes no schedule"):
            await client.add_schedule(NIGHTLY, wrong)
    with pytest.raises(UsageError, match="no time zone 'Mars/Base'"):
        await client.add_schedule(NIGHTLY, "@hourly", "Mars/Base")
    with pytest.raises(UsageError, match="not with @every"):
        await client.add_schedule(NIGHTLY, "@every 5m", "Europe/Berlin")


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("30 5 * * 1-5", "0 30 5 * * 1-5"),
        ("  0  30 5 * * mon ", "0 30 5 * * mon"),
        ("@hourly", "@hourly"),
        ("@every 2h", "@every 2h"),
    ],
)
def test_five_fields_begin_with_the_minute(given: str, taken: str) -> None:
    assert expression_of(given) == taken
