from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.store.connect import Store, open_store
from tests.support.servers import NatsServer, ValkeyServer


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    """A connection to a server of this test's own, its streams made."""
    async with open_bus(ServerOptions(url=nats_server.url)) as opened:
        await ensure_topology(opened)
        yield opened


@pytest.fixture
async def store(valkey_server: ValkeyServer) -> AsyncIterator[Store]:
    """A store of this test's own."""
    async with open_store(valkey_server.url) as opened:
        yield opened
