"""How long nobody places jobs after the leader was killed, by how many wait."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
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

SIZES = (100, 10_000, 30_000, 100_000)
_RUN = 10_000
_CALM_S = 8.0


async def handover(waiting: int, *, times: int = 3) -> dict[str, float | list[float]]:
    """Seconds from SIGKILL of the leader to the first release by its successor.

    Two replicas; two slots at work on the backlog all the while; one host, two cores.
    """
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        async with running_system(Path(folder), agents=1, slots=2, schedulers=2) as (system, bus):
            left = waiting
            while left > 0:
                some = min(left, _RUN)
                await submit(bus, planned(some, runner="sleep", argv=("1",), app=f"v{left % 7}"))
                left -= some
            await wait_for(lambda: _reads(bus, waiting - 50), 120, f"{waiting} waiting jobs")
            took = [await _kill(system, bus) for _ in range(times)]
    return {"waiting": waiting, "worst_s": max(took), "all_s": took}


async def _kill(system: LocalSystem, bus: Bus) -> float:
    leader = await wait_for(lambda: _leader(bus), 30, "a leader")
    assert leader is not None
    epoch, replica = leader.epoch, leader.replica
    schedulers = {name: pid for name, pid in system.pids().items() if name.startswith("scheduler")}
    assert len(schedulers) == 2
    released = asyncio.get_running_loop().create_future()

    async def on_release(msg: Msg) -> None:
        del msg
        if killed and not released.done():
            released.set_result(time.monotonic())

    killed = 0.0
    subscription = await bus.nc.subscribe("qg.work.*.*.*.*", cb=on_release)
    os.kill(next(pid for pid in schedulers.values() if replica.endswith(f"-{pid}")), signal.SIGKILL)
    await asyncio.sleep(0.05)  # what it had sent has come
    killed = time.monotonic() - 0.05
    took = await asyncio.wait_for(released, 60) - killed
    await subscription.unsubscribe()

    async def settled() -> bool:
        seen = await overview(bus)
        names = [name for name in system.pids() if name.startswith("scheduler")]
        return seen is not None and seen.leader is not None and seen.leader.epoch > epoch and len(names) == 2

    await wait_for(settled, 60, "two replicas again")
    await asyncio.sleep(_CALM_S)  # the one that was started again is in the race by then
    return round(took, 2)


async def _reads(bus: Bus, waiting: int) -> bool:
    seen = await overview(bus)
    return seen is not None and seen.waiting >= waiting


async def _leader(bus: Bus) -> LeaderView | None:
    seen = await overview(bus)
    return None if seen is None else seen.leader


def run_handover() -> list[dict[str, float | list[float]]]:
    """The handover benchmark at several sizes of the backlog."""
    return [asyncio.run(handover(size)) for size in SIZES]
