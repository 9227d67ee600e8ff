"""A client on a server of its own, with the streams in place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qgjob.bus.connect import open_bus
from qgjob.client import Client, ServerOptions
from tests.support.fake_scheduler import FakeScheduler
from tests.support.servers import NatsServer
from tests.support.views import heartbeat


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with nothing in it; the server has its own."""
    folder = tmp_path / "files"
    folder.mkdir()
    return folder


@pytest.fixture
async def scheduler(client: Client, nats_server: NatsServer) -> AsyncIterator[FakeScheduler]:
    """What answers the client, with a connection of its own, as a scheduler has."""
    del client  # it has made the streams
    async with open_bus(ServerOptions(nats_server.url)) as bus, FakeScheduler(bus) as answering:
        answering.agents = [heartbeat("a1", ("device",))]
        yield answering
