"""The live stream of events."""

from __future__ import annotations

import asyncio

import pytest

from qgjob.client import Client, Resync
from tests.support.fake_scheduler import FakeScheduler
from tests.support.servers import NatsServer
from tests.support.views import make_run, started
from tests.support.wait import wait_for


async def test_live_events_tell_of_reconnects(
    client: Client, scheduler: FakeScheduler, nats_server: NatsServer
):
    (job,) = make_run(1)
    async with client.live_events(run_id=job.run_id) as live:
        await scheduler.publish_event(started(job))
        first = await asyncio.wait_for(anext(live), 20)
        assert not isinstance(first, Resync)
        assert first.event == started(job)
        await nats_server.restart()
        assert await asyncio.wait_for(anext(live), 10) == Resync("reconnected")


async def test_a_reader_that_is_too_slow_is_told_to_take_a_new_snapshot(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("qgjob.client.watching.live.MAX_WAITING", 3)
    (job,) = make_run(1)
    async with client.live_events(job_id=job.job_id) as live:
        for number in range(1, 6):
            await scheduler.publish_event(started(job, number))
        await wait_for(lambda: len(live._items) == 3)  # pyright: ignore[reportPrivateUsage]
        items = live.take()
    assert items[0] == Resync("overrun")
    assert not isinstance(items[-1], Resync)
    assert items[-1].event.attempt == 5


async def test_hostile_messages_are_left_out(client: Client, scheduler: FakeScheduler):
    (job,) = make_run(1)
    async with client.live_events(job_id=job.job_id) as live:
        for text in (b"", b"{", b'{"kind": "started"}', b"\xff\x00"):
            await scheduler.bus.nc.publish(f"qg.live.events.o.r.{job.job_id}.1.info", text)
        await scheduler.publish_event(started(job))
        item = await asyncio.wait_for(anext(live), 20)
    assert not isinstance(item, Resync)
    assert live.unreadable == 4
