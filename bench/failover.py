"""How long no job starts after a server of a cluster was killed, and how much of it are elections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import time
from datetime import UTC, datetime
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
            trickle = asyncio.create_task(_trickle(bus))
            await asyncio.sleep(_CALM_S)
            victim = _leads_the_cluster(cluster) if led == "cluster" else await cluster.leads(bus, led)
            killed = time.time()
            victim.kill()
            starts = await wait_for(lambda: _starts(witness, killed), 60, "a job that starts")
            await asyncio.sleep(_CALM_S)
            trickle.cancel()
            elected = max(
                (at for other in cluster.servers if other is not victim for at in _elections(other, killed)),
                default=killed,
            )
            return {
                "led": led,
                "started_s": round(min(starts) - killed, 1),
                "elected_s": round(elected - killed, 1),
            }


async def _trickle(bus: Bus) -> None:
    """A job of 0.2 s four times a second, whatever happens to the one before."""
    async with asyncio.TaskGroup() as tasks:
        while True:
            tasks.create_task(_submit(bus))
            await asyncio.sleep(_EVERY_S)


async def _submit(bus: Bus) -> None:
    with contextlib.suppress(QgjobError):  # nobody takes it now: the next one may do better
        await submit(bus, planned(1, runner="sleep", argv=("0.2",)))


def _starts(witness: EventRecorder, since: float) -> list[float]:
    """When jobs started that did so after the kill, beyond what was on its way."""
    events = (event for seen in witness.events.values() for event in seen)
    return [event.at for event in events if isinstance(event, Started) and event.at > since + 0.5]


def _elections(server: NatsServer, since: float) -> list[float]:
    """When a server said that what placement needs has a leader."""
    found: list[float] = []
    for line in server.log.splitlines():
        if (match := _LED.match(line)) and (match[2] == "metadata" or match[3].rstrip("'").endswith(_NEEDED)):
            at = datetime.strptime(match[1], "%Y/%m/%d %H:%M:%S.%f").replace(tzinfo=UTC).timestamp()
            if at > since:
                found.append(at)
    return found


def _leads_the_cluster(cluster: NatsCluster) -> NatsServer:
    said = [line for server in cluster.servers for line in server.log.splitlines()]
    last = max(line for line in said if "cluster new metadata leader" in line)
    return next(server for server in cluster.servers if f"{server.name}/" in last)
