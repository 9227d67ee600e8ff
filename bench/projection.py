"""How many events a second the projection takes, on a real nats-server and a real Valkey.

Each job is four events (queued, released, started, ended). Beside wall time stands the CPU time
of this process, which is the projector's side alone: the servers run beside it.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import Self

from bus_schemas.events import AnyEvent, decode_event
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.scheduler.projection.projector import Projector
from qgjob.store.connect import Store, open_store
from qgjob.store.position import StreamState
from qgjob.store.projection import Projection, StoredEvent
from tests.support.eventlog import record_at_once
from tests.support.histories import Ids, lifetime
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for

RUN = 100
AT_ONCE = 50
RATE = 4_000


def history(jobs: int) -> list[AnyEvent]:
    """Lives of jobs, 50 of them in progress at a time."""
    lives = [
        lifetime(Ids(run_id=f"r_{n // RUN}", job_id=f"j_{n}"), position=n % RUN, size=RUN)
        for n in range(jobs)
    ]
    return [
        life[step]
        for start in range(0, jobs, AT_ONCE)
        for step in range(4)
        for life in lives[start : start + AT_ONCE]
    ]


Figures = dict[str, int]


class Timed:
    """Wall and CPU time of a block."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu

    def rate(self, count: int) -> Figures:
        """How many of what was done a second, and a second of CPU."""
        return {
            "events_per_s": round(count / self.wall),
            "events_per_cpu_s": round(count / self.cpu),
        }


async def write_path(store: Store, payloads: list[bytes], batch: int) -> Figures:
    """Decode, fold and write, without a bus."""
    await store.client.flushall()
    projection = Projection(store)
    await projection.open(StreamState("bench", len(payloads), len(payloads)))
    now = time.time()
    with Timed() as timed:
        for start in range(0, len(payloads), batch):
            some = [
                StoredEvent(decode_event(data), seq, now)
                for seq, data in enumerate(payloads[start : start + batch], start + 1)
            ]
            await projection.commit(await projection.stage(some, some[-1].seq, now, now))
    return timed.rate(len(payloads))


async def catch_up(bus: Bus, store: Store, count: int) -> Figures:
    """Rebuild everything from the stream."""
    await store.client.flushall()
    projector = Projector(bus, store)
    with Timed() as timed:
        task = asyncio.create_task(projector.run())
        await wait_for(lambda: projector.position.seq >= count, 600, "the projection")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return timed.rate(count)


async def steady(bus: Bus, store: Store, events: list[AnyEvent], first: int) -> Figures:
    """The same while events come at a rate; another process would publish them, here it is us."""
    projector = Projector(bus, store)
    task = asyncio.create_task(projector.run())
    await wait_for(lambda: projector.position.seq >= first, 600)
    lags: list[int] = []
    with Timed() as timed:
        for start in range(0, len(events), RATE // 20):
            due = time.perf_counter() + 0.05
            await record_at_once(bus, events[start : start + RATE // 20])
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            lags.append(first + start + RATE // 20 - projector.position.seq)
        await wait_for(lambda: projector.position.seq >= first + len(events), 600)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return {"rate": RATE, "cpu_percent": round(100 * timed.cpu / timed.wall), "behind_at_most": max(lags)}


async def measure(jobs: int) -> dict[str, Figures]:
    """All figures, from servers of their own."""
    figures: dict[str, Figures] = {}
    events = history(jobs)
    with tempfile.TemporaryDirectory() as folder:
        nats, valkey = NatsServer(Path(folder) / "nats"), ValkeyServer(Path(folder) / "valkey")
        await nats.start()
        await valkey.start()
        try:
            async with open_bus(ServerOptions(url=nats.url)) as bus, open_store(valkey.url) as store:
                await ensure_topology(bus)
                payloads = [event.encode() for event in events]
                for batch in (20, 100, 1000):
                    figures[f"batches_of_{batch}"] = await write_path(store, payloads, batch)
                await record_at_once(bus, events)
                figures["rebuild"] = await catch_up(bus, store, len(events))
                again = history(jobs // 4)
                renamed = [event.model_copy(update={"run_id": f"{event.run_id}_again"}) for event in again]
                figures["steady_publishing_included"] = await steady(bus, store, renamed, len(events))
        finally:
            nats.kill()
            valkey.kill()

    return figures


def run_projection(jobs: int = 10_000) -> dict[str, Figures]:
    """Events a second that the projection takes, and what they cost."""
    return asyncio.run(measure(jobs))
