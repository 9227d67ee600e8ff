"""A reign that has lost its lock and does not close ends the process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator

from bus_schemas.streams import LEADER_BUCKET
from qgjob.bus import kv
from qgjob.bus.connect import Bus
from qgjob.scheduler.leadership.election import KEY
from tests.support.servers import NatsServer, ValkeyServer

DEAF = """
import asyncio, sys
from qgjob.scheduler import reign
from qgjob.scheduler.leadership import watchdog
from qgjob.scheduler.__main__ import main

watchdog.CLOSES_WITHIN_S = 2

async def deaf(lab):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

if sys.argv.pop(1) == "deaf":
    reign._tick = deaf
sys.exit(main(sys.argv[1:]))
"""


@contextlib.asynccontextmanager
async def replica(
    nats: NatsServer, valkey: ValkeyServer, kind: str
) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        DEAF,
        kind,
        "--server",
        nats.url,
        "--redis-url",
        valkey.url,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def says(process: asyncio.subprocess.Process, what: str) -> str:
    """The next line with this in it."""
    assert process.stderr is not None
    async with asyncio.timeout(40):
        async for line in process.stderr:
            if what in line.decode():
                return line.decode()
    raise AssertionError(f"it ended without saying {what!r}")


async def deposed(bus: Bus) -> None:
    """Another replica takes the key."""
    value = json.dumps({"replica": "other", "nonce": "of another"}).encode()
    await kv.put(bus, LEADER_BUCKET, KEY, value)


async def test_a_reign_that_does_not_hear_of_its_end_ends_the_process(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer
) -> None:
    async with replica(nats_server, valkey_server, "deaf") as process:
        await says(process, "jobs are placed")
        await deposed(bus)
        line = await says(process, "has not closed within 2 s")
        assert "ticks in deaf" in line
        assert await asyncio.wait_for(process.wait(), 20) == 1


async def test_a_reign_that_closes_is_followed_by_another(
    bus: Bus, nats_server: NatsServer, valkey_server: ValkeyServer
) -> None:
    async with replica(nats_server, valkey_server, "hearing") as process:
        await says(process, "jobs are placed")
        await deposed(bus)
        await says(process, "another replica reigns now")
        await kv.delete(bus, LEADER_BUCKET, KEY)
        await says(process, "jobs are placed")
        assert process.returncode is None
