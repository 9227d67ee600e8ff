"""A job's log, stored and live, over a restart, until the job has ended."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from qgjob.bus.connect import ServerOptions
from qgjob.client import open_client
from qgjob.clock import SystemClock
from tests.support.lab.output import chunks_of
from tests.support.lab.service import LabService
from tests.support.servers import NatsServer
from tests.support.wait import wait_for
from tui.feed.log_feed import follow_logs
from tui.store.log import LogBuffer
from tui.store.store import Store


@contextlib.asynccontextmanager
async def following(
    url: str, store: Store, job_id: str
) -> AsyncGenerator[tuple[LogBuffer, list[str], asyncio.Task[None]]]:
    buffer = LogBuffer()
    said: list[str] = []
    async with open_client(ServerOptions(url=url)) as client:
        task = asyncio.create_task(follow_logs(client, store, [job_id], buffer, said.append))
        try:
            yield buffer, said, task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def lines(buffer: LogBuffer) -> list[str]:
    return [buffer.line(n).text for n in range(buffer.first, buffer.end)]


def a_job_at_work(lab: LabService) -> str:
    return next(slot.job.spec.job_id for slot in lab.model.lab if slot.job)


async def test_stored_then_live_then_complete(lab: LabService, nats_server: NatsServer) -> None:
    job_id = a_job_at_work(lab)
    view = lab.model.views[job_id]
    store = Store(SystemClock())
    store.apply_view(view)
    log = chunks_of(job_id, view.test, at=1.0, cases=2000)
    wanted = "".join(text for chunk in log for _, text in chunk.parts).splitlines()
    await lab.publish_log(view.org_id, log[:300])
    async with following(nats_server.url, store, job_id) as (buffer, said, task):
        await wait_for(lambda: buffer.end >= 900)
        asked = len([subject for subject in lab.asked if ".logs." in subject])
        await lab.publish_log(view.org_id, log[300:])
        await wait_for(lambda: buffer.end == len(wanted))
        assert lines(buffer) == wanted
        assert len([subject for subject in lab.asked if ".logs." in subject]) == asked
        assert not any(said)
        while view.ended_at is None:
            await lab.publish(lab.model.step(5))
            view = lab.model.views[job_id]
        store.apply_view(view)
        await asyncio.wait_for(task, 10)
        assert buffer.complete


async def test_a_restart_leaves_no_gap(lab: LabService, nats_server: NatsServer) -> None:
    job_id = a_job_at_work(lab)
    view = lab.model.views[job_id]
    store = Store(SystemClock())
    store.apply_view(view)
    log = chunks_of(job_id, view.test, at=1.0, cases=60)
    wanted = "".join(text for chunk in log for _, text in chunk.parts).splitlines()
    async with following(nats_server.url, store, job_id) as (buffer, _, _):
        await lab.publish_log(view.org_id, log[:5])
        await wait_for(lambda: buffer.end >= 15)
        await nats_server.restart()
        await wait_for(lambda: lab.bus.connected, 20)
        await lab.publish_log(view.org_id, log[5:])
        await wait_for(lambda: lines(buffer) == wanted, 20)


async def test_without_a_scheduler_it_says_why_and_goes_on(lab: LabService, nats_server: NatsServer) -> None:
    job_id = a_job_at_work(lab)
    view = lab.model.views[job_id]
    log = chunks_of(job_id, view.test, at=1.0)
    await lab.publish_log(view.org_id, log[:2])
    await lab.fall_silent()
    async with following(nats_server.url, Store(SystemClock()), job_id) as (buffer, said, _):
        await wait_for(lambda: any("no scheduler answers" in sentence for sentence in said))
        await lab.answer()
        await wait_for(lambda: buffer.end >= 6)
        assert said[-1] == ""
