"""Connections to a nats-server of the test's own, its streams made."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from qgjob.bus.connect import Bus, ServerOptions, open_bus
from qgjob.bus.topology import ensure_topology
from qgjob.client import Client, open_client
from tests.support.servers import NatsServer


@pytest.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    async with open_bus(ServerOptions(url=nats_server.url)) as bus:
        await ensure_topology(bus)
        yield bus


@pytest.fixture
async def client(nats_server: NatsServer) -> AsyncIterator[Client]:
    async with open_client(ServerOptions(url=nats_server.url)) as client:
        await ensure_topology(client.bus)
        yield client
