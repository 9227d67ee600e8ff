"""How many events a second the projection takes, on a real nats-server and a real Valkey.

    python -m bench.projection [JOBS]

Each job is four events (queued, released, started, ended). Prints wall time and the CPU time of
this process, which is the projector's side alone: the servers run beside it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

from bus_schemas.events import AnyEvent, decode_event
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.scheduler.projector import Projector
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


class Timed:
    """Wall and CPU time of a block."""

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu


async def write_path(store: Store, payloads: list[bytes], batch: int) -> None:
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
    count = len(payloads)
    print(
        f"decode, fold, write; batches of {batch:5}: {count / timed.wall:7.0f} events/s,"
        f" {count / timed.cpu:7.0f} per CPU second"
    )


async def catch_up(bus: Bus, store: Store, count: int) -> None:
    await store.client.flushall()
    projector = Projector(bus, store)
    with Timed() as timed:
        task = asyncio.create_task(projector.run())
        await wait_for(lambda: projector.position.seq >= count, 600, "the projection")
    print(
        f"rebuild from the stream:             {count / timed.wall:7.0f} events/s,"
        f" {count / timed.cpu:7.0f} per CPU second"
    )
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def steady(bus: Bus, store: Store, events: list[AnyEvent], first: int) -> None:
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
    print(
        f"steady {RATE} events/s (publishing included): CPU {100 * timed.cpu / timed.wall:.0f} %,"
        f" behind by at most {max(lags)} events"
    )
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def main(jobs: int) -> None:
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
                    await write_path(store, payloads, batch)
                await record_at_once(bus, events)
                await catch_up(bus, store, len(events))
                again = history(jobs // 4)
                renamed = [event.model_copy(update={"run_id": f"{event.run_id}_again"}) for event in again]
                await steady(bus, store, renamed, len(events))
        finally:
            nats.kill()
            valkey.kill()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
