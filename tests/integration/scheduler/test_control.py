"""Requests beyond what can be dealt with are turned away: they fill no memory."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.msg import Msg

from bus_schemas import subjects
from bus_schemas.control import CtlAnswer
from qgjob.bus.connect import Bus
from qgjob.errors import NotFoundError, QgjobError
from qgjob.scheduler.control import requests
from qgjob.scheduler.control.requests import Control
from tests.support.wait import wait_for


async def test_a_flood_of_requests_is_turned_away_and_what_was_taken_is_carried_out(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MAX_WAITING", 3)
    ready, asked = asyncio.Event(), 0

    async def verb(_: bytes) -> CtlAnswer:
        nonlocal asked
        asked += 1
        return CtlAnswer(affected=("j_1",))

    running = asyncio.create_task(Control(bus, {"cancel": verb}, ready).run())
    try:
        await bus.requests.round_trip()
        waiting = [await bus.requests.send(subjects.ctl("cancel")) for _ in range(5)]
        await wait_for(lambda: sum(answer.done() for answer in waiting) == 2, what="those beyond to be told")
        ready.set()
        answers = [CtlAnswer.decode((await answer).data) for answer in waiting]
        assert [answer.problem is None for answer in answers] == [True, True, True, False, False]
        assert asked == 3
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_request_that_is_sent_again_is_answered_as_the_first_time(bus: Bus) -> None:
    """A schedule that was deleted is not found a second time: its deletion would be reported as failed."""
    ready, asked, gate = asyncio.Event(), list[bytes](), asyncio.Event()
    ready.set()

    async def delete(data: bytes) -> CtlAnswer:
        asked.append(data)
        if asked.count(data) > 1:
            raise NotFoundError("It is gone.")
        await gate.wait()
        return CtlAnswer()

    async def busy(data: bytes) -> CtlAnswer:
        asked.append(data)
        raise QgjobError("Not now.")

    running = asyncio.create_task(Control(bus, {"cron_delete": delete, "cancel": busy}, ready).run())

    async def send(verb: str, request_id: str) -> asyncio.Future[Msg]:
        return await bus.requests.send(
            subjects.ctl(verb), verb.encode(), headers={subjects.REQUEST_ID: request_id}
        )

    def problem(msg: Msg) -> str | None:
        answer = CtlAnswer.decode(msg.data)
        return answer.problem.code if answer.problem else None

    try:
        await bus.requests.round_trip()
        first, while_at_work = await send("cron_delete", "a"), await send("cron_delete", "a")
        await wait_for(lambda: len(asked) == 1, what="it to be carried out")
        gate.set()
        assert [problem(await first), problem(await while_at_work)] == [None, None]
        assert problem(await (await send("cron_delete", "a"))) is None
        assert problem(await (await send("cron_delete", "b"))) == "not_found"
        assert len(asked) == 2
        assert problem(await (await send("cancel", "b"))) == "unavailable"  # another's, by chance or malice
        asked.pop()
        for _ in range(2):  # a passing trouble is no answer to keep
            assert problem(await (await send("cancel", "c"))) == "unavailable"
        assert len(asked) == 4
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
