"""Questions about a job or a run: what was stored before the question is in the answer."""

from __future__ import annotations

import asyncio
import time

import pytest

from bus_schemas import streams, subjects
from bus_schemas.events import Refused
from bus_schemas.jobs import JobMessage
from bus_schemas.queries import HealthAnswer, ListAnswer, ListQuery, Query
from qgjob.bus.connect import Bus
from qgjob.scheduler.projection.projector import Projector
from qgjob.scheduler.queries.lookup import FoundRun, Lookup
from qgjob.scheduler.queries.service import QueryService
from qgjob.store.connect import Store
from qgjob.store.reader import Reader
from tests.support.clock import ManualClock
from tests.support.eventlog import record, record_at_once, submit
from tests.support.histories import Ids, ended, lifetime, queued, said, spec_of, started
from tests.support.questions import ONE, answers, ask, caught_up, get, problem, working
from tests.support.servers import ValkeyServer
from tests.support.wait import wait_for


def run_of(count: int, *, org: str = "acme", run: str = "r_1") -> list[JobMessage]:
    return [JobMessage(spec=spec_of(Ids(org, run, f"j_{run}_{n:03}"), position=n)) for n in range(count)]


async def test_a_job_and_its_run(bus: Bus, projected: Projector) -> None:
    first = queued(ONE, size=3, meta={"branch": "main"})
    last = await record(bus, [first, *lifetime(ONE, size=3)[1:]])
    await caught_up(projected, last)
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
    for n in range(16):
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


async def test_a_job_that_ended_before_it_was_announced_is_told_with_its_test(
    bus: Bus, projected: Projector
) -> None:
    await submit(bus, run_of(2))
    ids = Ids(job_id="j_r_1_001")
    await caught_up(projected, await record(bus, [started(ids), ended(ids)]))
    job, run = await get(bus, "j_r_1_001"), await get(bus, "r_1")
    listed = await ask(bus, "list", ListQuery(run_id="r_1"), ListAnswer)
    assert job.job is not None
    assert run.run is not None
    for view in (job.job, *listed.jobs, next(j for j in run.run.jobs if j.job_id == ids.job_id)):
        assert (view.test, view.position, view.state) == ("tests/test_j_r_1_001.py", 1, "passed")


async def test_partly_announced(bus: Bus, projected: Projector) -> None:
    await submit(bus, run_of(1, run="r_0"))
    await submit(bus, run_of(4))
    await submit(bus, run_of(2, run="r_2"))
    await caught_up(
        projected, await record(bus, [queued(Ids(job_id="j_r_1_000")), started(Ids(job_id="j_r_1_000"))])
    )
    answer = await get(bus, "r_1")
    assert answer.run is not None
    assert (answer.run.size, answer.run.state) == (4, "running")
    assert answer.run.counts == {"running": 1, "queued": 3}
    assert [j.state for j in answer.run.jobs] == ["running", "queued", "queued", "queued"]


async def test_a_run_in_several_parts_that_is_not_read_yet(bus: Bus, queries: QueryService) -> None:
    parts = [message.model_copy(update={"parts": 3}) for message in run_of(3)]
    await submit(bus, parts, state="open", size=1700)
    answer = await get(bus, "r_1")
    assert answer.run is not None
    assert (answer.run.size, answer.run.counts, answer.run.jobs) == (1700, {"queued": 1700}, ())


async def test_a_marker_whose_sender_was_killed_before_it_sent_the_job(
    bus: Bus, store: Store, queries: QueryService
) -> None:
    del queries
    (job,) = run_of(1)
    await submit(bus, [job])
    subject = subjects.job("medium", job.spec.org_id, job.spec.job_id)
    await bus.requests.api(f"STREAM.PURGE.{streams.JOBS}", {"filter": subject})
    await submit(bus, run_of(3, run="r_2"))  # of others meanwhile

    async def shown(seconds: float) -> tuple[str, dict[str, int]]:
        found = await Lookup(bus, Reader(store), ManualClock(time.time() + seconds)).find("r_1")
        assert isinstance(found, FoundRun)
        view = found.view()
        return view.state, dict(view.counts)

    assert await shown(0) == ("queued", {"queued": 1})
    assert await shown(300) == ("cancelled", {"cancelled": 1})
    await bus.requests.publish(subject, job.encode())  # it was only slow
    assert await shown(300) == ("queued", {"queued": 1})


@pytest.mark.parametrize("parts", [1, 3])
async def test_a_run_whose_marker_is_all_that_is_left(bus: Bus, store: Store, parts: int) -> None:
    jobs = [message.model_copy(update={"parts": parts, "part": parts - 1}) for message in run_of(2)]
    await submit(bus, jobs, size=2)
    tomorrow = QueryService(bus, Reader(store), lambda: None, clock=ManualClock(time.time() + 90_000))
    async with working(tomorrow):
        await wait_for(lambda: answers(bus))
        waiting = await get(bus, "r_1")
        assert waiting.run is not None
        assert waiting.run.state == "queued"
        await bus.requests.api(f"STREAM.PURGE.{streams.JOBS}", {"filter": "qg.jobs.medium.>"})
        over = await get(bus, "r_1")
    assert over.problem is not None
    assert over.problem.code == "not_found"
    assert over.problem.message.startswith("What became of r_1 is not kept any more")


async def test_a_refused_run(bus: Bus, queries: QueryService) -> None:
    parts = [message.model_copy(update={"parts": 2}) for message in run_of(2)]
    await submit(bus, parts, state="refused", size=10)
    refused = Refused(**said(Ids(job_id="j_r_1_000")), message="the run stayed incomplete")
    await record(bus, [refused])
    answer = await get(bus, "r_1")
    assert answer.run is not None
    assert (answer.run.state, answer.run.counts) == ("cancelled", {"cancelled": 10})


async def test_right_while_the_projection_is_rebuilt(bus: Bus, store: Store, projected: Projector) -> None:
    events = [e for n in range(50) for e in lifetime(Ids(job_id=f"j_{n}"), position=n, size=50)]
    await record_at_once(bus, events)
    await caught_up(projected, len(events))
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
