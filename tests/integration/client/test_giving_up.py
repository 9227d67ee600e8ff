"""Waits that end before their jobs do, and jobs that no slot could run."""

from __future__ import annotations

import asyncio

import pytest

from qgjob.client import Client, Submitted, WaitOptions
from qgjob.client.ids import new_ids
from qgjob.client.requests import slots
from qgjob.client.watching import wait
from qgjob.errors import ExitCode
from tests.support.fake_scheduler import FakeScheduler
from tests.support.servers import NatsServer
from tests.support.views import NOW, ended, heartbeat, make_run, started, view
from tests.support.wait import wait_for


async def test_time_runs_out_and_the_jobs_go_on(client: Client, scheduler: FakeScheduler):
    (job,) = make_run(1)
    scheduler.add_job(job)
    waited = await client.wait(job.run_id, WaitOptions(timeout_s=0.2))
    assert waited.timed_out
    assert waited.verdict == ExitCode.WAIT_TIMEOUT
    assert scheduler.cancelled == []


async def test_a_job_that_no_slot_could_run_is_cancelled(client: Client, scheduler: FakeScheduler):
    here = scheduler.add_job(make_run(1, requires=("device",))[0], run_size=2)
    there = view(
        **{**here.model_dump(), "job_id": new_ids("job", 1, NOW)[0], "requires": ("ios-17",), "position": 1}
    )
    scheduler.add_job(there, run_size=2)
    waiting = asyncio.create_task(client.wait(here.run_id, WaitOptions(no_slot_grace_s=0.3)))
    await wait_for(lambda: scheduler.cancelled)
    await scheduler.publish_event(
        ended(there, "cancelled", message="no slot could run it: no slot has ios-17")
    )
    await scheduler.publish_event(ended(here, "passed"))
    waited = await asyncio.wait_for(waiting, 10)
    assert scheduler.cancelled == [there.job_id]
    assert waited.no_slot == {there.job_id: "no slot has ios-17"}
    assert waited.verdict == ExitCode.NO_SLOT


async def test_a_job_whose_slot_is_gone_for_good_is_cancelled(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wait, "LOST_AFTER_S", 0.5)
    monkeypatch.setattr(slots, "HEARD_FOR_S", 0.1)
    here = scheduler.add_job(make_run(1, requires=("device",))[0], run_size=2)
    lost = view(
        **{**here.model_dump(), "job_id": new_ids("job", 1, NOW)[0], "requires": ("ios-17",), "position": 1}
    )
    scheduler.add_job(lost, run_size=2)
    scheduler.agents = [heartbeat("phones", ("device",)), heartbeat("mac", ("ios-17",))]
    for job in (here, lost):
        await scheduler.publish_event(started(job))
    waiting = asyncio.create_task(client.wait(here.run_id, WaitOptions(no_slot_grace_s=0.1)))
    await wait_for(lambda: "agents" in scheduler.asked)
    scheduler.agents.pop()
    await wait_for(lambda: scheduler.cancelled)
    await scheduler.publish_event(
        ended(lost, "cancelled", message="no slot could run it: no slot has ios-17")
    )
    await scheduler.publish_event(ended(here, "passed"))
    waited = await asyncio.wait_for(waiting, 10)
    assert scheduler.cancelled == [lost.job_id]
    assert waited.verdict == ExitCode.NO_SLOT


async def test_a_slot_that_appears_in_time_saves_the_job(client: Client, scheduler: FakeScheduler):
    job = scheduler.add_job(make_run(1, requires=("ios-17",))[0])
    waiting = asyncio.create_task(client.wait(job.run_id, WaitOptions(no_slot_grace_s=0.5)))
    await wait_for(lambda: "agents" in scheduler.asked)
    scheduler.agents = [heartbeat("mac", ("ios-17",))]
    await scheduler.publish_heartbeat(scheduler.agents[0])
    await scheduler.publish_event(started(job))
    await asyncio.sleep(0.6)
    await scheduler.publish_event(ended(job, "passed"))
    assert (await asyncio.wait_for(waiting, 10)).verdict == 0
    assert scheduler.cancelled == []


async def test_nothing_is_cancelled_while_nobody_can_tell_what_slots_there_are(
    client: Client, scheduler: FakeScheduler
):
    job = scheduler.add_job(make_run(1, requires=("ios-17",))[0])
    waiting = asyncio.create_task(
        client.wait(
            job.run_id, WaitOptions(no_slot_grace_s=0.2, timeout_s=1.5), known=Submitted(job.run_id, (job,))
        )
    )
    await wait_for(lambda: "get" in scheduler.asked)
    await scheduler.stop()
    waited = await asyncio.wait_for(waiting, 20)
    assert waited.timed_out
    assert scheduler.cancelled == []


@pytest.mark.parametrize(("away", "seconds"), [("server", 1.5), ("scheduler", 2.5), ("scheduler", 0.8)])
async def test_agents_have_the_whole_grace_to_be_heard_again_after_an_outage(
    client: Client,
    scheduler: FakeScheduler,
    nats_server: NatsServer,
    monkeypatch: pytest.MonkeyPatch,
    away: str,
    seconds: float,
):
    """Their heartbeats have expired when the server is back, and agents need a moment to connect."""
    monkeypatch.setattr(wait, "LOST_AFTER_S", 1.0)
    monkeypatch.setattr(slots, "HEARD_FOR_S", 0.1)
    at_work, waits = (scheduler.add_job(job, run_size=2) for job in make_run(2, requires=("device",)))
    await scheduler.publish_event(started(at_work))
    waiting = asyncio.create_task(client.wait(at_work.run_id, WaitOptions(no_slot_grace_s=1)))
    await wait_for(lambda: "agents" in scheduler.asked)
    if away == "server":
        nats_server.kill()
    else:
        await scheduler.stop()
    await asyncio.sleep(seconds)  # for longer than the grace, or for the most of it
    scheduler.agents.clear()
    asked = len(scheduler.asked)
    if away == "server":
        await nats_server.start()
    else:
        await scheduler.start()
    await wait_for(lambda: "agents" in scheduler.asked[asked:], 20)
    for job in (at_work, waits):
        await scheduler.publish_event(ended(job, "passed"))
    assert (await asyncio.wait_for(waiting, 10)).verdict == 0
    assert scheduler.cancelled == []


async def test_time_runs_out_on_time_while_the_server_is_away(
    client: Client, scheduler: FakeScheduler, nats_server: NatsServer
):
    job = scheduler.add_job(make_run(1)[0])
    told: list[str] = []
    waiting = asyncio.create_task(
        client.wait(job.run_id, WaitOptions(timeout_s=3), on_change=lambda watch: told.append(watch.id))
    )
    await wait_for(lambda: told)
    nats_server.pause()
    try:
        waited = await asyncio.wait_for(waiting, 10)
    finally:
        nats_server.resume()
    assert waited.timed_out
    assert waited.jobs == (job,)


async def test_time_runs_out_on_time_before_anything_is_known(client: Client, scheduler: FakeScheduler):
    (job,) = make_run(1)
    scheduler.silent.add("get")
    waited = await asyncio.wait_for(client.wait(job.run_id, WaitOptions(timeout_s=0.3)), 4)
    assert (waited.verdict, waited.run, waited.jobs) == (ExitCode.WAIT_TIMEOUT, None, ())
