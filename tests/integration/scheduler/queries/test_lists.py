"""Lists of jobs, and who may see what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest
from nats.aio.msg import Msg

from bus_schemas import subjects
from bus_schemas.logs import LogsAnswer, LogsQuery
from bus_schemas.queries import ListAnswer, ListQuery
from bus_schemas.streams import EVENTS
from qgjob.bus.connect import Bus
from qgjob.client.requests import query as client_query
from qgjob.client.requests import request as client_request
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries.service import QueryService
from qgjob.store.connect import Store
from tests.support.eventlog import record
from tests.support.histories import Ids, lifetime, queued
from tests.support.questions import ONE, ask, caught_up, get, problem, put_log, working
from tests.support.wait import wait_for


@pytest.mark.usefixtures("projected")
async def test_lists(bus: Bus) -> None:
    """Of what the stream holds when they are asked for: the projection gathers events for a moment."""
    for n in range(6):
        org = "acme" if n % 2 else "other"
        ids = Ids(org, f"r_{org}", f"j_{n}", f"v{n % 3}")
        await record(bus, lifetime(ids, state="failed" if n == 3 else "passed"))

    async def listed(query: ListQuery, org: str | None = None) -> list[str]:
        return [job.job_id for job in (await ask(bus, "list", query, ListAnswer, org)).jobs]

    assert await listed(ListQuery()) == [f"j_{n}" for n in reversed(range(6))]
    assert await listed(ListQuery(limit=2, offset=1)) == ["j_4", "j_3"]
    assert await listed(ListQuery(state="failed")) == ["j_3"]
    assert await listed(ListQuery(org_id="acme", app_version_id="v2")) == ["j_5"]
    assert await listed(ListQuery(run_id="r_other")) == ["j_4", "j_2", "j_0"]
    assert await listed(ListQuery(), "acme") == ["j_5", "j_3", "j_1"]
    assert problem(await ask(bus, "list", ListQuery(org_id="other"), ListAnswer, "acme")) == "bad_request"


@pytest.mark.usefixtures("queries")
async def test_a_list_is_answered_although_the_stream_cannot_be_asked(bus: Bus, store: Store) -> None:
    projector = Projector(bus, store, look_every_s=0.1)
    async with working(projector):
        await caught_up(projector, await record(bus, [queued(ONE)]))
    await bus.requests.api(f"STREAM.DELETE.{EVENTS}")
    (job,) = (await ask(bus, "list", ListQuery(), ListAnswer)).jobs
    assert job.job_id == "j_1"


async def test_a_job_that_comes_in_between_two_pages_makes_no_other_appear_twice(
    bus: Bus, projected: Projector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_query, "PAGE", 3)
    monkeypatch.setattr(client_request, "ANOTHER_AFTER_S", 60.0)  # else a slow answer is asked for twice
    send = bus.requests.send
    asked = 0

    async def and_another_comes(
        subject: str, payload: bytes = b"", *, headers: Mapping[str, str] | None = None, timeout: float = 5.0
    ) -> asyncio.Future[Msg]:
        answer = await send(subject, payload, headers=headers, timeout=timeout)
        return asyncio.ensure_future(then_comes(answer)) if subject.startswith(subjects.QUERIES) else answer

    async def then_comes(answer: asyncio.Future[Msg]) -> Msg:
        nonlocal asked
        reply = await answer
        asked += 1
        ids = Ids(run_id="r_late", job_id=f"j_late_{asked}")
        await caught_up(projected, await record(bus, [queued(ids)]))
        return reply

    events = [queued(Ids(job_id=f"j_{n}"), position=n, size=5) for n in range(5)]
    await caught_up(projected, await record(bus, events))
    monkeypatch.setattr(bus.requests, "send", and_another_comes)
    listed = [job.job_id for job in await client_query.jobs(bus, limit=5)]
    assert asked == 2
    assert listed == [f"j_{n}" for n in reversed(range(5))]


async def test_an_organisation_sees_only_its_own(bus: Bus, projected: Projector) -> None:
    await record(bus, lifetime(ONE))
    await put_log(bus, 0, "secret")
    assert (await get(bus, "j_1", "acme")).job is not None
    for any_id in ("j_1", "r_1"):
        assert problem(await get(bus, any_id, "other")) == "not_found"
    assert problem(await ask(bus, "logs", LogsQuery(job_id="j_1"), LogsAnswer, "other")) == "not_found"


async def test_who_asks_while_the_store_is_filled_again_gets_the_answer(
    bus: Bus, store: Store, queries: QueryService
) -> None:
    await record(bus, lifetime(ONE))
    asked: list[str] = []
    watcher = await bus.nc.subscribe(subjects.query("list"), cb=_noting(asked))
    await bus.nc.flush()
    listing = asyncio.create_task(client_query.jobs(bus, limit=5))
    await wait_for(lambda: len(asked) > 1, what="a second question")  # the first was answered: not yet
    await watcher.unsubscribe()
    async with working(Projector(bus, store, look_every_s=0.1)):
        assert [job.job_id for job in await listing] == [ONE.job_id]


def _noting(asked: list[str]) -> Callable[[Msg], Awaitable[None]]:
    async def note(msg: Msg) -> None:
        asked.append(msg.subject)

    return note
