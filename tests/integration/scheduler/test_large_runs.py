"""What is asked of a large run is done in parts: the leader has its key to renew meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from bus_schemas import subjects
from bus_schemas.control import CancelRequest, CtlAnswer
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from qgjob.clock import SystemClock
from qgjob.domain.placement.events import JobArrived
from qgjob.scheduler.backlog.entries import Backlog, Entry, placement_job
from qgjob.scheduler.control.bulk import Bulk, Operation
from qgjob.scheduler.control.cancels import Cancels
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.queries.lookup import KnownJobs
from qgjob.scheduler.slices import AT_ONCE
from tests.integration.scheduler.test_overview import unheard
from tests.support.runs import planned


async def nothing_else(_: str) -> KnownJobs | None:
    return KnownJobs([])


async def at_once(_: str, __: Operation) -> None:
    """All jobs are in the backlog already."""


async def test_a_large_run_is_cancelled_a_part_at_a_time(bus: Bus) -> None:
    clock, backlog, over = SystemClock(), Backlog(), list[Entry]()
    lab = Lab(clock, unheard, unheard, unheard)
    cancels = Cancels(bus, clock, lab, backlog, nothing_else, at_once, over.append)
    run = planned(4 * AT_ONCE, runner="noop")
    for place, spec in enumerate(run.specs, 1):
        message = JobMessage(spec=spec)
        backlog.add(Entry(spec.job_id, spec.run_id, spec.org_id, 1, message.encode(), place, None))
        lab.feed(JobArrived(placement_job(message, clock.now(), place)))
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(asyncio.all_tasks()))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    request = CancelRequest(id=run.run_id, by="test").encode()
    ready = asyncio.Event()
    ready.set()
    bulk = Bulk(bus, clock, {"cancel": cancels.cancel}, ready)
    reigning = asyncio.create_task(bulk.run())
    cancel = bulk.verb("cancel")
    # Who asked does not wait that long, and asks again.
    answer, again = await asyncio.gather(cancel(request), cancel(request))
    for task in (watching, reigning):
        task.cancel()
    await asyncio.gather(watching, reigning, return_exceptions=True)
    assert len(answer.affected) == len(run.specs)
    assert again == answer
    assert lab.state.jobs == {}
    assert most < 2 * AT_ONCE
    ended = await bus.requests.api("STREAM.INFO.QG_EVENTS", {"subjects_filter": subjects.EVENT_CHAINS})
    assert ended["state"]["num_subjects"] == len(run.specs)


@pytest.mark.parametrize(("jobs", "times"), [(2, 1), (1, 2)])
async def test_only_the_answer_to_a_request_for_many_jobs_is_remembered(
    bus: Bus, jobs: int, times: int
) -> None:
    carried: list[bytes] = []

    async def act(data: bytes, operation: Operation) -> CtlAnswer:
        await operation.add_jobs(jobs)
        carried.append(data)
        return CtlAnswer(affected=("j_1",))

    ready = asyncio.Event()
    ready.set()
    bulk = Bulk(bus, SystemClock(), {"cancel": act}, ready)
    reigning = asyncio.create_task(bulk.run())
    request = CancelRequest(id="r_1", by="test", nonce="n", patient=True).encode()
    answers = [await bulk.verb("cancel")(request) for _ in range(2)]
    assert answers == [CtlAnswer(affected=("j_1",))] * 2
    assert len(carried) == times
    reigning.cancel()
    await asyncio.wait([reigning])
