"""Questions over a real bus: what was stored before the question is in the answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
from nats.aio.msg import Msg

from bus_schemas import streams, subjects
from bus_schemas.agents import Heartbeat, LogChunk
from bus_schemas.base import Message
from bus_schemas.events import AnyEvent, Refused
from bus_schemas.jobs import JobMessage
from bus_schemas.requests import (
    AgentsAnswer,
    GetAnswer,
    GetQuery,
    HealthAnswer,
    ListAnswer,
    ListQuery,
    LogsAnswer,
    LogsQuery,
    Overview,
    Query,
)
from bus_schemas.tokens import encode_token
from qgjob.bus import kv
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.requester import NoRespondersError
from qgjob.bus.topology import ensure_topology
from qgjob.client import query as client_query
from qgjob.clock import ManualClock
from qgjob.scheduler.healthcheck import HealthCheck
from qgjob.scheduler.leader import KEY
from qgjob.scheduler.projector import Projector
from qgjob.scheduler.queries import QueryService
from qgjob.store.connect import Store
from qgjob.store.reader import Reader
from tests.support.eventlog import record, record_at_once, submit
from tests.support.histories import Ids, ended, lifetime, queued, said, spec_of, started
from tests.support.samples import SAMPLES
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

A = TypeVar("A", bound=Message)
ONE = Ids()


@contextlib.asynccontextmanager
async def working(*services: Projector | QueryService) -> AsyncGenerator[None]:
    tasks = [asyncio.create_task(service.run()) for service in services]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def queries(bus: Bus, store: Store) -> AsyncIterator[QueryService]:
    """The service, and nobody who projects."""
    service = QueryService(bus, Reader(store), lambda: None)
    async with working(service):
        await wait_for(lambda: _answers(bus))
        yield service


@pytest.fixture
async def projected(bus: Bus, store: Store, queries: QueryService) -> AsyncIterator[Projector]:
    """A projector beside the service."""
    projector = Projector(bus, store, look_every_s=0.1)
    async with working(projector):
        await wait_for(lambda: projector.position.seq >= 0)
        yield projector


async def _answers(bus: Bus) -> bool:
    try:
        await bus.requests.request(subjects.query("agents"), Query().encode(), timeout=2)
    except NoRespondersError:
        return False
    return True


async def ask(bus: Bus, name: str, message: Message, answer: type[A], org: str | None = None) -> A:
    reply = await bus.requests.request(subjects.query(name, org), message.encode(), timeout=5)
    return answer.decode(reply.data)


async def get(bus: Bus, any_id: str, org: str | None = None, offset: int = 0, limit: int = 500) -> GetAnswer:
    return await ask(bus, "get", GetQuery(id=any_id, offset=offset, limit=limit), GetAnswer, org)


def problem(answer: GetAnswer | ListAnswer | LogsAnswer | Overview | AgentsAnswer) -> str:
    assert answer.problem is not None
    return answer.problem.code


async def caught_up(bus: Bus, projector: Projector, seq: int) -> None:
    await wait_for(lambda: projector.position.seq >= seq, what=f"the projection at {seq}")


def run_of(count: int, *, org: str = "acme", run: str = "r_1") -> list[JobMessage]:
    return [JobMessage(spec=spec_of(Ids(org, run, f"j_{run}_{n:03}"), position=n)) for n in range(count)]


async def test_a_job_and_its_run(bus: Bus, projected: Projector) -> None:
    first = queued(ONE, size=3, meta={"branch": "main"})
    last = await record(bus, [first, *lifetime(ONE, size=3)[1:]])
    await caught_up(bus, projected, last)
    answer = await get(bus, "j_1")
    assert answer.job is not None
    assert (answer.job.state, answer.job.test, answer.as_of) == ("passed", "tests/test_j_1.py", last)
    answer = await get(bus, "r_1")
    assert answer.run is not None
    assert (answer.run.size, answer.run.counts) == (3, {"passed": 1, "queued": 2})
    assert answer.run.meta == {"branch": "main"}
    assert [job.job_id for job in answer.run.jobs] == ["j_1"]
    assert problem(await get(bus, "j_2")) == "not_found"


async def test_what_was_stored_before_the_question_is_in_the_answer(bus: Bus, projected: Projector) -> None:
    for n in range(40):
        ids = Ids(run_id=f"r_{n // 4}", job_id=f"j_{n}")
        for event in lifetime(ids, position=n % 4, size=4):
            seq = await record(bus, [event])
            job, run = await get(bus, ids.job_id), await get(bus, ids.run_id)
            assert job.job is not None
            assert run.run is not None
            expected = {"queued": "queued", "released": "dispatched", "started": "running", "ended": "passed"}
            assert job.job.state == expected[event.kind]
            assert next(j for j in run.run.jobs if j.job_id == ids.job_id).state == job.job.state
            assert sum(run.run.counts.values()) == run.run.size == 4
            assert job.as_of == seq


async def test_without_a_projector_the_streams_answer(bus: Bus, queries: QueryService) -> None:
    await record(bus, [*lifetime(ONE, size=2), queued(Ids(job_id="j_2"), position=1, size=2)])
    job, run = await get(bus, "j_1"), await get(bus, "r_1")
    assert job.job is not None
    assert job.job.state == "passed"
    assert run.run is not None
    assert run.run.counts == {"passed": 1, "queued": 1}
    assert [j.job_id for j in run.run.jobs] == ["j_1", "j_2"]


async def test_submitted_a_moment_ago(bus: Bus, queries: QueryService) -> None:
    await submit(bus, run_of(5))
    job, run = await get(bus, "j_r_1_003"), await get(bus, "r_1")
    assert job.job is not None
    assert (job.job.state, job.job.position, job.job.run_id) == ("queued", 3, "r_1")
    assert run.run is not None
    assert (run.run.state, run.run.size, run.run.counts, run.run.name) == (
        "queued",
        5,
        {"queued": 5},
        "nightly",
    )
    assert run.run.meta == {"branch": "main"}
    assert [j.job_id for j in run.run.jobs] == [f"j_r_1_{n:03}" for n in range(5)]
    known = await queries.known_jobs("r_1")
    assert known is not None
    assert [doc.job_id for doc in known.docs] == [f"j_r_1_{n:03}" for n in range(5)]
    known = await queries.known_jobs("j_r_1_003")
    assert known is not None
    assert [doc.job_id for doc in known.docs] == ["j_r_1_003"]
    assert await queries.known_jobs("j_9") is None


async def test_partly_announced(bus: Bus, projected: Projector) -> None:
    await submit(bus, run_of(1, run="r_0"))
    await submit(bus, run_of(4))
    await submit(bus, run_of(2, run="r_2"))
    await caught_up(
        bus, projected, await record(bus, [queued(Ids(job_id="j_r_1_000")), started(Ids(job_id="j_r_1_000"))])
    )
    answer = await get(bus, "r_1")
    assert answer.run is not None
    assert (answer.run.size, answer.run.state) == (4, "running")
    assert answer.run.counts == {"running": 1, "queued": 3}
    assert [j.state for j in answer.run.jobs] == ["running", "queued", "queued", "queued"]


async def test_a_job_that_ended_before_it_was_announced_is_told_with_its_test(
    bus: Bus, projected: Projector
) -> None:
    await submit(bus, run_of(2))
    ids = Ids(job_id="j_r_1_001")
    await caught_up(bus, projected, await record(bus, [started(ids), ended(ids)]))
    job, run = await get(bus, "j_r_1_001"), await get(bus, "r_1")
    listed = await ask(bus, "list", ListQuery(run_id="r_1"), ListAnswer)
    assert job.job is not None
    assert run.run is not None
    for view in (job.job, *listed.jobs, next(j for j in run.run.jobs if j.job_id == ids.job_id)):
        assert (view.test, view.position, view.state) == ("tests/test_j_r_1_001.py", 1, "passed")


async def test_a_run_in_several_parts_that_is_not_read_yet(bus: Bus, queries: QueryService) -> None:
    parts = [message.model_copy(update={"parts": 3}) for message in run_of(3)]
    await submit(bus, parts, state="open", size=1700)
    answer = await get(bus, "r_1")
    assert answer.run is not None
    assert (answer.run.size, answer.run.counts, answer.run.jobs) == (1700, {"queued": 1700}, ())


async def test_a_refused_run(bus: Bus, queries: QueryService) -> None:
    parts = [message.model_copy(update={"parts": 2}) for message in run_of(2)]
    await submit(bus, parts, state="refused", size=10)
    refused = Refused(**said(Ids(job_id="j_r_1_000")), message="the run stayed incomplete")
    await record(bus, [refused])
    answer = await get(bus, "r_1")
    assert answer.run is not None
    assert (answer.run.state, answer.run.counts) == ("cancelled", {"cancelled": 10})


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


@pytest.mark.parametrize("limit", [1, 3, 7, 40])
@pytest.mark.parametrize("late", [{0, 1, 2}, {3, 7, 8, 20}, {27, 28, 29}, set(range(0, 30, 2))])
async def test_pages_of_a_run_of_which_the_projection_lacks_some_jobs(
    bus: Bus, store: Store, queries: QueryService, late: set[int], limit: int
) -> None:
    """Its last events brought new jobs, anywhere in the run, and changed ones that it has."""
    del queries  # it answers
    every = [Ids(job_id=f"j_{n:03}") for n in range(30)]
    first = [queued(every[n], position=n, size=30) for n in range(30) if n not in late]
    projector = Projector(bus, store, look_every_s=0.1)
    async with working(projector):
        await wait_for(lambda: projector.position.seq >= 0)
        await record_at_once(bus, first)
        await caught_up(bus, projector, len(first))
    await record_at_once(bus, [queued(every[n], position=n, size=30) for n in sorted(late)])
    await record(bus, [started(every[10]), started(every[25])])
    assert await pages(bus, "r_1", limit) == [ids.job_id for ids in every]


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
        await caught_up(bus, projector, small + large)

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


async def test_right_while_the_projection_is_rebuilt(bus: Bus, store: Store, projected: Projector) -> None:
    events = [e for n in range(50) for e in lifetime(Ids(job_id=f"j_{n}"), position=n, size=50)]
    await record_at_once(bus, events)
    await caught_up(bus, projected, len(events))
    stop = asyncio.Event()

    async def flush() -> None:
        while not stop.is_set():
            await store.client.flushall()
            await asyncio.sleep(0.02)

    flushing = asyncio.create_task(flush())
    try:
        for n in range(50):
            run, job = await get(bus, "r_1"), await get(bus, f"j_{n}")
            if run.problem is None:
                assert run.run is not None
                assert run.run.counts == {"passed": 50}
            else:
                assert problem(run) == "unavailable"
            assert job.job is not None
            assert job.job.state == "passed"
    finally:
        stop.set()
        await flushing


async def test_lists(bus: Bus, projected: Projector) -> None:
    last = 0
    for n in range(6):
        org = "acme" if n % 2 else "other"
        ids = Ids(org, f"r_{org}", f"j_{n}", f"v{n % 3}")
        last = await record(bus, lifetime(ids, state="failed" if n == 3 else "passed"))
    await caught_up(bus, projected, last)

    async def listed(query: ListQuery, org: str | None = None) -> list[str]:
        return [job.job_id for job in (await ask(bus, "list", query, ListAnswer, org)).jobs]

    assert await listed(ListQuery()) == [f"j_{n}" for n in reversed(range(6))]
    assert await listed(ListQuery(limit=2, offset=1)) == ["j_4", "j_3"]
    assert await listed(ListQuery(state="failed")) == ["j_3"]
    assert await listed(ListQuery(org_id="acme", app_version_id="v2")) == ["j_5"]
    assert await listed(ListQuery(run_id="r_other")) == ["j_4", "j_2", "j_0"]
    assert await listed(ListQuery(), "acme") == ["j_5", "j_3", "j_1"]
    assert problem(await ask(bus, "list", ListQuery(org_id="other"), ListAnswer, "acme")) == "bad_request"


async def test_an_organisation_sees_only_its_own(bus: Bus, projected: Projector) -> None:
    await record(bus, lifetime(ONE))
    await put_log(bus, 0, "secret")
    assert (await get(bus, "j_1", "acme")).job is not None
    for any_id in ("j_1", "r_1"):
        assert problem(await get(bus, any_id, "other")) == "not_found"
    assert problem(await ask(bus, "logs", LogsQuery(job_id="j_1"), LogsAnswer, "other")) == "not_found"


async def put_log(bus: Bus, seq: int, text: str, attempt: int = 1) -> int:
    chunk = LogChunk(job_id="j_1", attempt=attempt, seq=seq, at=1.0, parts=(("out", text),))
    return (await bus.requests.publish(subjects.logs("acme", "j_1", attempt), chunk.encode())).seq


async def test_logs(bus: Bus, queries: QueryService) -> None:
    assert problem(await ask(bus, "logs", LogsQuery(job_id="j_1"), LogsAnswer)) == "not_found"
    await record(bus, [queued(ONE)])
    answer = await ask(bus, "logs", LogsQuery(job_id="j_1"), LogsAnswer)
    assert answer.problem is None
    assert not answer.chunks
    for n in range(10):
        await put_log(bus, n, f"line {n}\n", attempt=1 + n // 5)
    await bus.requests.publish(subjects.logs("acme", "j_1", 2), b"no json")
    await bus.requests.publish(subjects.logs("acme", "j_2", 1), b"another job's")
    seen: list[str] = []
    after = 0
    while True:
        answer = await ask(bus, "logs", LogsQuery(job_id="j_1", after_seq=after, limit=4), LogsAnswer)
        assert 0 < len(answer.chunks) <= 4
        seen += [text for chunk in answer.chunks for _, text in chunk.parts]
        after = answer.chunks[-1].stream_seq
        if not answer.more:
            break
    assert seen[:10] == [f"line {n}\n" for n in range(10)]
    assert seen[10].startswith("[a piece of the log cannot be read: not a LogChunk")
    assert len(seen) == 11


async def test_the_end_of_a_log_is_found_without_the_rest(bus: Bus, queries: QueryService) -> None:
    """Far from the end of the stream, which is other jobs', and in chunks of one line and of many."""
    await record(bus, [queued(ONE)])
    for n in range(200):
        await put_log(bus, n, f"line {n}\n", attempt=1 + n // 150)
    many = "".join(f"line {n}\n" for n in range(200, 5000))
    await put_log(bus, 200, many, attempt=2)
    await put_log(bus, 201, "line 5000\nopen", attempt=2)
    other = LogChunk(job_id="j_2", attempt=1, seq=0, at=1.0, parts=(("out", "other\n"),)).encode()
    for _ in range(300):
        await bus.requests.publish(subjects.logs("acme", "j_2", 1), other)

    async def tail(lines: int, *, limit: int = 1000) -> str:
        answer = await ask(bus, "logs", LogsQuery(job_id="j_1", tail=lines, limit=limit), LogsAnswer)
        assert answer.more == (limit < 1000)
        assert len(answer.chunks) <= limit
        return "".join(text for chunk in answer.chunks for _, text in chunk.parts)

    assert await tail(1) == "open"
    assert await tail(3) == "line 4999\nline 5000\nopen"
    assert (await tail(4900)).startswith("line 102\n")
    assert (await tail(10_000)).startswith("line 0\n")
    assert await tail(4900, limit=2) == "line 102\nline 103\n"


async def test_the_end_of_a_log_stays_below_what_the_server_takes(bus: Bus, queries: QueryService) -> None:
    await record(bus, [queued(ONE)])
    for n in range(200):
        await put_log(bus, n, f"{n:03}" + "x" * (bus.max_payload // 10))
    answer = await ask(bus, "logs", LogsQuery(job_id="j_1", tail=1), LogsAnswer)
    # One line of 20 MB that does not end: as much as was looked at is all that is shown of it.
    assert answer.more
    assert int(answer.chunks[0].parts[0][1][:3]) > 30
    after = answer.chunks[-1].stream_seq
    answer = await ask(bus, "logs", LogsQuery(job_id="j_1", after_seq=after), LogsAnswer)
    assert answer.chunks[0].stream_seq == after + 1


async def test_pages_of_logs_stay_below_what_the_server_takes(bus: Bus, queries: QueryService) -> None:
    await record(bus, [queued(ONE)])
    size = bus.max_payload // 10
    for n in range(30):
        await put_log(bus, n, f"{n:02}" + '"' * (size // 2))
    huge = LogChunk(job_id="j_1", attempt=1, seq=30, at=1.0, parts=(("out", "x" * (bus.max_payload - 1000)),))
    await bus.requests.publish(subjects.logs("acme", "j_1", 1), huge.encode())
    seen: list[str] = []
    after, more = 0, True
    while more:
        answer = await ask(bus, "logs", LogsQuery(job_id="j_1", after_seq=after, limit=1000), LogsAnswer)
        assert answer.chunks
        seen += [chunk.parts[0][1] for chunk in answer.chunks]
        after, more = answer.chunks[-1].stream_seq, answer.more
    assert [text[:2] for text in seen[:30]] == [f"{n:02}" for n in range(30)]
    assert seen[30].startswith("[a piece of the log of")


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
                await wait_for(lambda: _answers(bus))
                answer = await get(bus, "r_1")
                assert answer.run is not None
                assert len(answer.run.jobs) == 50
                assert all((job.message or "").endswith("m…") for job in answer.run.jobs)
                job = await get(bus, "j_07")
                assert job.job is not None
                assert job.job.message == "m" * 4000
    finally:
        server.kill()


RUBBISH = (
    b"",
    b"no json",
    b"[]",
    b"{}",
    b'{"id": ""}',
    b'{"id": "x", "job_id": "x", "limit": -1}',
    b'{"v": 99, "id": "x", "job_id": "x"}',
    b"\xff",
)


async def test_bad_questions(bus: Bus, queries: QueryService) -> None:
    for name in ("get", "logs", "list"):
        for data in RUBBISH:
            reply = await bus.requests.request(subjects.query(name), data)
            answer = json.loads(reply.data)
            if name == "list" and data in {b"{}", b'{"id": ""}'}:
                assert answer["problem"]["code"] == "unavailable"  # a right question, and no projection
            else:
                assert answer["problem"]["code"] == "bad_request"
                assert "\n" not in answer["problem"]["message"]
    assert (await ask(bus, "agents", Query(), AgentsAnswer)).problem is None


async def test_a_question_that_there_is_not(bus: Bus, queries: QueryService) -> None:
    reply = await bus.requests.request("qg.query.lottery.any", b"{}")
    assert "lottery" in GetAnswer.decode(reply.data).model_dump()["problem"]["message"]


@pytest.mark.parametrize("any_id", ["*", ">", "a b", "qg.events.>", "x" * 200, "é\x00", "j_1:jobs", "=2A"])
async def test_hostile_ids(bus: Bus, projected: Projector, any_id: str) -> None:
    await record(bus, lifetime(ONE))
    assert problem(await get(bus, any_id)) == "not_found"
    assert problem(await ask(bus, "logs", LogsQuery(job_id=any_id), LogsAnswer)) == "not_found"
    ids = Ids(any_id, any_id + "r", any_id, any_id)
    await record(bus, lifetime(ids))
    job, run = await get(bus, any_id, any_id), await get(bus, any_id + "r")
    assert job.job is not None
    assert job.job.org_id == any_id
    assert run.run is not None
    assert run.run.counts == {"passed": 1}
    assert (await get(bus, "r_1")).run is not None


async def test_many_at_once(bus: Bus, projected: Projector) -> None:
    await record(bus, lifetime(ONE))
    answers = await asyncio.gather(*(get(bus, "j_1") for _ in range(300)))
    assert all(answer.job is not None and answer.job.state == "passed" for answer in answers)


async def test_the_store_is_away(bus: Bus, queries: QueryService, valkey_server: ValkeyServer) -> None:
    await record(bus, lifetime(ONE))
    valkey_server.kill()
    answer = await ask(bus, "list", ListQuery(), ListAnswer)
    assert problem(answer) == "unavailable"
    assert "Cannot reach the store" in answer.model_dump()["problem"]["message"]
    found = await get(bus, "j_1")
    assert found.job is not None
    assert found.job.state == "passed"
    known = await queries.known_jobs("r_1")
    assert known is not None
    assert [doc.job_id for doc in known.docs] == ["j_1"]
    assert problem(await get(bus, "j_9")) == "not_found"
    health = await ask(bus, "health", Query(), HealthAnswer)
    assert {check.name for check in health.checks if not check.ok} >= {"store", "projection"}
    await valkey_server.start()
    answer = await ask(bus, "list", ListQuery(), ListAnswer)
    assert "no projection" in answer.model_dump()["problem"]["message"]


async def test_agents(bus: Bus, queries: QueryService) -> None:
    (heartbeat,) = [sample for sample in SAMPLES if isinstance(sample, Heartbeat)]
    assert (await ask(bus, "agents", Query(), AgentsAnswer)).agents == ()
    for name, state in (("b", "up"), ("a", "draining"), ("c", "gone")):
        beat = heartbeat.model_copy(update={"agent": name, "state": state})
        await kv.put(bus, streams.AGENTS_BUCKET, name, beat.encode(), ttl_s=15)
    await kv.put(bus, streams.AGENTS_BUCKET, "d", b"no heartbeat")
    await kv.put(bus, streams.AGENTS_BUCKET, "e", heartbeat.encode())
    await kv.delete(bus, streams.AGENTS_BUCKET, "e")
    assert [agent.agent for agent in (await ask(bus, "agents", Query(), AgentsAnswer)).agents] == ["a", "b"]


async def test_overview(bus: Bus, store: Store) -> None:
    seen: list[Overview] = []
    async with working(QueryService(bus, Reader(store), lambda: seen[-1] if seen else None)):
        await wait_for(lambda: _answers(bus))
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
    (heartbeat,) = [sample for sample in SAMPLES if isinstance(sample, Heartbeat)]
    await kv.put(bus, streams.AGENTS_BUCKET, encode_token(heartbeat.agent), heartbeat.encode())
    await kv.put(bus, streams.LEADER_BUCKET, KEY, b'{"replica": "one"}')
    assert all((await checks()).values())
    await bus.requests.api(f"STREAM.DELETE.{streams.LOGS}")
    assert not (await checks())["streams"]


async def test_two_replicas_share_the_questions(bus: Bus, store: Store) -> None:
    one, two = (QueryService(bus, Reader(store), lambda n=n: Overview(at=n)) for n in (1.0, 2.0))
    async with working(one, two):
        await wait_for(lambda: _answers(bus))

        async def both() -> bool:
            answers = [await ask(bus, "overview", Query(), Overview) for _ in range(20)]
            return {answer.at for answer in answers} == {1.0, 2.0}

        await wait_for(both)
    with pytest.raises(NoRespondersError):
        await get(bus, "j_1")


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


async def test_a_lagging_projection_and_a_job_that_waits_for_too_long_are_seen(
    bus: Bus, store: Store, queries: QueryService
) -> None:
    del queries  # its topology is all that is needed
    projector = Projector(bus, store, look_every_s=0.1)
    first, *rest = lifetime(ONE)
    async with working(projector):
        await wait_for(lambda: projector.position.seq >= 0)
        await record(bus, [first])
        await wait_for(lambda: projector.position.seq >= 1 and projector.lag == 0)

    async def wrong(seconds: float) -> dict[str, str]:
        check = HealthCheck(bus, Reader(store), ManualClock(time.time() + seconds))
        return {view.name: view.detail for view in (await check.answer()).checks if not view.ok}

    assert {"queue", "projection"}.isdisjoint(await wrong(0))
    assert "the oldest waits for" in (await wrong(13 * 3600.0))["queue"]
    await record(bus, rest)  # and nobody projects
    assert {"queue", "projection"}.isdisjoint(await wrong(0))
    assert (await wrong(60))["projection"] == f"{len(rest)} events behind"
