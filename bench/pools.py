"""What people build by hand instead: workers on the same bus that take the next job themselves.

`first_come`: one queue; a worker takes what comes next and installs when its device has another build, as
task queues do. `stealing`: a queue for each build; a worker stays with its queue, and when that is empty
joins the one with the most jobs a worker.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from nats.errors import TimeoutError as NatsTimeoutError

from qgjob.bus.connect import Bus
from qgjob.bus.pull import ACK
from qgjob.bus.topology import create_consumer
from qgjob.simulate.trace import TraceJob

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_STREAM: Final = "BENCH_POOL"
_EVERY: Final = "every"


@dataclass(slots=True)
class Pool:
    """Workers in this process, one device each."""

    bus: Bus
    jobs: Sequence[TraceJob]
    install_s: float
    installs: int = 0
    done: int = 0
    owners: Counter[str] = field(default_factory=Counter[str])
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(
        self, workers: int, work: Callable[[Pool], Coroutine[None, None, None]]
    ) -> tuple[float, int]:
        """Seconds from the first job's publishing to the last one's end, and the installs."""
        config = {"name": _STREAM, "subjects": ["bench.pool.*"], "retention": "limits", "storage": "file"}
        with suppress(Exception):  # of an earlier round
            await self.bus.requests.api(f"STREAM.DELETE.{_STREAM}", {})
        await self.bus.requests.api(f"STREAM.CREATE.{_STREAM}", config)
        for name in {_EVERY, *(job.app_version_id for job in self.jobs)}:
            await create_consumer(
                self.bus,
                _STREAM,
                {
                    "name": name,
                    "durable_name": name,
                    "filter_subject": f"bench.pool.{'*' if name == _EVERY else name}",
                    "ack_policy": "explicit",
                    "ack_wait": 60_000_000_000,
                    "deliver_policy": "all",
                },
            )
        tasks = [asyncio.create_task(work(self)) for _ in range(workers)]
        began = time.perf_counter()
        for number, job in enumerate(self.jobs):
            await asyncio.sleep(max(0.0, began + job.arrival_s - time.perf_counter()))
            await self.bus.nc.publish(f"bench.pool.{job.app_version_id}", str(number).encode())
        ended = asyncio.create_task(self.ended.wait())
        finished, _ = await asyncio.wait((ended, *tasks), timeout=120, return_when=asyncio.FIRST_COMPLETED)
        took = time.perf_counter() - began
        for task in tasks:
            task.cancel()
        if ended not in finished:
            ended.cancel()
            raise RuntimeError(f"only {self.done} of {len(self.jobs)} jobs ended") from next(
                (error for task in finished if (error := task.exception())), None
            )
        return took, self.installs

    async def next_of(self, consumer: str, *, wait_s: float = 0.0) -> Msg | None:
        """The next message, or None when there is none in that time."""
        body = {"batch": 1, "no_wait": True} if not wait_s else {"batch": 1, "expires": int(wait_s * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{_STREAM}.{consumer}"
        with suppress(NatsTimeoutError):
            # What is delivered bears its own subject: only an inbox of this request's own finds it.
            msg = await self.bus.nc.request(
                subject, json.dumps(body).encode(), timeout=wait_s + 1, old_style=True
            )
            return msg if msg.reply.startswith("$JS.ACK.") else None
        return None

    async def do(self, msg: Msg, device: list[str]) -> None:
        """Install if need be, run, acknowledge."""
        job = self.jobs[int(msg.data)]
        if device[0] != job.app_version_id:
            await asyncio.sleep(self.install_s)
            device[0] = job.app_version_id
            self.installs += 1
        await asyncio.sleep(job.duration_s)
        await self.bus.nc.publish(msg.reply, ACK)
        self.done += 1
        if self.done == len(self.jobs):
            self.ended.set()


async def first_come(pool: Pool) -> None:
    """A worker of one queue."""
    device = [""]
    while not pool.ended.is_set():
        if msg := await pool.next_of(_EVERY, wait_s=5):
            await pool.do(msg, device)


async def stealing(pool: Pool) -> None:
    """A worker of a queue for each build."""
    device, build = [""], ""
    while not pool.ended.is_set():
        if build and (msg := await pool.next_of(build)):
            await pool.do(msg, device)
            continue
        pool.owners[build] -= 1
        build = await _longest(pool)
        pool.owners[build] += 1
        if not build:
            await asyncio.sleep(0.005)


async def _longest(pool: Pool) -> str:
    pending: dict[str, int] = {}
    for name in dict.fromkeys(job.app_version_id for job in pool.jobs):
        pending[name] = (await pool.bus.requests.api(f"CONSUMER.INFO.{_STREAM}.{name}", {}))["num_pending"]
    name = max(pending, key=lambda one: pending[one] / (pool.owners[one] + 1))
    return name if pending[name] else ""
