from __future__ import annotations

import asyncio

import pytest

from bus_schemas.logs import StoredChunk
from qgjob.client import Client
from qgjob.client.ids import new_ids
from qgjob.client.watching import logs as logs_module
from qgjob.errors import NotFoundError
from tests.support.fake_scheduler import FakeScheduler
from tests.support.servers import NatsServer
from tests.support.views import NOW, ended, started, view
from tests.support.wait import wait_for

JOB = view(job_id=new_ids("job", 1, NOW)[0], run_id=new_ids("run", 1, NOW)[0])


@pytest.fixture
def scheduler(scheduler: FakeScheduler) -> FakeScheduler:
    """It knows the job."""
    scheduler.add_job(JOB)
    return scheduler


def text_of(chunks: list[StoredChunk]) -> str:
    return "".join(part for chunk in chunks for _, part in chunk.parts)


class Reader:
    """Follows the log in the background."""

    def __init__(self, client: Client) -> None:
        self.chunks: list[StoredChunk] = []
        self.task = asyncio.create_task(self._read(client))

    async def _read(self, client: Client) -> None:
        async for chunk in client.logs(JOB.job_id, follow=True):
            self.chunks.append(chunk)

    async def has(self, text: str) -> None:
        await wait_for(lambda: text_of(self.chunks) == text, what=f"{text!r}, not {text_of(self.chunks)!r}")


async def test_stored_output_comes_in_pages(client: Client, scheduler: FakeScheduler):
    for number in range(25):
        await scheduler.publish_log(JOB, number, f"{number} ")
    scheduler.page = 10
    chunks = [chunk async for chunk in client.logs(JOB.job_id)]
    assert text_of(chunks) == "".join(f"{number} " for number in range(25))


async def test_the_last_lines_alone_and_what_follows_them(client: Client, scheduler: FakeScheduler):
    scheduler.page = 3
    for number in range(20):
        await scheduler.publish_log(JOB, number, f"{number}\n")
    chunks = [chunk async for chunk in client.logs(JOB.job_id, tail=8)]
    assert text_of(chunks) == "".join(f"{number}\n" for number in range(12, 20))
    read: list[StoredChunk] = []
    async for chunk in client.logs(JOB.job_id, follow=True, tail=2):
        read.append(chunk)
        if len(read) == 2:
            await scheduler.publish_event(started(JOB))
            await scheduler.publish_log(JOB, 20, "20\n", eof=True)
            await scheduler.publish_event(ended(JOB, "passed"))
    assert text_of(read) == "18\n19\n20\n"


async def test_following_has_no_gap_and_no_repetition(client: Client, scheduler: FakeScheduler):
    """Output is written all the while, before, during and after the pages are read."""
    scheduler.page = 3
    for number in range(20):
        await scheduler.publish_log(JOB, number, f"{number} ")
    reader = Reader(client)
    for number in range(20, 60):
        await scheduler.publish_log(JOB, number, f"{number} ", eof=number == 59)
    await scheduler.publish_event(started(JOB))
    await scheduler.publish_event(ended(JOB, "passed"))
    await asyncio.wait_for(reader.task, 10)
    assert text_of(reader.chunks) == "".join(f"{number} " for number in range(60))


async def test_following_goes_on_over_attempts_until_the_last_is_complete(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logs_module, "EOF_GRACE_S", 3600.0)
    reader = Reader(client)
    await scheduler.publish_event(started(JOB))
    await scheduler.publish_log(JOB, 0, "one", eof=True)
    await scheduler.publish_event(ended(JOB, "failed", final=False))
    await scheduler.publish_event(started(JOB, 2))
    await reader.has("one")
    await scheduler.publish_log(JOB, 0, "two", attempt=2)
    await scheduler.publish_event(ended(JOB, "passed", 2))
    await reader.has("onetwo")
    assert not reader.task.done()
    await scheduler.publish_log(JOB, 1, "!", attempt=2, eof=True)
    await asyncio.wait_for(reader.task, 10)
    assert text_of(reader.chunks) == "onetwo!"


async def test_an_attempt_whose_agent_died_does_not_hold_the_reader_for_ever(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logs_module, "EOF_GRACE_S", 0.2)
    reader = Reader(client)
    await scheduler.publish_event(started(JOB))
    await scheduler.publish_log(JOB, 0, "some")
    await scheduler.publish_event(ended(JOB, "errored"))
    await asyncio.wait_for(reader.task, 10)
    assert text_of(reader.chunks) == "some"


async def test_a_job_that_never_ran_has_no_log_to_wait_for(
    client: Client, scheduler: FakeScheduler, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(logs_module, "EOF_GRACE_S", 3600.0)
    scheduler.add_job(JOB.model_copy(update={"state": "cancelled"}))
    reader = Reader(client)
    await asyncio.wait_for(reader.task, 10)
    assert reader.chunks == []


async def test_output_written_while_the_server_was_away_follows_in_order(
    client: Client, scheduler: FakeScheduler, nats_server: NatsServer
):
    reader = Reader(client)
    await scheduler.publish_event(started(JOB))
    await scheduler.publish_log(JOB, 0, "before ")
    await reader.has("before ")
    await nats_server.restart()
    await wait_for(lambda: scheduler.bus.connected)
    await scheduler.publish_log(JOB, 1, "after ")
    await scheduler.publish_log(JOB, 2, "end", eof=True)
    await scheduler.publish_event(ended(JOB, "passed"))
    await asyncio.wait_for(reader.task, 15)
    assert text_of(reader.chunks) == "before after end"


async def test_logs_of_what_is_no_job(client: Client, scheduler: FakeScheduler):
    for any_id in (JOB.run_id, "j_x", *new_ids("job", 1, NOW)):
        for follow in (False, True):
            with pytest.raises(NotFoundError):
                async for _ in client.logs(any_id, follow=follow):
                    pass
    assert "cancel" not in scheduler.asked
