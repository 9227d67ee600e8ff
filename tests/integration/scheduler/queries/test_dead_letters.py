"""Messages that nobody could read, as an operator asks about them and drops them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bus_schemas import streams, subjects
from bus_schemas.deadletters import MAX_LETTERS, DeadLettersAnswer, DeadLettersQuery
from bus_schemas.queries import HealthAnswer, Query
from qgjob.bus.connect import Bus
from qgjob.bus.deadletters import set_aside
from qgjob.bus.topology import delete_message
from qgjob.client import Client
from qgjob.clock import SystemClock
from qgjob.errors import NotFoundError
from qgjob.scheduler.queries.dead_letters import read_letters
from qgjob.scheduler.queries.service import QueryService
from tests.support.lab_system import kill_leader, lab
from tests.support.pipeline import overview
from tests.support.questions import ask
from tests.support.wait import wait_for

ROOM = 2**20


async def some(bus: Bus, count: int, data: bytes = b"rubbish") -> None:
    for number in range(count):
        assert await set_aside(bus, streams.JOBS, f"qg.jobs.high.a.{number}", data, "no job", seq=number)


async def page(bus: Bus, room: int = ROOM, **asked: int) -> DeadLettersAnswer:
    return await read_letters(bus, DeadLettersQuery(**asked), room)


async def test_the_newest_come_first_page_by_page_over_gaps(bus: Bus, queries: QueryService) -> None:
    del queries
    assert await page(bus) == DeadLettersAnswer()
    await some(bus, 40)
    for number in range(3, 38):
        await delete_message(bus, streams.DEAD, number)
    first = await page(bus, limit=4)
    assert [letter.number for letter in first.letters] == [40, 39, 38, 2]
    assert (first.total, first.more) == (5, True)
    last = await page(bus, limit=4, before=2)
    assert [letter.number for letter in last.letters] == [1]
    assert not last.more
    client = Client(bus, SystemClock())
    found, total = await client.dead_letters(limit=1000)
    assert ([letter.number for letter in found], total) == ([40, 39, 38, 2, 1], 5)


async def test_of_many_there_are_beginnings_and_of_one_all_that_is_kept(
    bus: Bus, queries: QueryService
) -> None:
    del queries
    whole = bytes(range(256)) * 1000
    await some(bus, 1, whole)
    client = Client(bus, SystemClock())
    ((listed,), _) = await client.dead_letters()
    assert (listed.size, listed.kept) == (256_000, 65_536)
    assert base64.b64decode(listed.data) == whole[:256]
    assert base64.b64decode((await client.dead_letter(1)).data) == whole[:65_536]
    assert (listed.stream, listed.subject, listed.seq) == (streams.JOBS, "qg.jobs.high.a.0", 0)
    with pytest.raises(NotFoundError, match="no dead letter 2"):
        await client.dead_letter(2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1b]0;owned\x07\xff",
        json.dumps({"stream": "x", "subject": "y", "reason": "z", "data": "no base 64!", "at": 1}).encode(),
        json.dumps({"stream": "x", "subject": "y", "reason": "z", "data": "é", "at": 1}).encode(),
    ],
)
async def test_what_is_no_letter_is_shown_as_it_is(bus: Bus, queries: QueryService, data: bytes) -> None:
    del queries
    await bus.requests.publish(subjects.dead("anything"), data)
    (letter,) = (await page(bus)).letters
    assert letter.reason.startswith("this is no letter: ")
    assert base64.b64decode(letter.data) == data
    assert letter.subject == "qg.dead.anything"


async def test_an_answer_is_never_too_large(bus: Bus, queries: QueryService) -> None:
    del queries
    for _ in range(MAX_LETTERS):
        await set_aside(bus, "X", "\x01" * 5000, b"", "\x01" * 5000)
    small = await page(bus, room=200_000, limit=MAX_LETTERS)
    assert len(small.encode()) <= 200_000
    assert small.more
    found, total = await Client(bus, SystemClock()).dead_letters(limit=MAX_LETTERS)
    assert (len(found), total) == (MAX_LETTERS, MAX_LETTERS)


async def test_whose_they_are_nobody_knows(bus: Bus, queries: QueryService) -> None:
    del queries
    await some(bus, 1)
    answer = await ask(bus, "dead_letters", DeadLettersQuery(), DeadLettersAnswer, org="acme")
    assert answer.problem
    assert answer.letters == ()


async def test_one_number_everywhere_over_a_new_leader_until_they_are_dropped(tmp_path: Path) -> None:
    async with lab(tmp_path) as (running, bus, client, _):
        await some(bus, 3)

        async def says(count: int, detail: str) -> None:
            async def so() -> bool:
                seen = await overview(bus)
                health = await ask(bus, "health", Query(), HealthAnswer)
                (check,) = [check for check in health.checks if check.name == "dead_letters"]
                assert seen
                assert (seen.dead_letters, check.detail) == (count, detail)
                return True

            await wait_for(so, 20, f"{count} everywhere")

        await says(3, "3 unreadable messages set aside: `qgjob deadletters list`")
        await kill_leader(running, bus)
        await says(3, "3 unreadable messages set aside: `qgjob deadletters list`")
        assert await client.drop_dead_letters(2) == 1
        with pytest.raises(NotFoundError):
            await client.drop_dead_letters(2)
        await says(2, "2 unreadable messages set aside: `qgjob deadletters list`")
        assert await client.drop_dead_letters() == 2
        await says(0, "none")
        assert await client.drop_dead_letters() == 0
