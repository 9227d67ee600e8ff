"""Whole systems for tests and benchmarks, and a witness who counts what was recorded."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from bench.runners import PLUGINS
from bus_schemas import subjects
from bus_schemas.agents import SlotStatus
from bus_schemas.events import AnyEvent, Ended, Started, decode_event
from bus_schemas.queries import GetAnswer, GetQuery, Overview, Query, RunView
from bus_schemas.streams import EVENTS
from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.follow import follow
from qgjob.client import Client
from qgjob.errors import QgjobError
from qgjob.local.ports import free_port
from qgjob.local.system import LocalSystem, UpOptions
from tests.support.wait import wait_for

SHORT_ACK_WAIT = ("--ack-wait", "3")


@dataclass
class EventRecorder:
    """Hears every stored event and remembers what each job went through."""

    events: dict[str, list[AnyEvent]] = field(default_factory=lambda: defaultdict(list))
    ends: Counter[str] = field(default_factory=Counter[str])

    def record(self, event: AnyEvent) -> None:
        self.events[event.job_id].append(event)
        if isinstance(event, Ended) and event.final:
            self.ends[event.job_id] += 1

    def started(self) -> set[str]:
        return {job for job, events in self.events.items() if any(isinstance(e, Started) for e in events)}

    @contextlib.asynccontextmanager
    async def watching(self, bus: Bus, *, start_seq: int | None = None) -> AsyncGenerator[Self]:
        """Read the stream itself: unlike a live subscription it misses nothing over a restart."""
        task = asyncio.create_task(self._read(bus, start_seq))
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _read(self, bus: Bus, start_seq: int | None) -> None:
        async for batch in follow(bus, EVENTS, [subjects.EVENTS_ALL], start_seq=start_seq):
            for message in batch:
                self.record(decode_event(message.data))


@contextlib.asynccontextmanager
async def system(
    folder: Path, *, plugins: str = "", **options: Any
) -> AsyncGenerator[tuple[LocalSystem, Bus]]:
    """A running system with the benchmark's runners and these, and a connection to it."""
    # Not port 4222: while its server is killed and started again, a system of another worker would take that.
    usual = {"slots": 2, "agents": 2, "scheduler_args": SHORT_ACK_WAIT, "port": free_port()}
    given: dict[str, Any] = {**usual, **options}
    up = UpOptions(data_dir=folder, **given)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QGJOB_RUNNER_PLUGINS", f"{PLUGINS},{plugins}".rstrip(","))
        async with (
            LocalSystem(up) as running,
            open_bus(ServerOptions(url=running.server, name="test")) as bus,
        ):
            await idle_slots(bus, up.agents * up.slots)
            yield running, bus


async def overview(bus: Bus) -> Overview | None:
    with contextlib.suppress(QgjobError):
        answer = await bus.requests.request(subjects.query("overview"), Query().encode(), timeout=1)
        return Overview.decode(answer.data)
    return None


async def idle_slots(bus: Bus, count: int, timeout: float = 30) -> None:
    async def there() -> bool:
        seen = await overview(bus)
        return seen is not None and seen.slots_idle >= count

    await wait_for(there, timeout, f"{count} idle slots")


async def run_view(bus: Bus, run_id: str) -> RunView | None:
    with contextlib.suppress(QgjobError):
        query = GetQuery(id=run_id, limit=0)
        answer = await bus.requests.request(subjects.query("get"), query.encode(), timeout=2)
        return GetAnswer.decode(answer.data).run
    return None


async def counts_reached(bus: Bus, run_id: str, counts: dict[str, int], timeout: float = 60) -> None:
    """Wait until the projection says that of a run."""

    async def reached() -> bool:
        run = await run_view(bus, run_id)
        assert run is not None
        assert run.counts == counts, run.counts
        return True

    await wait_for(reached, timeout, f"{counts} in the projection")


async def slot_named(client: Client, name: str) -> SlotStatus:
    agents = await client.agents()
    return next(s for a in agents for s in a.slots if f"{a.agent}/{s.name}" == name)
