"""What is asked of a job just when its next attempt comes in reaches that attempt, and no later one."""

from __future__ import annotations

import asyncio
import time

import pytest

from bus_schemas.control import CancelRequest, ReprioritiseRequest
from bus_schemas.events import Attempt, Ended
from bus_schemas.jobs import JobMessage
from qgjob.bus.chain import END_HEADERS, chain_subject, ended_event, read_chain
from qgjob.bus.connect import Bus
from qgjob.bus.publisher import Publisher
from qgjob.clock import SystemClock
from qgjob.domain.history import JobDoc
from qgjob.domain.placement.events import JobArrived
from qgjob.scheduler.backlog.entries import Backlog, Entry, placement_job
from qgjob.scheduler.control.bulk import Operation
from qgjob.scheduler.control.cancels import Cancels
from qgjob.scheduler.control.priorities import Priorities
from qgjob.scheduler.dispatch.lab import Lab
from qgjob.scheduler.queries.lookup import KnownJobs
from tests.integration.scheduler.test_large_runs import at_once
from tests.integration.scheduler.test_overview import unheard
from tests.support.runs import planned


class Between:
    """A job whose first attempt failed, and a leader that hears of the second while it is asked."""

    def __init__(self, bus: Bus, told: int) -> None:
        self.bus, self.clock, self.backlog = bus, SystemClock(), Backlog()
        self.told = told
        """The attempt that events told of last."""
        self.lab = Lab(self.clock, unheard, unheard, unheard)
        (self.spec,) = planned(1, runner="noop").specs
        self.over: list[Entry] = []
        self.cancels = Cancels(bus, self.clock, self.lab, self.backlog, self.known, at_once, self.over.append)

    def attempt(self, number: int) -> JobMessage:
        return JobMessage(spec=self.spec, attempt=number, failures=number - 1)

    def comes_in(self, number: int, priority: int = 5) -> Entry:
        message, spec = self.attempt(number), self.spec
        entry = Entry(spec.job_id, spec.run_id, spec.org_id, number, message.encode(), number, None)
        self.backlog.add(entry)
        self.cancels.on_job(entry)
        self.lab.feed(JobArrived(placement_job(message, self.clock.now(), number, priority=priority)))
        return entry

    async def known(self, _: str) -> KnownJobs:
        self.comes_in(2)
        spec = self.spec
        return KnownJobs([JobDoc(spec.job_id, spec.run_id, spec.org_id, attempt=self.told)])

    async def fails_first(self) -> None:
        message, now = self.attempt(1), self.clock.now()
        result = Attempt(number=1, agent="a", slot="s0", finished_at=now, outcome="failed")
        end = ended_event(message, "failed", result, at=now, following=self.attempt(2))
        await self.bus.requests.publish(chain_subject(message), end.encode(), headers=END_HEADERS)

    async def end_of(self, number: int) -> str | None:
        link, _ = await read_chain(self.bus, chain_subject(self.attempt(number)))
        return link.state if isinstance(link, Ended) else None


async def forget(_: Operation) -> None:
    """Nothing is kept."""


@pytest.mark.parametrize("told", [1, 2])
async def test_a_cancel(bus: Bus, told: int) -> None:
    job = Between(bus, told)
    await job.fails_first()
    request = CancelRequest(id=job.spec.job_id, by="ann", reason="enough").encode()
    answer = await job.cancels.cancel(request, Operation("cancel", request, forget, time.time()))
    assert answer.affected == (job.spec.job_id,)
    assert await job.end_of(2) == "cancelled"
    assert not job.lab.state.jobs, "it is placed all the same"
    job.backlog.drop(job.spec.job_id, 2)
    job.comes_in(3)  # as somebody asked for
    for _ in range(20):
        await asyncio.sleep(0.01)
    assert await job.end_of(3) is None, "who wanted the one before ended is not asked about this one"


async def test_a_new_priority(bus: Bus) -> None:
    job = Between(bus, told=1)
    events, ready = Publisher(bus), asyncio.Event()
    waits, spec = planned(2, runner="noop").specs, job.spec

    async def known(_: str) -> KnownJobs:
        return KnownJobs([JobDoc(spec.job_id, spec.run_id, spec.org_id)])

    async def comes_in(_: Operation) -> None:
        job.comes_in(2, priority=priorities.priority_of(spec.job_id, spec.run_id, spec.priority))

    priorities = Priorities(bus, job.clock, job.backlog, events, job.lab.feed, known, at_once, ready)
    for place, other in enumerate(waits, 10):  # of several jobs the request is kept, which takes its time
        message = JobMessage(spec=other.model_copy(update={"run_id": spec.run_id}))
        entry = Entry(other.job_id, spec.run_id, spec.org_id, 1, message.encode(), place, None)
        job.backlog.add(entry)
        job.lab.feed(JobArrived(placement_job(message, job.clock.now(), place)))
    request = ReprioritiseRequest(id=spec.run_id, by="ann", priority=9).encode()
    publishing = asyncio.create_task(events.run())
    try:
        operation = Operation("reprioritise", request, comes_in, time.time())
        answer = await priorities.reprioritise(request, operation)
    finally:
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    assert {waiting.priority for waiting in job.lab.state.jobs.values()} == {9}
    assert set(answer.affected) == {spec.job_id, *(other.job_id for other in waits)}
    assert answer.later == ()
