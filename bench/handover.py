"""How long nobody places jobs after the leader was killed, by how many wait and for whom."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from bench.system import running_system
from bus_schemas.queries import LeaderView
from qgjob.bus.connect import Bus
from qgjob.local.system import LocalSystem
from tests.support.pipeline import overview
from tests.support.runs import planned, submit
from tests.support.wait import wait_for

if TYPE_CHECKING:
    from nats.aio.msg import Msg

_CALM_S = 8.0
_SUBMITS = 8
_LABELS = tuple(f"label{n}" for n in range(8))


@dataclass(frozen=True)
class _Shape:
    """What waits."""

    waiting: int
    runs: int = 10
    orgs: int = 1
    builds: int = 7
    labels: int = 1
    """How many sets of labels jobs ask for."""
    keys: bool = False
    """Whether each run has a concurrency key: a later one of the same would supersede it."""

    @property
    def name(self) -> str:
        if self.orgs == 1:
            return str(self.waiting)
        keys = ", concurrency keys" if self.keys else ""
        return f"{self.waiting} in {self.runs} runs of {self.orgs} organisations{keys}"


_SHAPES = (
    _Shape(100),
    _Shape(10_000),
    _Shape(30_000),
    _Shape(100_000),
    _Shape(10_000, runs=2_000, orgs=2_000, builds=2_000, labels=28, keys=True),
    _Shape(100_000, runs=2_000, orgs=2_000, builds=2_000, labels=28),
    _Shape(100_000, runs=2_000, orgs=2_000, builds=2_000, labels=28, keys=True),
)


@dataclass
class _Handovers:
    """Seconds from SIGKILL of each leader to its successor's first release, and to that job's start."""

    released: list[float] = field(default_factory=list[float])
    started: list[float] = field(default_factory=list[float])


async def handover(shape: _Shape, *, times: int = 3) -> dict[str, float | str | list[float]]:
    """Seconds from SIGKILL of the leader to the first release by its successor, and to that job's start.

    Two replicas; two slots at work on the backlog all the while; one host, two cores.
    """
    found = _Handovers()
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        given = running_system(Path(folder), agents=1, slots=2, schedulers=2, labels=_LABELS)
        async with given as (system, bus):
            await _fill(bus, shape)
            await wait_for(lambda: _has_read(bus, shape.waiting), 300, f"{shape.waiting} waiting jobs")
            for _ in range(times):
                await _kill(system, bus, found)
    return {
        "waiting": shape.name,
        "released_s": found.released,
        "started_s": found.started,
        "worst_s": max(found.started),
        "median_s": median(found.started),
    }


async def _fill(bus: Bus, shape: _Shape) -> None:
    """Submit the runs, some at a time."""
    pairs = [(), *((a, b) for n, a in enumerate(_LABELS) for b in _LABELS[:n])][: shape.labels]
    sizes = [shape.waiting // shape.runs + (n < shape.waiting % shape.runs) for n in range(shape.runs)]
    limit = asyncio.Semaphore(_SUBMITS)

    async def send(number: int) -> None:
        run = planned(
            sizes[number],
            runner="sleep",
            argv=("1",),
            org=f"org{number % shape.orgs}",
            app=f"v{number % shape.builds}",
            requires=pairs[number % len(pairs)],
            concurrency_key="main" if shape.keys else None,
        )
        async with limit:
            await submit(bus, run)

    await asyncio.gather(*map(send, range(shape.runs)))


async def _kill(system: LocalSystem, bus: Bus, found: _Handovers) -> None:
    leader = await wait_for(lambda: _leader(bus), 30, "a leader")
    assert leader is not None
    epoch, replica = leader.epoch, leader.replica
    schedulers = {name: pid for name, pid in system.pids().items() if name.startswith("scheduler")}
    assert len(schedulers) == 2
    loop = asyncio.get_running_loop()
    released, started = loop.create_future(), loop.create_future()
    by_successor: set[str] = set()

    async def on_release(msg: Msg) -> None:
        if killed:
            by_successor.add(msg.subject.rsplit(".", 1)[1])
            if not released.done():
                released.set_result(time.monotonic())

    async def on_state(msg: Msg) -> None:
        if msg.subject.split(".")[4] in by_successor and not started.done():
            started.set_result(time.monotonic())

    killed = 0.0
    subscriptions = [
        await bus.nc.subscribe("qg.work.*.*.*.*", cb=on_release),
        await bus.nc.subscribe("qg.events.*.*.*.*.state", cb=on_state),
    ]
    os.kill(next(pid for pid in schedulers.values() if replica.endswith(f"-{pid}")), signal.SIGKILL)
    await asyncio.sleep(0.05)  # what it had sent has come
    killed = time.monotonic() - 0.05
    found.released.append(round(await asyncio.wait_for(released, 60) - killed, 2))
    found.started.append(round(await asyncio.wait_for(started, 60) - killed, 2))
    for subscription in subscriptions:
        await subscription.unsubscribe()

    async def settled() -> bool:
        seen = await overview(bus)
        names = [name for name in system.pids() if name.startswith("scheduler")]
        return seen is not None and seen.leader is not None and seen.leader.epoch > epoch and len(names) == 2

    await wait_for(settled, 60, "two replicas again")
    await asyncio.sleep(_CALM_S)  # the one that was started again is in the race by then


async def _has_read(bus: Bus, submitted: int) -> bool:
    """Whether the leader has read so many jobs; the slots have run some of them."""
    seen = await overview(bus)
    return seen is not None and seen.waiting + seen.running + sum(seen.ended.values()) >= submitted - 4


async def _leader(bus: Bus) -> LeaderView | None:
    seen = await overview(bus)
    return None if seen is None else seen.leader


def run_handover() -> list[dict[str, float | str | list[float]]]:
    """The handover benchmark with several backlogs."""
    return [asyncio.run(handover(shape)) for shape in _SHAPES]
