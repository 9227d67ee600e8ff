"""A server that falls silent after the connection was made."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from qgjob.bus.connect import Bus
from qgjob.errors import ExitCode
from tests.support.proxy import Proxy
from tests.support.servers import NatsServer


async def test_it_counts_as_one_that_cannot_be_reached(bus: Bus, nats_server: NatsServer) -> None:
    del bus  # has made what the command asks for
    async with Proxy(nats_server.port) as proxy:
        proxy.hold(b"DIRECT.GET.KV_qg_builds", after=1)
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("qgjob"),
            *("--server", proxy.url, "app", "list"),
            env={**os.environ, "NO_COLOR": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert proxy.held.is_set(), err
    assert (process.returncode, out) == (ExitCode.UNREACHABLE, b""), err
    assert b"in time" in err
