"""Two agents of one name, as where two machines have one host name: one of them runs, the other says why not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from bus_schemas.agents import Heartbeat
from bus_schemas.streams import AGENT_TTL_S, AGENTS_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.client.requests import query
from qgjob.errors import ExitCode
from tests.support.pipeline import EventRecorder, counts_reached, system
from tests.support.runs import planned, submit
from tests.support.servers import NatsServer
from tests.support.wait import wait_for

NO_PROCESS = 2**22 + 1
"""Of an agent on another machine: here no process has that id."""


@contextlib.contextmanager
def agent(url: str, folder: Path) -> Generator[subprocess.Popen[str]]:
    argv = ["--server", url, "--name", "rack", "--driver", "none", "--data-dir", str(folder)]
    process = subprocess.Popen([sys.executable, "-m", "agent", *argv], stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def of_elsewhere() -> Heartbeat:
    now = time.time()
    return Heartbeat(
        agent="rack", host=socket.gethostname(), pid=NO_PROCESS, version="1", started_at=now, at=now
    )


async def beat(bus: Bus) -> None:
    await kv.put(bus, AGENTS_BUCKET, "rack", of_elsewhere().encode(), ttl_s=AGENT_TTL_S)


async def key(bus: Bus) -> Heartbeat | None:
    stored = await kv.get(bus, AGENTS_BUCKET, "rack")
    return Heartbeat.decode(stored.data) if stored is not None and not stored.deleted else None


async def refused(process: subprocess.Popen[str]) -> str:
    _, said = await asyncio.to_thread(process.communicate, timeout=40)
    assert process.returncode == ExitCode.REFUSED, said
    return said


async def test_an_agent_of_a_machine_with_the_same_host_name_keeps_its_name(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    await beat(bus)

    async def beats() -> None:
        while True:
            await asyncio.sleep(0.5)
            await beat(bus)

    other = asyncio.create_task(beats())
    try:
        with agent(nats_server.url, tmp_path / "rack") as process:
            assert f"pid {NO_PROCESS}" in await refused(process)
    finally:
        other.cancel()


async def test_an_agent_whose_name_was_taken_meanwhile_goes(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    with agent(nats_server.url, tmp_path / "first") as process:
        await wait_for(lambda: key(bus), 20, "the agent")
        await beat(bus)  # of one that began where this one was not heard, or at the same moment
        said = await refused(process)
    assert f"pid {NO_PROCESS}" in said
    assert "--name" in said
    left = await key(bus)
    assert left is not None
    assert left.pid == NO_PROCESS, "the other's key is left alone"


async def test_an_agent_that_was_killed_has_its_name_back_at_once(
    bus: Bus, nats_server: NatsServer, tmp_path: Path
) -> None:
    with agent(nats_server.url, tmp_path / "rack") as first:
        await wait_for(lambda: key(bus), 20, "the agent")
    with agent(nats_server.url, tmp_path / "rack") as second:

        async def is_there() -> bool:
            found = await key(bus)
            return found is not None and found.pid == second.pid

        await wait_for(is_there, 10, "the next agent")
    assert first.pid != second.pid


async def test_what_ran_on_an_agent_whose_name_was_taken_runs_once_elsewhere(tmp_path: Path) -> None:
    async with (
        system(tmp_path, agents=2, slots=1) as (_, bus),
        EventRecorder().watching(bus) as witness,
    ):
        run = planned(2, runner="sleep", argv=("3",))
        await submit(bus, run)
        await wait_for(lambda: len(witness.started()) == 2, 20, "both to run")
        (other, *_) = await query.agents(bus)
        taken = other.model_copy(update={"host": "elsewhere", "pid": os.getpid(), "started_at": time.time()})
        await kv.put(bus, AGENTS_BUCKET, other.agent, taken.encode(), ttl_s=AGENT_TTL_S)
        await counts_reached(bus, run.run_id, {"passed": 2})
        assert set(witness.ends.values()) == {1}
