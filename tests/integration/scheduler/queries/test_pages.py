"""Runs in pages: none is too large for the server, none costs more than its jobs."""

from __future__ import annotations

import pytest

from bus_schemas.events import AnyEvent
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries.service import QueryService
from qgjob.store.connect import Store
from qgjob.store.reader import Reader
from tests.support.eventlog import record, record_at_once
from tests.support.histories import Ids, ended, queued, started
from tests.support.questions import answers, caught_up, get, working
from tests.support.servers import NatsServer
from tests.support.wait import wait_for


async def test_pages_of_a_run(bus: Bus, projected: Projector) -> None:
    events = [queued(Ids(job_id=f"j_{n:03}"), position=n, size=25) for n in range(25)]
    await record_at_once(bus, events)
    seen: list[str] = []
    while True:
        answer = await get(bus, "r_1", offset=len(seen), limit=10)
        assert answer.run is not None
        assert answer.run.counts == {"queued": 25}
        seen += [job.job_id for job in answer.run.jobs]
        if not answer.more:
            break
    assert seen == [f"j_{n:03}" for n in range(25)]
    answer = await get(bus, "r_1", limit=0)
    assert answer.run is not None
    assert answer.run.jobs == ()


async def pages(bus: Bus, run_id: str, limit: int) -> list[str]:
    seen: list[str] = []
    while True:
        answer = await get(bus, run_id, offset=len(seen), limit=limit)
        assert answer.run is not None
        assert len(answer.run.jobs) == limit or not answer.more
        seen += [job.job_id for job in answer.run.jobs]
        if not answer.more:
            return seen


@pytest.mark.parametrize("late", [{0, 1, 2}, {3, 7, 8, 20}, {27, 28, 29}, set(range(0, 30, 2))])
async def test_pages_of_a_run_of_which_the_projection_lacks_some_jobs(
    bus: Bus, store: Store, queries: QueryService, late: set[int]
) -> None:
    """Its last events brought new jobs, anywhere in the run, and changed ones that it has."""
    del queries  # it answers
    every = [Ids(job_id=f"j_{n:03}") for n in range(30)]
    first = [queued(every[n], position=n, size=30) for n in range(30) if n not in late]
    projector = Projector(bus, store, look_every_s=0.1)
    async with working(projector):
        await wait_for(lambda: projector.position.seq >= 0)
        await record_at_once(bus, first)
        await caught_up(projector, len(first))
    await record_at_once(bus, [queued(every[n], position=n, size=30) for n in sorted(late)])
    await record(bus, [started(every[10]), started(every[25])])
    for limit in (1, 3, 7, 40):
        assert await pages(bus, "r_1", limit) == [ids.job_id for ids in every], limit


async def test_a_page_of_a_run_costs_the_same_however_large_the_run_is(
    bus: Bus, store: Store, queries: QueryService
) -> None:
    del queries  # it answers
    small, large = 100, 5000
    projector = Projector(bus, store, look_every_s=0.1)
    async with working(projector):
        await wait_for(lambda: projector.position.seq >= 0)
        for size in (small, large):
            ids = [Ids(run_id=f"r_{size}", job_id=f"j_{size:04}_{n:04}") for n in range(size)]
            await record_at_once(bus, [queued(one, position=n, size=size) for n, one in enumerate(ids)])
        await caught_up(projector, small + large)

    async def sent() -> int:
        return int((await store.client.info("stats"))["total_net_output_bytes"])

    async def cost(size: int) -> int:
        """Bytes that the store sends for a page in the middle of a run."""
        before = await sent()
        answer = await get(bus, f"r_{size}", offset=size // 2, limit=10)
        assert answer.run is not None
        assert [job.position for job in answer.run.jobs] == list(range(size // 2, size // 2 + 10))
        return await sent() - before

    await cost(small)  # the first one tells the store its scripts
    assert await cost(large) < 1.5 * await cost(small)


async def test_large_runs_stay_below_what_the_server_takes(nats_server: NatsServer, store: Store) -> None:
    small = nats_server.folder / "small.conf"
    small.write_text("max_payload: 65536\njetstream {}\n")
    server = NatsServer(nats_server.folder / "small", config=small)
    await server.start()
    try:
        async with open_bus(ServerOptions(url=server.url)) as bus:
            await ensure_topology(bus)
            events: list[AnyEvent] = []
            for n in range(50):
                ids = Ids(job_id=f"j_{n:02}")
                result = ended(ids, state="failed")
                long = result.result.model_copy(update={"message": "m" * 4000})
                events += [queued(ids, position=n, size=50), result.model_copy(update={"result": long})]
            await record_at_once(bus, events)
            async with working(QueryService(bus, Reader(store), lambda: None)):
                await wait_for(lambda: answers(bus))
                answer = await get(bus, "r_1")
                assert answer.run is not None
                assert len(answer.run.jobs) == 50
                assert all((job.message or "").endswith("m…") for job in answer.run.jobs)
                job = await get(bus, "j_07")
                assert job.job is not None
                assert job.job.message == "m" * 4000
    finally:
        server.kill()
