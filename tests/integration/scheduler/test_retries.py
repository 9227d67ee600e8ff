"""Retries of jobs whose end the leader has not heard of yet, or of which it has not told yet."""

from __future__ import annotations

import asyncio

from bus_schemas import streams, subjects
from bus_schemas.control import CtlAnswer, RetryRequest
from bus_schemas.jobs import JobMessage
from qgjob.bus.connect import Bus
from qgjob.bus.direct import read_last
from qgjob.bus.publish import OutMsg
from qgjob.bus.publisher import Publisher, publish_each
from qgjob.clock import SystemClock
from qgjob.domain.history import JobDoc
from qgjob.scheduler.backlog.entries import Backlog, Entry
from qgjob.scheduler.control.bulk import Operation
from qgjob.scheduler.control.retries import Retries
from qgjob.scheduler.queries.lookup import KnownJobs
from tests.support.views import queued, view
from tests.support.wait import wait_for

DOC = JobDoc("j_1", "r_1", "acme", state="passed")


TOLD = queued(view(job_id=DOC.job_id, run_id=DOC.run_id))
ANNOUNCED = OutMsg(subjects.event(DOC.org_id, DOC.run_id, DOC.job_id, 1, "info"), TOLD.encode())
OTHER = OutMsg(subjects.event(DOC.org_id, DOC.run_id, "j_0", 1, "info"), TOLD.encode())


async def known(_: str) -> KnownJobs | None:
    return KnownJobs([DOC])


async def keep(_: Operation) -> None:
    pass


async def retried(retries: Retries) -> CtlAnswer:
    request = RetryRequest(id=DOC.job_id, nonce="n", by="ann")
    return await asyncio.wait_for(retries.retry(request.encode(), Operation("retry", b"", keep, 0.0)), 20)


async def test_a_job_that_has_just_ended_is_tried_again_once_that_is_heard(bus: Bus) -> None:
    await publish_each(bus, [ANNOUNCED])
    backlog = Backlog()
    backlog.add(Entry(DOC.job_id, DOC.run_id, DOC.org_id, 1, JobMessage(spec=TOLD.spec).encode(), 1, None))

    async def ending(any_id: str) -> KnownJobs | None:
        # The end is heard while the retry goes on.
        asyncio.get_running_loop().call_later(0.1, backlog.drop, any_id, 1)
        return await known(any_id)

    answer = await retried(Retries(bus, SystemClock(), backlog, Publisher(bus), ending))
    assert (answer.affected, answer.already) == ((DOC.job_id,), ())
    (waiting,) = await read_last(bus, streams.JOBS, [f"qg.jobs.*.*.{DOC.job_id}"])
    assert JobMessage.decode(waiting.data).attempt == 2


async def test_a_job_that_ended_before_it_was_announced_is_tried_again(bus: Bus) -> None:
    """As one that was superseded as soon as it came: what it was made of is in an event that is gathered yet."""
    events = Publisher(bus, gather_s=60.0)
    events.post(OTHER)
    running = asyncio.create_task(events.run())
    try:
        await wait_for(lambda: events.done == 1)
        events.post(ANNOUNCED)
        answer = await retried(Retries(bus, SystemClock(), Backlog(), events, known))
        assert answer.affected == (DOC.job_id,)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_job_that_was_announced_does_not_wait_for_what_is_told_of_others(bus: Bus) -> None:
    """As of a large run that is just read, of which there is more to tell than is told in seconds."""
    await publish_each(bus, [ANNOUNCED])
    events = Publisher(bus)
    events.post(OTHER)
    answer = await retried(Retries(bus, SystemClock(), Backlog(), events, known))
    assert (answer.affected, events.done) == ((DOC.job_id,), 0)
