"""How long an answer is waited for, and what is said meanwhile."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.msg import Msg

from bus_schemas import subjects
from bus_schemas.base import Problem
from bus_schemas.crons import CronAnswer
from bus_schemas.queries import AgentsAnswer, GetAnswer, GetQuery, Query
from bus_schemas.rules import PauseRequest, QueueRules
from qgjob.client import Client, ServerOptions, open_client
from qgjob.client.requests import control, request, slow
from qgjob.errors import ExitCode, NotFoundError, UnreachableError
from tests.support.fake_scheduler import FakeScheduler
from tests.support.proxy import Proxy
from tests.support.samples.lab import HEARTBEAT
from tests.support.samples.requests import CRON_VIEW
from tests.support.servers import NatsServer


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if everybody had less patience."""
    monkeypatch.setattr(control, "TIMEOUT_S", 0.5)
    monkeypatch.setattr(request, "NO_SCHEDULER_S", 0.5)
    monkeypatch.setattr(slow, "SAY_AFTER_S", 0.1)


@pytest.mark.usefixtures("hurried")
async def test_a_request_that_is_given_up_may_still_be_carried_out(client: Client, scheduler: FakeScheduler):
    said: list[str] = []
    client.bus.on_slow.append(said.append)
    scheduler.silent.add("queue_pause")
    with pytest.raises(UnreachableError) as caught:
        await client.pause_queue()
    assert said == ["The scheduler has not answered yet; still waiting."]
    assert caught.value.message == "The scheduler does not answer in time."
    assert "may still be carried out" in str(caught.value.hint)
    assert caught.value.exit_code == ExitCode.UNREACHABLE


@pytest.mark.usefixtures("hurried")
async def test_a_request_that_nobody_took_is_not_carried_out(client: Client):
    with pytest.raises(UnreachableError) as caught:
        await client.pause_queue()
    assert "no scheduler answers" in caught.value.message
    assert "may still" not in str(caught.value.hint)


@pytest.mark.usefixtures("hurried")
async def test_a_server_that_stands_still_is_told_from_a_scheduler_that_does(
    client: Client, scheduler: FakeScheduler, nats_server: NatsServer
):
    said: list[str] = []
    client.bus.on_slow.append(said.append)
    nats_server.pause()
    try:
        with pytest.raises(UnreachableError, match="The server does not answer in time"):
            await request.ask(client.bus, subjects.query("agents"), Query(), AgentsAnswer, timeout=2.0)
    finally:
        nats_server.resume()
    assert said == ["The server has not answered yet; still waiting."]


async def test_a_request_that_is_sent_again_has_the_same_id(client: Client):
    """By it the scheduler knows what it has carried out already."""
    asked: list[str] = []

    async def on_request(msg: Msg) -> None:
        asked.append((msg.headers or {})[subjects.REQUEST_ID])
        if asked.count(asked[-1]) > 1:
            await client.bus.nc.publish(msg.reply, QueueRules().encode())

    async with client.bus.subscribed(subjects.CTL_ALL, on_request):
        for _ in range(2):
            message = PauseRequest(by="ann")
            subject = subjects.ctl("queue_pause")
            await request.ask(client.bus, subject, message, QueueRules, timeout=0.5, patience=30)
    assert len(asked) >= 4
    assert len(set(asked)) == 2


@pytest.mark.parametrize("there", [True, False])
async def test_a_schedule_that_is_gone_when_it_is_to_be_deleted_was_deleted(client: Client, there: bool):
    """The leader that did it was replaced before it could say so, and its successor is asked once more."""

    async def on_request(msg: Msg) -> None:
        answer = CronAnswer(schedules=(CRON_VIEW,) if there else ())
        if msg.subject.startswith("qg.ctl.cron_delete"):
            answer = CronAnswer(problem=Problem(code="not_found", message="There is no such schedule."))
        await client.bus.nc.publish(msg.reply, answer.encode())

    async with client.bus.subscribed(subjects.CTL_ALL, on_request):
        if there:
            assert await client.delete_schedule(CRON_VIEW.schedule_id) == CRON_VIEW
        else:
            with pytest.raises(NotFoundError):
                await client.delete_schedule(CRON_VIEW.schedule_id)


async def test_a_schedule_is_deleted_where_one_answer_holds_not_all_of_them(client: Client):
    async def on_request(msg: Msg) -> None:
        answer = CronAnswer(schedules=(CRON_VIEW,))
        if msg.subject.startswith("qg.ctl.cron_list"):
            answer = CronAnswer(problem=Problem(code="refused", message="The answer is too large."))
        await client.bus.nc.publish(msg.reply, answer.encode())

    async with client.bus.subscribed(subjects.CTL_ALL, on_request):
        assert await client.delete_schedule(CRON_VIEW.schedule_id) == CRON_VIEW


async def test_a_question_that_was_asked_twice_changes_nothing(client: Client):
    """Nobody is told that something may have been carried out, but what the scheduler has to say."""
    asked = 0

    async def on_question(msg: Msg) -> None:
        nonlocal asked
        asked += 1
        problem = Problem(code="not_found", message="There is no such job.", hint="Did you mean j_1?")
        if asked > 1:
            await client.bus.nc.publish(msg.reply, GetAnswer(problem=problem).encode())

    async with client.bus.subscribed(subjects.QUERY_ALL, on_question):
        question = GetQuery(id="j_2")
        with pytest.raises(NotFoundError) as caught:
            await request.ask(
                client.bus, subjects.query("get"), question, GetAnswer, timeout=0.5, patience=30
            )
    assert caught.value.hint == "Did you mean j_1?"


async def test_a_replica_that_stands_still_keeps_no_answer_from_anybody(
    client: Client, monkeypatch: pytest.MonkeyPatch
):
    """It is still given its share of the questions: another replica gets what it does not answer."""
    monkeypatch.setattr(request, "ANOTHER_AFTER_S", 0.05)
    asked: list[Msg] = []

    async def on_question(msg: Msg) -> None:
        asked.append(msg)
        if len(asked) == 3:
            await client.bus.nc.publish(msg.reply, AgentsAnswer().encode())

    async with client.bus.subscribed(subjects.QUERY_ALL, on_question), asyncio.timeout(20):
        await request.ask(client.bus, subjects.query("agents"), Query(), AgentsAnswer, timeout=600)


async def test_an_answer_that_is_long_on_its_way_is_not_asked_for_twice(
    client: Client, nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
):
    """Of a large page over a slow link a second one would take the same link."""
    monkeypatch.setattr(request, "ANOTHER_AFTER_S", 0.05)
    asked: list[Msg] = []

    async def on_question(msg: Msg) -> None:
        asked.append(msg)
        await client.bus.nc.publish(msg.reply, AgentsAnswer(agents=(HEARTBEAT,) * 200).encode())

    async with Proxy(nats_server.port) as link, open_client(ServerOptions(url=link.url)) as far:
        link.rate = 200_000
        async with client.bus.subscribed(subjects.QUERY_ALL, on_question):
            await request.ask(far.bus, subjects.query("agents"), Query(), AgentsAnswer, timeout=60)
    assert len(asked) == 1
