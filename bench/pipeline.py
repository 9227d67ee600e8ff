"""How fast jobs go through: latency from submit to start, and jobs a second from end to end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bench.system import percentiles, running, small_bundle, stored_at
from bus_schemas import subjects
from bus_schemas.events import Ended, Started, decode_event
from bus_schemas.queries import GetAnswer, GetQuery
from qgjob.bus.connect import Bus
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg


async def latency(samples: int = 1000) -> dict[str, float]:
    """Milliseconds from the publish call of a submit to the stream time of `started`.

    One job in flight, an idle slot that holds the build, runner `noop`, same host.
    """
    started: dict[str, float] = {}
    ended: set[str] = set()

    async def on_event(msg: Msg) -> None:
        event = decode_event(msg.data)
        if isinstance(event, Started):
            started[event.job_id] = stored_at(msg)
        elif isinstance(event, Ended):
            ended.add(event.job_id)

    async with running(agents=1, slots=1) as bus:
        await bus.nc.subscribe("qg.live.events.*.*.*.*.state", cb=on_event)
        took: list[float] = []
        for number in range(samples + 20):
            run = planned(1, runner="noop")
            job_id = run.specs[0].job_id
            began = time.time()
            await submit(bus, run)
            await wait_for(lambda job_id=job_id: job_id in ended, 10, f"the end of {job_id}")
            if number >= 20:
                took.append((started[job_id] - began) * 1000)
        return {name: round(value, 2) for name, value in percentiles(took).items()}


async def throughput(
    jobs: int = 5000, *, runner: str = "noop", agents: int = 2, slots: int = 4
) -> dict[str, float]:
    """Jobs a second from the first publish to the last recorded end, and until the projection has it."""
    ends: list[float] = []

    async def on_event(msg: Msg) -> None:
        if b'"kind":"ended"' in msg.data:
            ends.append(stored_at(msg))

    async with running(agents=agents, slots=slots) as bus:
        shape: dict[str, Any] = {"runner": runner}
        if runner == "command":
            shape |= {"argv": ("true",), "bundle": await small_bundle(bus), "test": "t.py"}
        await submit(bus, warm := planned(50, **shape))
        await _projected(bus, warm.run_id, 50)
        await bus.nc.subscribe("qg.live.events.*.*.*.*.state", cb=on_event)
        run = planned(jobs, **shape)
        began = time.time()
        await submit(bus, run)
        submitted = time.time() - began
        await wait_for(lambda: len(ends) >= jobs, 300, f"{jobs} ends")
        took = max(ends) - began
        await _projected(bus, run.run_id, jobs)
        projected = time.time() - began
    return {
        "jobs": jobs,
        "submit_s": round(submitted, 3),
        "ended_s": round(took, 3),
        "jobs_per_s": round(jobs / took, 1),
        "projected_s": round(projected, 3),
    }


async def _projected(bus: Bus, run_id: str, count: int) -> None:
    async def done() -> bool:
        query = GetQuery(id=run_id, limit=0)
        answer = GetAnswer.decode((await bus.requests.request(subjects.query("get"), query.encode())).data)
        return answer.run is not None and answer.run.counts.get("passed", 0) == count

    await wait_for(done, 60, f"{count} passed jobs in the projection")


def run_latency() -> dict[str, float]:
    """The latency benchmark."""
    return asyncio.run(latency())


def run_throughput() -> dict[str, float]:
    """The throughput benchmark with runner `noop`."""
    return asyncio.run(throughput())


def run_commands() -> dict[str, float]:
    """The throughput benchmark with a real process for each job."""
    return asyncio.run(throughput(1000, runner="command"))
