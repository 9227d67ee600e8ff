"""Requests beyond what can be dealt with are turned away: they fill no memory."""

from __future__ import annotations

import asyncio

import pytest

from bus_schemas import subjects
from bus_schemas.control import CtlAnswer
from qgjob.bus.connect import Bus
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
