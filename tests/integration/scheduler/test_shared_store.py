"""Two labs that were given one store: each would show the other's jobs, and must say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from qgjob.bus.connect import ServerOptions, open_bus
from qgjob.client import Client
from qgjob.clock import SystemClock
from tests.support.scheduling import scheduling
from tests.support.servers import NatsServer, ValkeyServer
from tests.support.wait import wait_for


async def test_two_labs_with_one_store_say_so(
    tmp_path: Path,
    nats_server: NatsServer,
    valkey_server: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("qgjob.scheduler.projection.projector._OTHERS", 2)
    other = NatsServer(tmp_path / "other")
    await other.start()
    try:
        async with (
            scheduling(nats_server, valkey_server),
            scheduling(other, valkey_server),
            open_bus(ServerOptions(url=nats_server.url)) as one,
            open_bus(ServerOptions(url=other.url)) as two,
        ):

            async def said() -> bool:
                checks = [
                    check
                    for bus in (one, two)
                    for check in (await Client(bus, SystemClock()).health()).checks
                ]
                return any("another lab" in check.detail for check in checks if check.name == "projection")

            await wait_for(said, 20, "that in the health of one")
            await wait_for(lambda: "another lab writes into the store" in caplog.text, 30, "that in a log")
    finally:
        other.kill()
