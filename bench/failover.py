"""How long no job starts after a server of a cluster was killed, and how much of it are elections."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import tempfile
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Final

from bench.runners import PLUGINS
from bus_schemas import streams
from bus_schemas.events import Started
from qgjob.bus.connect import Bus
from qgjob.errors import QgjobError
from tests.support.cluster import NatsCluster, clustered
from tests.support.pipeline import EventRecorder, idle_slots
from tests.support.runs import planned, submit
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

_TIMES: Final = 3
_EVERY_S: Final = 0.25
_CALM_S: Final = 5.0
_DISTURBED_S: Final = 10.0
"""Longer than elections take: work that was under way may start before they begin."""
_LED: Final = re.compile(r"^\[\d+\] (\S+ \S+) \[INF\] JetStream cluster new (stream|metadata) leader(.*)$")
_NEEDED: Final = (streams.JOBS, streams.WORK, streams.EVENTS, f"KV_{streams.LEADER_BUCKET}")


def run_failover() -> list[dict[str, str | float]]:
    """Kill what leads the released work, the leader's key, and the cluster, in a new cluster each time."""
    os.environ["QGJOB_RUNNER_PLUGINS"] = PLUGINS
    whose = (streams.WORK, f"KV_{streams.LEADER_BUCKET}", "cluster")
    return [asyncio.run(_failover(led)) for _ in range(_TIMES) for led in whose]


async def _failover(led: str) -> dict[str, str | float]:
    with tempfile.TemporaryDirectory(prefix="qgjob-bench-") as folder:
        async with (
            clustered(Path(folder), ack_wait_s=30) as (cluster, bus),
            EventRecorder().watching(bus) as witness,
        ):
            await idle_slots(bus, 4, 60)
            async with _trickling(bus):
                await asyncio.sleep(_CALM_S)
                victim = _metadata_leader(cluster) if led == "cluster" else await cluster.leads(bus, led)
                killed = time.time()
                victim.kill()
                await asyncio.sleep(_DISTURBED_S)
                late = killed + _DISTURBED_S
                await wait_for(lambda: any(at > late for at in _starts(witness)), 60, "a job that starts")
                await asyncio.sleep(_CALM_S)
                gap = _longest_gap(_starts(witness), killed, time.time())
            elected = max(
                (at for other in cluster.servers if other is not victim for at in _elections(other, killed)),
                default=killed,
            )
            return {
                "led": led,
                "without_start_s": round(gap, 1),
                "elected_s": round(elected - killed, 1),
            }


@contextlib.asynccontextmanager
async def _trickling(bus: Bus) -> AsyncGenerator[None]:
    trickle = asyncio.create_task(_trickle(bus))
    try:
        yield
    finally:
        trickle.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await trickle  # raises what it failed with


async def _trickle(bus: Bus) -> None:
    """A job of 0.2 s four times a second, whatever happens to the one before."""
    async with asyncio.TaskGroup() as tasks:
        while True:
            tasks.create_task(_submit(bus))
            await asyncio.sleep(_EVERY_S)


async def _submit(bus: Bus) -> None:
    with contextlib.suppress(QgjobError):  # nobody takes it now: the next one may do better
        await submit(bus, planned(1, runner="sleep", argv=("0.2",)))


def _starts(witness: EventRecorder) -> list[float]:
    events = (event for seen in witness.events.values() for event in seen)
    return sorted(event.at for event in events if isinstance(event, Started))


def _longest_gap(starts: list[float], killed: float, end: float) -> float:
    """The longest time without a start, from the last one before the kill on."""
    before = max((at for at in starts if at <= killed), default=killed)
    bounds = [before, *(at for at in starts if at > killed), end]
    return max(later - earlier for earlier, later in itertools.pairwise(bounds))


def _elections(server: NatsServer, since: float) -> list[float]:
    """When a server said that what placement needs has a leader."""
    times: list[float] = []
    for line in server.log.splitlines():
        if (match := _LED.match(line)) and (match[2] == "metadata" or match[3].rstrip("'").endswith(_NEEDED)):
            # The server writes local time, as which a time without a zone is taken.
            at = datetime.strptime(match[1], "%Y/%m/%d %H:%M:%S.%f").timestamp()  # noqa: DTZ007
            if at > since:
                times.append(at)
    return times


def _metadata_leader(cluster: NatsCluster) -> NatsServer:
    lines = (line for server in cluster.servers for line in server.log.splitlines())
    elections = [match for line in lines if (match := _LED.match(line)) and match[2] == "metadata"]
    last = max(elections, key=lambda match: match[1])
    return next(server for server in cluster.servers if f"{server.name}/" in last[3])
