"""Questions about the lab: agents, overview, health; and who answers them."""

from __future__ import annotations

import time

import pytest

from bus_schemas import streams
from bus_schemas.queries import AgentsAnswer, HealthAnswer, Overview, Query
from bus_schemas.tokens import encode_token
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.bus.requester import NoRespondersError
from qgjob.scheduler.leadership.election import KEY
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries import health_check
from qgjob.scheduler.queries.health_check import HealthCheck
from qgjob.scheduler.queries.service import QueryService
from qgjob.store.connect import Store
from qgjob.store.reader import Reader
from tests.support.clock import ManualClock
from tests.support.eventlog import record
from tests.support.histories import lifetime
from tests.support.questions import ONE, answers, ask, get, problem, working
from tests.support.samples.lab import HEARTBEAT
from tests.support.wait import wait_for


async def test_agents(bus: Bus, queries: QueryService) -> None:
    assert (await ask(bus, "agents", Query(), AgentsAnswer)).agents == ()
    for name, state in (("b", "up"), ("a", "draining"), ("c", "gone")):
        beat = HEARTBEAT.model_copy(update={"agent": name, "state": state})
        await kv.put(bus, streams.AGENTS_BUCKET, name, beat.encode(), ttl_s=15)
    await kv.put(bus, streams.AGENTS_BUCKET, "d", b"no heartbeat")
    await kv.put(bus, streams.AGENTS_BUCKET, "e", HEARTBEAT.encode())
    await kv.delete(bus, streams.AGENTS_BUCKET, "e")
    assert [agent.agent for agent in (await ask(bus, "agents", Query(), AgentsAnswer)).agents] == ["a", "b"]


async def test_overview(bus: Bus, store: Store) -> None:
    seen: list[Overview] = []
    async with working(QueryService(bus, Reader(store), lambda: seen[-1] if seen else None)):
        await wait_for(lambda: answers(bus))
        assert problem(await ask(bus, "overview", Query(), Overview)) == "unavailable"
        seen.append(Overview(at=5.0, waiting=3))
        assert await ask(bus, "overview", Query(), Overview) == seen[-1]


async def test_health(bus: Bus, projected: Projector) -> None:
    async def checks() -> dict[str, bool]:
        health = await ask(bus, "health", Query(), HealthAnswer)
        assert health.ok == all(check.ok for check in health.checks)
        return {check.name: check.ok for check in health.checks}

    well = {"nats", "streams", "store", "projection", "queue", "dead_letters"}
    assert await checks() == dict.fromkeys(well, True) | {"leader": False, "agents": False}
    await kv.put(bus, streams.AGENTS_BUCKET, encode_token(HEARTBEAT.agent), HEARTBEAT.encode())
    await kv.put(bus, streams.LEADER_BUCKET, KEY, b'{"replica": "one"}')
    assert all((await checks()).values())
    await bus.requests.api(f"STREAM.DELETE.{streams.LOGS}")
    assert not (await checks())["streams"]


async def test_a_lagging_projection_and_a_job_that_waits_for_too_long_are_seen(
    bus: Bus, store: Store, queries: QueryService, monkeypatch: pytest.MonkeyPatch
) -> None:
    del queries  # its topology is all that is needed
    projector = Projector(bus, store, look_every_s=0.1)
    first, *rest = lifetime(ONE)
    async with working(projector):
        await wait_for(lambda: projector.position.seq >= 0)
        await record(bus, [first])
        await wait_for(lambda: projector.position.seq >= 1 and projector.lag == 0)

    async def wrong(seconds: float, leader: Overview | None = None) -> dict[str, str]:
        check = HealthCheck(bus, Reader(store), ManualClock(time.time() + seconds), lambda: leader)
        return {view.name: view.detail for view in (await check.answer()).checks if not view.ok}

    assert {"queue", "projection"}.isdisjoint(await wrong(0))
    assert "queue" not in await wrong(13 * 3600.0), "a submit may say --expires 7d"
    assert "1 (high 0, medium 1, low 0); the oldest for" in (await wrong(8 * 86_400.0))["queue"]
    later = time.time() + 8 * 86_400.0
    assert "queue" not in await wrong(8 * 86_400.0, Overview(at=later)), "the leader released it by now"
    waits = Overview(at=time.time(), waiting=1, depths={"high": 1}, oldest_wait_s=8 * 86_400.0)
    assert "the oldest for 8d" in (await wrong(0, waits))["queue"]
    await record(bus, rest)  # and nobody projects
    assert {"queue", "projection"}.isdisjoint(await wrong(60)), "though the one before came a minute ago"
    monkeypatch.setattr(health_check, "MAX_LAG_S", 1.0)

    async def lags() -> bool:
        return (await wrong(0)).get("projection") == f"{len(rest)} events behind"

    await wait_for(lags, 20, "the lag to be seen")


async def test_two_replicas_share_the_questions(bus: Bus, store: Store) -> None:
    one, two = (QueryService(bus, Reader(store), lambda n=n: Overview(at=n)) for n in (1.0, 2.0))
    async with working(one, two):
        await wait_for(lambda: answers(bus))

        async def both() -> bool:
            answers = [await ask(bus, "overview", Query(), Overview) for _ in range(20)]
            return {answer.at for answer in answers} == {1.0, 2.0}

        await wait_for(both)
    with pytest.raises(NoRespondersError):
        await get(bus, "j_1")
