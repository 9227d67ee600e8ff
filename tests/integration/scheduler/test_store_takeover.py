"""Another Valkey takes over behind the same address, as with a virtual address, a service or a proxy."""

from __future__ import annotations

from pathlib import Path

from qgjob.bus.connect import Bus
from qgjob.store.connect import open_store
from tests.support.eventlog import record
from tests.support.projecting import lives, running, wait_until_projected
from tests.support.proxy import Proxy
from tests.support.servers import ValkeyServer


async def test_the_projection_follows_the_address_when_its_store_became_a_replica(
    bus: Bus, valkey_server: ValkeyServer, tmp_path: Path
) -> None:
    """The old one stays reachable, and answers: it only takes no writes."""
    successor = ValkeyServer(tmp_path / "successor")
    await successor.start()
    try:
        async with (
            Proxy(valkey_server.port) as proxy,
            open_store(proxy.url.replace("nats", "redis")) as store,
            open_store(valkey_server.url) as old,
            open_store(successor.url) as new,
            running(bus, store),
        ):
            await wait_until_projected(store, await record(bus, lives(0, 10)))
            proxy.to = successor.port
            await old.client.execute_command("REPLICAOF", successor.host, str(successor.port))
            await wait_until_projected(new, await record(bus, lives(10, 10)))
    finally:
        successor.kill()
