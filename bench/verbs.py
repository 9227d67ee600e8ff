"""How long a request takes until its event is stored: cancel, reprioritise and retry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from bench.system import percentiles, running
from bus_schemas.control import CtlAnswer
from bus_schemas.events import decode_event
from qgjob.client import Client
from qgjob.clock import SystemClock
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg

Act = Callable[[str], Awaitable[CtlAnswer]]
SAMPLES = 100
WAITING = 1000


class _Events:
    """When each event of a job arrived here, on this process's clock."""

    def __init__(self) -> None:
        self.arrived: dict[tuple[str, str], float] = {}

    async def on_event(self, msg: Msg) -> None:
        event = decode_event(msg.data)
        self.arrived[event.job_id, event.kind] = time.monotonic()

    def all_have(self, kind: str, jobs: list[str]) -> bool:
        return all((job_id, kind) in self.arrived for job_id in jobs)


async def _measure(events: _Events, jobs: list[str], kind: str, act: Act) -> dict[str, float]:
    took: list[float] = []
    for job_id in jobs:
        events.arrived.pop((job_id, kind), None)
        began = time.monotonic()
        answer = await act(job_id)
        assert job_id in {*answer.affected, *answer.later}, answer
        await wait_for(lambda key=(job_id, kind): key in events.arrived, 10, f"{kind} of {job_id}")
        took.append((events.arrived[job_id, kind] - began) * 1000)
    return {name: round(value, 1) for name, value in percentiles(took).items()}


async def verbs() -> dict[str, Any]:
    """Milliseconds from the request to its stored event, each verb on jobs one by one.

    1,000 more jobs wait; two slots, one host. `cancel_running` is to the `cancelling` event, with which
    the slot is told; its process gets the signal right then.
    """
    events, figures = _Events(), dict[str, Any]()
    async with running(agents=1, slots=2) as bus:
        client = Client(bus, SystemClock())
        await bus.nc.subscribe("qg.live.events.>", cb=events.on_event)
        await submit(bus, done := planned(SAMPLES, runner="noop"))
        ended = [spec.job_id for spec in done.specs]
        await wait_for(lambda: events.all_have("ended", ended), 60, "ended jobs")
        await client.pause_queue()
        await submit(bus, planned(WAITING, runner="noop"))
        await submit(bus, queued := planned(SAMPLES, runner="noop"))
        waiting = [spec.job_id for spec in queued.specs]
        await wait_for(lambda: events.all_have("queued", waiting), 60, "waiting jobs")
        figures["retry"] = await _measure(events, ended, "retrying", client.retry)
        figures["reprioritise"] = await _measure(
            events, waiting, "reprioritised", lambda job_id: client.reprioritise(job_id, 9)
        )
        figures["cancel_waiting"] = await _measure(events, waiting, "ended", client.cancel)
        await submit(bus, long := planned(20, runner="sleep", argv=("60",), app="v2"))
        await client.reprioritise(long.run_id, 10)
        await client.resume_queue()
        took: list[dict[str, float]] = []
        left = {spec.job_id for spec in long.specs}
        while left:
            await wait_for(lambda: any((i, "started") in events.arrived for i in left), 60, "a running job")
            job_id = next(i for i in left if (i, "started") in events.arrived)
            took.append(await _measure(events, [job_id], "cancelling", client.cancel))
            left.discard(job_id)
        figures["cancel_running"] = {
            name: round(value, 1) for name, value in percentiles(one["max"] for one in took).items()
        }
    return figures


def run_verbs() -> dict[str, Any]:
    """The benchmark of the control verbs."""
    return asyncio.run(verbs())
